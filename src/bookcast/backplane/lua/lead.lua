-- Acquires or renews the lock of the feed. KEYS: lock, highest fencing token
-- ARGV: node, ms to live, "acquire" or "renew", this node's fencing token, 0 if it doesn't hold it
-- Returns the node's fencing token, 0 when another node holds the lock or it may not be acquired;
-- and 1 when the lock was free before.
local holder = redis.call('GET', KEYS[1])
if holder then
  local number, node = string.match(holder, '^(%d+) (.*)$')
  if node ~= ARGV[1] then
    return {0, 0}
  end
  redis.call('SET', KEYS[1], holder, 'PX', ARGV[2])
  return {tonumber(number), 0}
end
if ARGV[3] ~= 'acquire' then
  return {0, 0}
end
local highest, number = tonumber(redis.call('GET', KEYS[2])) or 0, tonumber(ARGV[4])
if number == 0 or highest > number then
  -- The clock makes it higher than any before, also when Redis has lost those.
  local time = redis.call('TIME')
  number = math.max(time[1] * 1000 + math.floor(time[2] / 1000), highest + 1)
end -- else the lock had expired, but nobody has held it since: calls under way stay valid
redis.call('SET', KEYS[2], string.format('%.0f', number))
redis.call('SET', KEYS[1], string.format('%.0f', number) .. ' ' .. ARGV[1], 'PX', ARGV[2])
return {number, 1}
