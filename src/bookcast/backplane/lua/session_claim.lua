-- Takes a session over, and raises its generation. KEYS: session
-- ARGV: node; whether to take it also while its client is connected: "" never, "*" always, or the
--       generation at which the caller found the client connected
-- Returns the outcome, its generation, its owner before, and its data, also where the caller owned
-- it already, since an earlier answer may have been lost. Outcomes: "none": there is no session,
-- "mine": the caller owned it already, "live": its client is connected, "taken".
local known = redis.call('HMGET', KEYS[1], 'g', 'o', 'l', 'd')
if not known[1] then
  return {'none', 0, '', ''}
end
if known[2] == ARGV[1] then
  return {'mine', tonumber(known[1]), known[2], known[4]}
end
if known[3] == '1' and ARGV[2] ~= '*' and tonumber(known[1]) ~= tonumber(ARGV[2]) then
  return {'live', tonumber(known[1]), known[2], ''}
end
local generation = tonumber(known[1]) + 1
redis.call('HSET', KEYS[1], 'g', string.format('%.0f', generation), 'o', ARGV[1], 'l', '1')
return {'taken', generation, known[2], known[4]}
