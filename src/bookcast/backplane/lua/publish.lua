-- Publishes updates of one shard: gives positions, stores the newest and the history, and notifies
-- subscribers. It does all of it or nothing.
-- KEYS: fence, producer, set of topic names, then per run: topic, history; where a run has an
--       idempotency key, at the end: the hash of idempotency keys, the set of their times
-- ARGV: number of the call, fencing token or "", part of the names of new epochs, history size,
--       seconds to keep a topic, "" or in a retry the replication id of the first attempt, then per
--       run: name, channel, continuity, server_ms, a letter for each record ("h": it is kept in the
--       history, "s": it isn't), then the records
--       continuity: "" where the run continues the topic, "r" where updates before it are lost, or
--       "o", epoch, space and seq: the same, but it was published at that position before, and is
--       dropped if the topic has a newer update since
--       a run with an idempotency key has one record and an upper-case letter, and the key and the
--       hash of its content follow
-- A run is what one call publishes of one topic. Returns per run: epoch, seq of its last update. For
-- a known idempotency key these are the earlier ones, or an empty epoch if the content differs.
-- An epoch's name begins with its starting time, so that two epochs can be ordered.
local number, fence = ARGV[1], ARGV[2]

-- A retry, since the reply of the first attempt was lost: return that reply.
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

local function begun(name)
  return tonumber(string.match(name, '^(%d+)-')) or 0
end

-- A Redis that was restarted, or was a replica before, may lack the last updates.
local this = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
if ARGV[6] ~= '' and ARGV[6] ~= this then
  return redis.error_reply('UNSURE it may have been done before Redis became another one')
end

if fence ~= '' then
  local highest = redis.call('GET', KEYS[1])
  if highest and tonumber(highest) > tonumber(fence) then
    return redis.error_reply('FENCED another node runs the feed')
  end
end

-- Idempotency keys.
local KEEP_ONCE, MAX_ONCE = 600000, 10000

local function done_before(once, content, now)
  local first = redis.call('HGET', KEYS[#KEYS - 1], once)
  if not first then
    return nil
  end
  local at, epoch, seq = string.match(string.sub(first, #content + 1), '^(%d+) (%S+) (%d+)$')
  if now - tonumber(at) >= KEEP_ONCE then
    return nil
  end
  if string.sub(first, 1, #content) ~= content then
    return {'', '0'}
  end
  return {epoch, seq}
end

local function keep_once(once, content, now, micros, epoch, seq)
  local all, times = KEYS[#KEYS - 1], KEYS[#KEYS]
  redis.call('HSET', all, once, content .. string.format('%.0f', now) .. ' ' .. epoch .. ' ' .. seq)
  redis.call('ZADD', times, micros, once)
  local old = redis.call('ZRANGEBYSCORE', times, '-inf', micros - KEEP_ONCE * 1000, 'LIMIT', 0, 100)
  local over = redis.call('ZCARD', times) - MAX_ONCE
  if over > #old then
    old = redis.call('ZRANGE', times, 0, over - 1)
  end
  for _, one in ipairs(old) do
    redis.call('ZREM', times, one)
    redis.call('HDEL', all, one)
  end
  redis.call('PEXPIRE', all, KEEP_ONCE)
  redis.call('PEXPIRE', times, KEEP_ONCE)
end

local fresh, size, keep = ARGV[3], ARGV[4], ARGV[5]
local reply, at, key = {}, 7, 4
while at <= #ARGV do
  local topic, history = KEYS[key], KEYS[key + 1]
  local name, channel, continuity = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local server_ms, letters = ARGV[at + 3], ARGV[at + 4]
  local count = #letters
  local once, content, found, now, micros
  if string.find(letters, '^%u$') then
    once, content = ARGV[at + 6], ARGV[at + 7]
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
    micros = time[1] * 1000000 + time[2]
    found = done_before(once, content, now)
    letters = string.lower(letters)
  end
  local known = redis.call('HMGET', topic, 'e', 's', 'r', 'm', 'x')
  local epoch, seq = known[1], tonumber(known[2]) or 0
  local late_epoch, late_seq = string.match(continuity, '^o(.*) (%d+)$')
  local is_old = false
  if late_epoch and not epoch and known[5] then
    is_old, epoch, seq = true, late_epoch, tonumber(late_seq) -- the topic was removed
  elseif late_epoch and epoch == late_epoch then
    is_old = seq >= tonumber(late_seq)
  elseif late_epoch and epoch and begun(late_epoch) > 0 then
    is_old = begun(epoch) > begun(late_epoch)
  elseif late_epoch and epoch then
    is_old = tonumber(known[4]) >= tonumber(server_ms) -- published in an outage: clocks decide
  end
  if found then
    epoch, seq = found[1], found[2]
  elseif not is_old then
    local breaks = not epoch or known[3] ~= this or continuity ~= ''
    if breaks then
      local time = redis.call('TIME')
      local now = time[1] * 1000 + math.floor(time[2] / 1000)
      if epoch then
        now = math.max(now, begun(epoch) + 1)
      end
      -- A topic may begin more than one epoch in a call, so the name has the index of the run's key.
      epoch = string.format('%.0f-%s-%d', now, fresh, key)
    end
    local lengths, records = {}, {}
    for index = 1, count do
      records[index] = ARGV[at + 4 + index]
      lengths[index] = #records[index]
    end
    -- A full Redis refuses this first write, and then nothing was written. It refuses no later one.
    redis.call('HSET', topic, 'e', epoch, 's', seq + count, 'r', this, 'm', server_ms,
      'd', records[count])
    redis.call('EXPIRE', topic, keep)
    if not known[1] then
      redis.call('SADD', KEYS[3], name)
      redis.call('HDEL', topic, 'x')
    end
    if breaks then
      redis.call('DEL', history)
    end
    for index = 1, count do
      if string.sub(letters, index, index) == 'h' then
        redis.call('XADD', history, 'MAXLEN', '~', size, (seq + index) .. '-0', 'd', records[index])
      end
    end
    -- Final candles are kept as long as candles are forming.
    redis.call('EXPIRE', history, keep)
    seq = seq + count
    redis.call('PUBLISH', channel,
      name .. '\t' .. epoch .. '\t' .. seq .. '\t' .. table.concat(lengths, '\t') .. '\n'
        .. table.concat(records))
    if once then
      keep_once(once, content, now, micros, epoch, tostring(seq))
    end
  end
  reply[#reply + 1] = epoch
  reply[#reply + 1] = tostring(seq)
  at = at + 5 + count
  if once then
    at = at + 2
  end
  key = key + 2
end
redis.call('SET', KEYS[2], number .. ' ' .. cmsgpack.pack(reply), 'EX', keep)
if fence ~= '' then
  redis.call('SET', KEYS[1], fence)
end
return reply
