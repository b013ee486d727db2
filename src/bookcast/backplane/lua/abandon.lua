-- A publisher is gone. KEYS: topics. ARGV: why, then epoch and seq of what it published of each. Where
-- that is still the newest, it is noted.
for index = 1, #KEYS do
  local known = redis.call('HMGET', KEYS[index], 'e', 's')
  local epoch, seq = ARGV[2 * index], ARGV[2 * index + 1]
  if known[1] == epoch and known[2] == seq then
    redis.call('HSET', KEYS[index], 'g', epoch .. ' ' .. seq .. ' ' .. ARGV[1])
  end
end
return 0
