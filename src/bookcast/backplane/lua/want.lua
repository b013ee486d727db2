-- Changes a node's demand, and notifies the other nodes. KEYS: its demand
-- ARGV: node, ms to live, demand channel, "=" to replace the demand (else ""), then names of topics
--       with a prefix: + is added, - is removed
if ARGV[4] == '=' then
  redis.call('DEL', KEYS[1])
end
for index = 5, #ARGV do
  local name = string.sub(ARGV[index], 2)
  if string.sub(ARGV[index], 1, 1) == '+' then
    redis.call('SADD', KEYS[1], name)
  else
    redis.call('SREM', KEYS[1], name)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[1])
return 0
