-- Removes a node that stops, and its demand. KEYS: nodes, node, demand of the node
-- ARGV: node, demand channel
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('PUBLISH', ARGV[2], ARGV[1])
return 0
