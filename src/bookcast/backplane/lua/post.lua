-- Notices for all nodes, of the one that runs the feed. KEYS: board, fence of that node's lock
-- ARGV: channel, fence, "=" to begin anew or "+", what subscribers are told, then pairs of name and
-- notice; an empty one is taken away
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
