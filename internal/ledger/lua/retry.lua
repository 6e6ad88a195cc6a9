-- Sends a failed or blocked delivery on its way again, with a fresh round of attempts.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] what: "retried" by a person, "replayed" by the clock
-- Returns {outcome, turns}; outcome OK, GONE (no such delivery), or the state
-- that does not allow it.
local id = ARGV[1]
local state = get(id, 'state')
if not state then return { 'GONE', {} } end
if state ~= 'failed' and state ~= 'blocked' then return { state, {} } end
set(id, 'attempts', 0)
unset(id, 'next', 'crashes', 'throttled')
if ARGV[2] == 'replayed' then add(id, 'replays', 1) else unset(id, 'replays') end
event(id, { what = ARGV[2] })
wait(id)
return { 'OK', turns(get(id, 'connector')) }
