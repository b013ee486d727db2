-- Publishes a message. ARGV: channel, message. Returns the number of subscribers at this Redis.
return redis.call('PUBLISH', ARGV[1], ARGV[2])
