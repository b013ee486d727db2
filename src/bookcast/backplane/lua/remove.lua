-- Removes a topic, and marks it as removed, so that no node publishes its old state again.
-- KEYS: topic, history, set of topic names. ARGV: name, seconds to keep the mark
-- Returns 1 when the topic existed.
local known = redis.call('HEXISTS', KEYS[1], 'e')
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'x', '1')
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SREM', KEYS[3], ARGV[1])
return known
