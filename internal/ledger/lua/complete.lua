-- Completes a delivery.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] fence  [3] rows  [4] bytes
-- Returns {1, turns}, or {0} if the attempt no longer holds the delivery. A
-- repeated call answers {1, {}}.
local id = ARGV[1]
if get(id, 'state') == 'complete' and get(id, 'fence') == ARGV[2] then return { 1, {} } end
if not holds(id, ARGV[2]) then return { 0 } end
local connector = get(id, 'connector')
local freed = leave(id)
to_state(id, 'complete')
set(id, 'rows', ARGV[3], 'bytes', ARGV[4])
unset(id, 'verdict', 'code', 'action', 'crashes', 'replays', 'task', 'pin', 'throttled')
not_due(id)
redis.call('DEL', P .. 'st:' .. id)
if con(connector).failures then redis.call('HDEL', P .. 'cn:' .. connector, 'failures') end
event(id, { what = 'complete', attempt = num(get(id, 'attempts')) })
note(connector, 'complete', id)
return { 1, turns(connector, freed) }
