-- Returns how many topics a shard has. KEYS: set of topic names
return redis.call('SCARD', KEYS[1])
