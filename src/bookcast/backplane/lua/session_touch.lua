-- Extends the life of a session, if the caller still owns it. KEYS: session
-- ARGV: node, generation, ms to live. Returns 1 when the caller owns it.
local known = redis.call('HMGET', KEYS[1], 'g', 'o')
if known[1] and tonumber(known[1]) == tonumber(ARGV[2]) and known[2] == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 1
end
return 0
