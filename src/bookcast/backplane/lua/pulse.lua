-- A node lives: what it says of itself, what it wants, and a word to itself, by which it knows
-- that it can be spoken to.
-- KEYS: nodes, node, demand of the node
-- ARGV: node, what it says of itself, ms to live, what a node's key begins with, its channel
-- Gives 1 when it was known to live, what Redis this is (another one after it was started anew, and
-- after a replica took over), then the living: name and what each says of itself.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('EXISTS', KEYS[2])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000)
redis.call('PEXPIRE', KEYS[3], ARGV[3])
redis.call('PUBLISH', ARGV[5], 'pulse')
local this = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
local living = {known, this}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local said = redis.call('GET', ARGV[4] .. name)
  if said then
    living[#living + 1] = name
    living[#living + 1] = said
  end
end
return living
