-- Reads a topic's newest record and its history after a position, in one consistent step.
-- KEYS: topic, history
-- ARGV: epoch, seq, count: history after seq where the epoch is the same, else the newest ones
-- Returns epoch, seq, newest record, then pairs of seq and record, oldest first; nothing if the
-- topic is unknown.
local known = redis.call('HMGET', KEYS[1], 'e', 's', 'd')
if not known[1] then
  return {}
end
local from = '-'
if known[1] == ARGV[1] then
  from = '(' .. ARGV[2] .. '-0'
end
local entries = redis.call('XREVRANGE', KEYS[2], '+', from, 'COUNT', ARGV[3])
local found = {known[1], known[2], known[3]}
for index = #entries, 1, -1 do
  found[#found + 1] = string.match(entries[index][1], '^%d+')
  found[#found + 1] = entries[index][2][2]
end
return found
