-- Returns the names of all topics that some node wants. KEYS: the demands of the nodes
if #KEYS == 0 then
  return {}
end
return redis.call('SUNION', unpack(KEYS))
