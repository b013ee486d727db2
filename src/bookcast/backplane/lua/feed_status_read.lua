-- Returns all notices of the feed status board. KEYS: board
return redis.call('HGETALL', KEYS[1])
