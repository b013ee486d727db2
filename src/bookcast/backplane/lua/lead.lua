-- Who runs the feed. KEYS: lock, number. ARGV: node, ms to live, "acquire" or "renew", the number
-- under which this node runs it so far, 0 if it doesn't
-- Gives the number under which it holds the lock, 0 when another does or nobody may; and 1 when it
-- was free before.
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
  -- Higher than any before, also when Redis has forgotten those: so it goes by the clock.
  local time = redis.call('TIME')
  number = math.max(time[1] * 1000 + math.floor(time[2] / 1000), highest + 1)
end -- else its time had run out, but nobody has had it since: what is under way still counts
redis.call('SET', KEYS[2], string.format('%.0f', number))
redis.call('SET', KEYS[1], string.format('%.0f', number) .. ' ' .. ARGV[1], 'PX', ARGV[2])
return {number, 1}
