-- Completes a delivery.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] fence  [3] rows  [4] bytes
-- Returns {1, turns}, or {0} if the attempt no longer holds the delivery. A
-- repeated call answers {1, {}}.
local id = ARGV[1]
local d = redis.call('HMGET', dkey(id), 'state', 'fence', 'attempts', 'connector')
if d[1] == 'complete' and d[2] == ARGV[2] then return { 1, {} } end
if not holds(id, ARGV[2]) then return { 0 } end
local freed = leave(id)
to_state(id, 'complete')
set(id, 'rows', ARGV[3], 'bytes', ARGV[4])
redis.call('HDEL', dkey(id), 'verdict', 'code', 'action', 'crashes', 'replays', 'task', 'pin', 'throttled')
not_due(id)
redis.call('DEL', P .. 'st:' .. id)
redis.call('HDEL', P .. 'cn:' .. d[4], 'failures')
event(id, { what = 'complete', attempt = num(d[3]) })
note(d[4], 'complete', id)
return { 1, turns(d[4], freed) }
