-- Where topics stand. KEYS: topics. Gives epoch and seq of each, empty where nothing is known.
local heads = {}
for index = 1, #KEYS do
  local known = redis.call('HMGET', KEYS[index], 'e', 's')
  heads[2 * index - 1] = known[1] or ''
  heads[2 * index] = known[2] or ''
end
return heads
