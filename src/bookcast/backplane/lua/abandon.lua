-- Notes that the publisher of topics is gone, where its last update is still the newest.
-- KEYS: topics. ARGV: reason, then epoch and seq of its last update for each topic
for index = 1, #KEYS do
  local known = redis.call('HMGET', KEYS[index], 'e', 's')
  local epoch, seq = ARGV[2 * index], ARGV[2 * index + 1]
  if known[1] == epoch and known[2] == seq then
    redis.call('HSET', KEYS[index], 'g', epoch .. ' ' .. seq .. ' ' .. ARGV[1])
  end
end
return 0
