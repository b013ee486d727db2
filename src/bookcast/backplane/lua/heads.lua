-- Reads the positions of topics. KEYS: topics
-- Returns per topic: epoch and seq, empty where it is unknown, and a note: the reason why its
-- publisher is gone, if nobody has published since; "removed" where the topic was removed; else "".
local heads = {}
for index = 1, #KEYS do
  local known = redis.call('HMGET', KEYS[index], 'e', 's', 'g', 'x')
  local epoch, seq, note = known[1] or '', known[2] or '', ''
  if known[3] then
    local at, reason = string.match(known[3], '^(%S+ %d+) (.*)$')
    if at == epoch .. ' ' .. seq then
      note = reason
    end
  elseif known[4] and epoch == '' then
    note = 'removed'
  end
  heads[3 * index - 2] = epoch
  heads[3 * index - 1] = seq
  heads[3 * index] = note
end
return heads
