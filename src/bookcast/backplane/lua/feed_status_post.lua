-- Posts notices of the node that runs the feed, and notifies all nodes. KEYS: board, highest fence
-- ARGV: channel, fencing token, "=" to replace all notices or "+" to change some, message to
--       subscribers, then pairs of name and notice; an empty notice removes the name
local highest = redis.call('GET', KEYS[2])
if highest and tonumber(highest) > tonumber(ARGV[2]) then
  return redis.error_reply('FENCED another node runs the feed')
end
if ARGV[3] == '=' then
  redis.call('DEL', KEYS[1])
end
for index = 5, #ARGV, 2 do
  if ARGV[index + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[index])
  else
    redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1])
  end
end
redis.call('PUBLISH', ARGV[1], ARGV[4])
return 0
