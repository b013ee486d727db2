-- All notices. KEYS: board
return redis.call('HGETALL', KEYS[1])
