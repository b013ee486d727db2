-- Saves a session, if the caller still owns it. KEYS: session
-- ARGV: node, generation (0: a new session), "1" while its client is connected, ms to live, data
-- Returns its generation; 0 when another node owns it.
local known = redis.call('HMGET', KEYS[1], 'g', 'o')
local generation = tonumber(ARGV[2])
if known[1] then
  if generation == 0 and known[2] == ARGV[1] then
    generation = tonumber(known[1]) -- the answer to the first save was lost
  end
  -- A lower generation in Redis is an older version of this session: Redis has lost the newer one.
  local newest = tonumber(known[1])
  if newest > generation or (newest == generation and known[2] ~= ARGV[1]) then
    return 0
  end
elseif generation == 0 then
  -- Time makes it higher than the generations of earlier sessions with this key.
  local time = redis.call('TIME')
  generation = time[1] * 1000 + math.floor(time[2] / 1000)
end
redis.call('HSET', KEYS[1], 'g', string.format('%.0f', generation), 'o', ARGV[1], 'l', ARGV[3],
  'd', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return generation
