-- Begins an attempt at a delivery and gives it a fence.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] generation  [3] enqueue counter of the caller's task
-- ARGV[4] nonce of the caller  [5] lease  [6] most crashes
-- Returns {outcome, …}:
--   OK, poison, delivery, run  the caller holds the delivery until its lease ends; poison is 1
--                        if too many of its attempts ended without a word: settle it, do not try;
--                        then all fields of the delivery and of its run, as HGETALL gives them
--   BUSY, milliseconds   another attempt, or an operation in its lane, holds it that long at most
--   EARLY, milliseconds  its time has not come
--   GONE                 no such delivery, settled, or another task has taken this one's place
-- The same nonce gets the same fence again: the client repeats a script whose
-- reply was lost. A fence is greater than every one before it, in its whole
-- lane, and than any that a lost Redis could have given: it is at least the time.
local id = ARGV[1]

local function held(poison)
  local d = redis.call('HMGET', dkey(id), 'team', 'workflow', 'job')
  local run = redis.call('HGETALL', P .. 'run:' .. d[1] .. '/' .. d[2] .. '/' .. d[3])
  return { 'OK', poison, redis.call('HGETALL', dkey(id)), run }
end

local d = redis.call('HMGET', dkey(id), 'gen', 'state', 'fence', 'nonce', 'lease', 'notbefore', 'attempts', 'enqueue')
local state = d[2]
if d[1] ~= ARGV[2] or d[8] ~= ARGV[3] then return { 'GONE' } end
if state == 'running' then
  if d[4] == ARGV[4] then return held('0') end
  if num(d[5]) > NOW then return { 'BUSY', tostring(num(d[5]) - NOW) } end
elseif state ~= 'queued' and state ~= 'retrying' then
  return { 'GONE' }
elseif num(d[6]) > NOW then
  return { 'EARLY', tostring(num(d[6]) - NOW) }
end

local name = lane(id)
if name and operated(name) > 0 then return { 'BUSY', tostring(operated(name)) } end

local attempt, poison = num(d[7]), 0
if state == 'running' then
  if redis.call('HINCRBY', dkey(id), 'crashes', 1) > tonumber(ARGV[6]) then poison = 1 end
else
  attempt = attempt + 1
end
local fence = math.max(num(d[3]) + 1, NOW)
if name then
  fence = math.max(fence, num(redis.call('HGET', P .. 'lane:fence', name)) + 1)
  redis.call('HSET', P .. 'lane:fence', name, string.format('%d', fence))
end
local lease = NOW + tonumber(ARGV[5])
to_state(id, 'running')
set(id, 'fence', string.format('%d', fence), 'nonce', ARGV[4], 'lease', lease, 'attempts', attempt)
redis.call('HDEL', dkey(id), 'notbefore', 'next')
due(id, lease)
event(id, { what = 'started', attempt = attempt })
return held(tostring(poison))
