-- What all nodes want together. KEYS: their demands.
if #KEYS == 0 then
  return {}
end
return redis.call('SUNION', unpack(KEYS))
