-- Who runs the feed. KEYS: lock, number. ARGV: node, ms to live, "acquire" or "renew"
-- Gives the number under which it holds the lock, 0 when another does or nobody may.
local holder = redis.call('GET', KEYS[1])
if holder then
  local number, node = string.match(holder, '^(%d+) (.*)$')
  if node ~= ARGV[1] then
    return 0
  end
  redis.call('SET', KEYS[1], holder, 'PX', ARGV[2])
  return tonumber(number)
end
if ARGV[3] ~= 'acquire' then
  return 0
end
-- Higher than any before, also when Redis has forgotten those: so it goes by the clock.
local now = redis.call('TIME')[1] * 1000
local number = math.max(now, (tonumber(redis.call('GET', KEYS[2])) or 0) + 1)
redis.call('SET', KEYS[2], string.format('%.0f', number))
redis.call('SET', KEYS[1], string.format('%.0f', number) .. ' ' .. ARGV[1], 'PX', ARGV[2])
return number
