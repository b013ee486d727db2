-- A node runs the feed no more. KEYS: lock. ARGV: node, channel of those who may take over
local holder = redis.call('GET', KEYS[1])
if holder and string.match(holder, '^%d+ (.*)$') == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', ARGV[2], ARGV[1])
end
return 0
