-- Raises the fence of a shard, so that earlier holders of the feed's lock can't publish there.
-- KEYS: fence. ARGV: fencing token
local highest = redis.call('GET', KEYS[1])
if not highest or tonumber(highest) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
end
return 0
