-- How many topics a shard has. KEYS: topics.
return redis.call('SCARD', KEYS[1])
