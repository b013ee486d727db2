-- Takes a session over. KEYS: session. ARGV: node, "1" also from a client that is connected
-- Gives what it is ("none", "mine", "live", "taken"), its generation, whose it was, its data,
-- also of the caller's own: an answer may have been lost.
local known = redis.call('HMGET', KEYS[1], 'g', 'o', 'l', 'd')
if not known[1] then
  return {'none', 0, '', ''}
end
if known[2] == ARGV[1] then
  return {'mine', tonumber(known[1]), known[2], known[4]}
end
if known[3] == '1' and ARGV[2] ~= '1' then
  return {'live', tonumber(known[1]), known[2], ''}
end
local generation = tonumber(known[1]) + 1
redis.call('HSET', KEYS[1], 'g', string.format('%.0f', generation), 'o', ARGV[1], 'l', '1')
return {'taken', generation, known[2], known[4]}
