-- Gives positions to updates of one shard, keeps the newest and the history, tells subscribers: all
-- of it, or nothing.
-- KEYS: fence, producer, topics, then per run: topic, history
-- ARGV: number, fence or "", epoch for what begins anew, history size, seconds to keep, then per
--       run: name, channel, "r" where what came before is lost (or "o", epoch, space and seq of
--       what was published then: that too, but it is left out if something of that time or later is
--       known, which isn't from before that place), server_ms, for each record a letter ("h" where
--       every one counts), then the records
-- A run is what one call publishes of one topic. Gives per run: epoch, seq of its last update.
local number, fence = ARGV[1], ARGV[2]

-- A reply got lost, and the caller asks again: what was done then is the answer.
local done = redis.call('GET', KEYS[2])
if done then
  local last, reply = string.match(done, '^(%d+) (.*)$')
  if last == number then
    return cmsgpack.unpack(reply)
  end
  if tonumber(last) > tonumber(number) then
    return redis.error_reply('LATE what came after this is published already')
  end
end

if fence ~= '' then
  local highest = redis.call('GET', KEYS[1])
  if highest and tonumber(highest) > tonumber(fence) then
    return redis.error_reply('FENCED another node runs the feed')
  end
end

-- A Redis that was started anew may have lost what it had said last.
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local fresh, size, keep = ARGV[3], ARGV[4], ARGV[5]
local reply, at, key = {}, 6, 4
while at <= #ARGV do
  local topic, history = KEYS[key], KEYS[key + 1]
  local name, channel, resumes = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local server_ms, letters = ARGV[at + 3], ARGV[at + 4]
  local count = #letters
  local known = redis.call('HMGET', topic, 'e', 's', 'r', 'm')
  local epoch, seq = known[1], tonumber(known[2]) or 0
  local late_epoch, late_seq = string.match(resumes, '^o(.*) (%d+)$')
  local is_old = late_epoch and epoch and tonumber(known[4]) >= tonumber(server_ms)
    and not (epoch == late_epoch and seq < tonumber(late_seq))
  if not is_old then
    local breaks = not epoch or known[3] ~= run_id or resumes ~= ''
    if breaks then
      -- A topic may break more than once in one call.
      epoch = resumes ~= '' and fresh .. '-' .. key or fresh
    end
    local lengths, records = {}, {}
    for index = 1, count do
      records[index] = ARGV[at + 4 + index]
      lengths[index] = #records[index]
    end
    -- The first write is one that a full Redis refuses; after it, it refuses none.
    redis.call('HSET', topic, 'e', epoch, 's', seq + count, 'r', run_id, 'm', server_ms,
      'd', records[count])
    redis.call('EXPIRE', topic, keep)
    if not known[1] then
      redis.call('SADD', KEYS[3], name)
    end
    if breaks then
      redis.call('DEL', history)
    end
    local kept = false
    for index = 1, count do
      if string.sub(letters, index, index) == 'h' then
        kept = true
        redis.call('XADD', history, 'MAXLEN', '~', size, (seq + index) .. '-0', 'd', records[index])
      end
    end
    if kept then
      redis.call('EXPIRE', history, keep)
    end
    seq = seq + count
    redis.call('PUBLISH', channel,
      name .. '\t' .. epoch .. '\t' .. seq .. '\t' .. table.concat(lengths, '\t') .. '\n'
        .. table.concat(records))
  end
  reply[#reply + 1] = epoch
  reply[#reply + 1] = tostring(seq)
  at = at + 5 + count
  key = key + 2
end
redis.call('SET', KEYS[2], number .. ' ' .. cmsgpack.pack(reply), 'EX', keep)
if fence ~= '' then
  redis.call('SET', KEYS[1], fence)
end
return reply
