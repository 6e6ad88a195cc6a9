-- Begins an attempt at a delivery and gives it a fence.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] generation  [3] enqueue counter of the caller's task
-- ARGV[4] nonce of the caller  [5] lease  [6] most crashes
-- Returns {outcome, …}:
--   OK, poison, fence, run  the caller holds the delivery until its lease ends; poison is 1
--                        if too many of its attempts ended without a word: settle it, do not try;
--                        of its run revision, generation, schema version, and the run as JSON
--   BUSY, milliseconds   another attempt, or an operation in its lane, holds it that long at most
--   EARLY, milliseconds  its time has not come
--   GONE                 no such delivery, settled, or another task has taken this one's place
-- The same nonce gets the same fence again: the client repeats a script whose
-- reply was lost. A fence is greater than every one before it, in its whole
-- lane, and than any that a lost Redis could have given: it is at least the time.
local id = ARGV[1]

local function held(poison)
  local run = P .. 'run:' .. get(id, 'team') .. '/' .. get(id, 'workflow') .. '/' .. get(id, 'job')
  return { 'OK', poison, get(id, 'fence'), redis.call('HMGET', run, 'revision', 'gen', 'version', 'run') }
end

local state = get(id, 'state')
if get(id, 'gen') ~= ARGV[2] or get(id, 'enqueue') ~= ARGV[3] then return { 'GONE' } end
if state == 'running' then
  if get(id, 'nonce') == ARGV[4] then return held('0') end
  local lease = num(get(id, 'lease'))
  if lease > NOW then return { 'BUSY', tostring(lease - NOW) } end
elseif state ~= 'queued' and state ~= 'retrying' then
  return { 'GONE' }
elseif num(get(id, 'notbefore')) > NOW then
  return { 'EARLY', tostring(num(get(id, 'notbefore')) - NOW) }
end

local name = lane(id)
if name and operated(name) > 0 then return { 'BUSY', tostring(operated(name)) } end

local poison = '0'
if state ~= 'running' then
  add(id, 'attempts', 1)
elseif add(id, 'crashes', 1) > tonumber(ARGV[6]) then
  poison = '1'
end
local fence = math.max(num(get(id, 'fence')) + 1, NOW)
if name then
  fence = math.max(fence, num(redis.call('HGET', P .. 'lane:fence', name)) + 1)
  redis.call('HSET', P .. 'lane:fence', name, string.format('%d', fence))
end
local lease = NOW + tonumber(ARGV[5])
to_state(id, 'running')
set(id, 'fence', fence, 'nonce', ARGV[4], 'lease', lease)
unset(id, 'notbefore', 'next')
due(id, lease)
event(id, { what = 'started', attempt = num(get(id, 'attempts')) })
return held(poison)
