-- Ends an attempt that did not complete its delivery.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] fence  [3] how: retrying, failed, blocked, released
-- ARGV[4] delay until the next attempt; of a failed one: until its replay, 0 for none
-- ARGV[5] stage  [6] verdict  [7] code  [8] action  [9] grace  [10] "1" if it costs an attempt
-- ARGV[11] longest time a delivery may stay throttled: then it fails
-- ARGV[12] failures in a row, by the destination, after which a connector is paused; "0" if
--          this failure was not the destination's
-- Returns {1, how it ended, when the next attempt may start, turns, "1" if the connector was
-- paused for it}, or {0} if the attempt no longer holds the delivery.
local id, how, delay = ARGV[1], ARGV[3], tonumber(ARGV[4])
local grace, limit = tonumber(ARGV[9]), tonumber(ARGV[12])
if not holds(id, ARGV[2]) then return { 0 } end
local attempt, connector = num(get(id, 'attempts')), get(id, 'connector')
if ARGV[10] ~= '1' then add(id, 'attempts', -1) end
if how == 'released' then
  event(id, { what = 'released', attempt = attempt })
  if paused(connector) then return { 1, 'waiting', '0', turns(connector, hold(id)), '0' } end
  to_state(id, 'queued')
  unset(id, 'nonce', 'lease')
  due(id, NOW + grace)
  return { 1, 'queued', tostring(NOW), {}, '0' }
end

if ARGV[6] ~= 'throttled' then
  unset(id, 'throttled')
else
  if not get(id, 'throttled') then set(id, 'throttled', NOW) end
  if NOW - num(get(id, 'throttled')) > tonumber(ARGV[11]) then how, delay = 'failed', 0 end
end

set(id, 'stage', ARGV[5], 'verdict', ARGV[6], 'code', ARGV[7], 'action', ARGV[8])
local next = 0
if delay > 0 then
  -- The queue keeps whole seconds: round up, so that nothing starts early.
  next = math.ceil((NOW + delay) / 1000) * 1000
end
event(id, { what = how, stage = ARGV[5], verdict = ARGV[6], code = ARGV[7], action = ARGV[8], attempt = attempt, next = next })
if how == 'retrying' then
  if paused(connector) then return { 1, 'waiting', '0', turns(connector, hold(id)), '0' } end
  to_state(id, how)
  set(id, 'notbefore', NOW + delay, 'next', next)
  unset(id, 'nonce', 'lease')
  due(id, next + grace)
  return { 1, how, tostring(next), {}, '0' }
end

note(connector, how, id)
local freed = leave(id)
to_state(id, how)
not_due(id)
if next > 0 then
  set(id, 'next', next)
  due(id, next)
end
local pauses = '0'
if limit > 0 and num(get(id, 'replays')) == 0 and redis.call('HINCRBY', P .. 'cn:' .. connector, 'failures', 1) >= limit then
  local reason = string.format('%d deliveries in a row failed by the destination; the last: %s', limit, ARGV[7])
  if not con(connector).paused then
    redis.call('HSET', P .. 'cn:' .. connector, 'paused', pause_text(pause_changed('connector/' .. connector), reason, true))
    con(connector).paused, pauses = 'now', '1'
    note(connector, 'paused', '', reason)
  end
end
return { 1, how, tostring(next), turns(connector, freed), pauses }
