-- Forgets a topic, and that nobody is to tell it again. KEYS: topic, history, topics
-- ARGV: name, seconds to remember. Gives 1 when there was one.
local known = redis.call('HEXISTS', KEYS[1], 'e')
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'x', '1')
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SREM', KEYS[3], ARGV[1])
return known
