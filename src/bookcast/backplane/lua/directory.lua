-- Returns a page of a shard's topics, and drops names of topics that have expired.
-- KEYS: set of topic names. ARGV: beginning of a topic's key, cursor, page size
-- Returns the next cursor ("0" at the end), and a list of name, epoch, seq, server_ms per topic.
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
