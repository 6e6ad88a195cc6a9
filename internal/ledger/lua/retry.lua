-- Sends a delivery that failed, is blocked or was unpublished on its way again,
-- with a fresh round of attempts.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] what: "retried" by a person, "replayed" by the clock
-- Returns {outcome, turns}; outcome OK, GONE (no such delivery), or the state
-- that does not allow it.
local id = ARGV[1]
local state = get(id, 'state')
if not state then return { 'GONE', {} } end
if state ~= 'failed' and state ~= 'blocked' and state ~= 'unpublished' then return { state, {} } end
set(id, 'attempts', 0)
redis.call('HDEL', dkey(id), 'next', 'crashes', 'throttled')
if ARGV[2] == 'replayed' then redis.call('HINCRBY', dkey(id), 'replays', 1) else redis.call('HDEL', dkey(id), 'replays') end
event(id, { what = ARGV[2] })
wait(id)
return { 'OK', turns(get(id, 'connector')) }
