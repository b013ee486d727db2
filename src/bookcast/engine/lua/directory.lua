-- All topics of one shard. KEYS: topics. ARGV: what a topic's key begins with.
-- Gives name, epoch, seq, server_ms of each, and forgets those that have expired.
local found = {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local known = redis.call('HMGET', ARGV[1] .. name, 'e', 's', 'm')
  if known[1] then
    found[#found + 1] = name
    found[#found + 1] = known[1]
    found[#found + 1] = known[2]
    found[#found + 1] = known[3]
  else
    redis.call('SREM', KEYS[1], name)
  end
end
return found
