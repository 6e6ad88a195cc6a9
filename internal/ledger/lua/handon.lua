-- Hands a delivery on to its next task. It stays in flight and keeps its lane.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] fence  [3] next task  [4] grace
-- Returns {1, what is to be enqueued}, or {0} if the attempt no longer holds
-- the delivery.
local id = ARGV[1]
if not holds(id, ARGV[2]) then return { 0 } end
set(id, 'task', ARGV[3], 'attempts', 0)
unset(id, 'nonce', 'lease', 'verdict', 'code', 'action', 'crashes', 'throttled')
event(id, { what = 'handed on', task = ARGV[3] })
return { 1, enqueue(id, tonumber(ARGV[4])) }
