-- Deletes a session, if the caller still owns it. KEYS: session. ARGV: node, generation
local known = redis.call('HMGET', KEYS[1], 'g', 'o')
if known[1] and tonumber(known[1]) == tonumber(ARGV[2]) and known[2] == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 0
