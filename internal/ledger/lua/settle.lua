-- Ends an attempt that did not complete its delivery.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] fence  [3] how: retrying, failed, blocked, released
-- ARGV[4] delay until the next attempt; of a failed one: until its replay, 0 for none
-- ARGV[5] stage  [6] verdict  [7] code  [8] action  [9] grace  [10] "1" if it costs an attempt
-- ARGV[11] longest time a delivery may stay throttled: then it fails
-- Returns {1, how it ended, when the next attempt may start, what is to be enqueued in its
-- place, …}, or {0} if the attempt no longer holds the delivery.
local id, how, delay = ARGV[1], ARGV[3], tonumber(ARGV[4])
local grace = tonumber(ARGV[9])
if not holds(id, ARGV[2]) then return { 0 } end
local attempt = num(get(id, 'attempts'))
local next = 0
if ARGV[10] ~= '1' then redis.call('HINCRBY', dkey(id), 'attempts', -1) end
if how == 'released' then
  to_state(id, 'queued')
  redis.call('HDEL', dkey(id), 'nonce', 'lease')
  due(id, NOW + grace)
  event(id, { what = 'released', attempt = attempt })
  return { 1, how, tostring(NOW) }
end

if ARGV[6] == 'throttled' then
  redis.call('HSETNX', dkey(id), 'throttled', NOW)
  if NOW - num(get(id, 'throttled')) > tonumber(ARGV[11]) then how, delay = 'failed', 0 end
else
  redis.call('HDEL', dkey(id), 'throttled')
end

set(id, 'stage', ARGV[5], 'verdict', ARGV[6], 'code', ARGV[7], 'action', ARGV[8])
to_state(id, how)
if delay > 0 then
  -- The queue keeps whole seconds: round up, so that nothing starts early.
  next = math.ceil((NOW + delay) / 1000) * 1000
end
local ready = { 1, how, tostring(next) }
if how == 'retrying' then
  set(id, 'notbefore', NOW + delay, 'next', next)
  redis.call('HDEL', dkey(id), 'nonce', 'lease')
  due(id, next + grace)
else
  leave(id)
  not_due(id)
  if next > 0 then
    set(id, 'next', next)
    due(id, next)
  end
  admit(get(id, 'connector'), grace, ready)
end
event(id, { what = how, stage = ARGV[5], verdict = ARGV[6], code = ARGV[7], action = ARGV[8], attempt = attempt, next = next })
return ready
