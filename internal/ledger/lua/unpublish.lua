-- Notes that a delivery's run was taken back from the customer.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] task  [3] queue of a retry
-- Returns {outcome, turns}; outcome OK (also if it was taken back before), GONE (no
-- such delivery), or the state of a delivery that is on its way.
local id = ARGV[1]
local state = get(id, 'state')
if not state then return { 'GONE', {} } end
if state == 'unpublished' then return { 'OK', {} } end
if state ~= 'complete' and state ~= 'failed' and state ~= 'blocked' and state ~= 'cancelled' then return { state, {} } end
to_state(id, 'unpublished')
not_due(id)
set(id, 'task', ARGV[2], 'queue', ARGV[3])
unset(id, 'rows', 'bytes', 'completed', 'next', 'verdict', 'code', 'action', 'stage')
redis.call('DEL', P .. 'st:' .. id)
event(id, { what = 'unpublished' })
note(get(id, 'connector'), 'unpublished', id)
return { 'OK', turns(get(id, 'connector')) }
