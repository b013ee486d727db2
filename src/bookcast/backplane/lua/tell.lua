-- Tells whoever listens. ARGV: channel, what. Gives how many listened at this Redis.
return redis.call('PUBLISH', ARGV[1], ARGV[2])
