-- A node's pulse: stores its description, keeps its demand alive, and sends a message to the node's
-- own channel, by which the node sees that it receives messages.
-- KEYS: nodes, node, demand of the node
-- ARGV: node, its description, ms to live, beginning of a node's key, its channel
-- Returns 1 when the node was known, the replication id (another one after a restart or when a
-- replica took over), then id and description of each living node.
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
