-- A page of the topics of one shard. KEYS: topics. ARGV: what a topic's key begins with, cursor, size.
-- Gives the next cursor, "0" at the end, and a list: name, epoch, seq, server_ms of each. Forgets those
-- that have expired.
local page = redis.call('SSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local found = {}
for _, name in ipairs(page[2]) do
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
return {page[1], found}
