-- Forgets a session, if it is still the caller's. KEYS: session. ARGV: node, generation
local known = redis.call('HMGET', KEYS[1], 'g', 'o')
local newest, mine = tonumber(known[1]) or 0, tonumber(ARGV[2])
if newest < mine or (newest == mine and known[2] == ARGV[1]) then
  redis.call('DEL', KEYS[1])
end
return 0
