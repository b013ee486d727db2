-- Releases the feed's lock, if the node holds it, and notifies the other candidates. KEYS: lock
-- ARGV: node, channel of the candidates
local holder = redis.call('GET', KEYS[1])
if holder and string.match(holder, '^%d+ (.*)$') == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', ARGV[2], ARGV[1])
end
return 0
