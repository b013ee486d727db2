-- Where topics stand. KEYS: topics. Gives epoch, seq and server_ms of each, empty where nothing is
-- known, and "1" when that is from before Redis was started anew.
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local heads = {}
for index = 1, #KEYS do
  local known = redis.call('HMGET', KEYS[index], 'e', 's', 'm', 'r')
  heads[4 * index - 3] = known[1] or ''
  heads[4 * index - 2] = known[2] or ''
  heads[4 * index - 1] = known[3] or ''
  heads[4 * index] = known[4] == run_id and '' or '1'
end
return heads
