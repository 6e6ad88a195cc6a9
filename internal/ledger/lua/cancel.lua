-- Cancels a delivery; an attempt that is under way loses it.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] why, in a word  [3] "1" for a backfill that takes it back: only if it is
-- historical, not under way, and no producer brought it since (taken over); it may come again (back)
-- Returns {outcome, turns}; outcome OK (also if it was cancelled before), GONE
-- (no such delivery), or "complete" or "unpublished", which cannot be cancelled.
local id = ARGV[1]
local state = get(id, 'state')
if not state then return { 'GONE', {} } end
if state == 'complete' or state == 'unpublished' then return { state, {} } end
if state == 'cancelled' then return { 'OK', {} } end
if ARGV[3] == '1' then
  if state == 'running' or get(id, 'queue') ~= BACKFILL or get(id, 'taken') then return { 'KEPT', {} } end
  set(id, 'taken', 'back')
end
ebb(id)
local freed = leave(id)
to_state(id, 'cancelled')
not_due(id)
redis.call('DEL', P .. 'st:' .. id)
event(id, { what = 'cancelled', code = ARGV[2] })
if ARGV[3] ~= '1' and not con(get(id, 'connector')).deleted then note(get(id, 'connector'), 'cancelled', id) end
return { 'OK', turns(get(id, 'connector'), freed) }
