-- Writes one delivery of a run's generation, and admits what its connector
-- has room for. A delivery that is there already is left as it is; one of an
-- older generation starts again as this one, and a running attempt loses it.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] generation  [3] team  [4] workflow  [5] job  [6] connector  [7] kind
-- ARGV[8] task  [9] schema version  [10] run finished at  [11] most in flight  [12] grace
-- Returns {outcome, what is to be enqueued: {delivery, task, generation, enqueue}, …};
-- outcome NEW, SAME or REPLACED.
local id, gen, connector = ARGV[1], tonumber(ARGV[2]), ARGV[6]
redis.call('HSET', P .. 'limits', connector, ARGV[11])
local old = redis.call('HMGET', dkey(id), 'gen', 'created', 'state', 'fence')
if old[1] and tonumber(old[1]) >= gen then return { 'SAME' } end

local created = old[2] or NOW
if old[1] then
  leave(id)
  redis.call('DEL', P .. 'st:' .. id)
  -- What this generation replaces is the last one that was delivered, if any was.
  if old[3] == 'complete' then redis.call('HSET', dkey(id), 'replaces', old[1] .. '-' .. old[4]) end
  redis.call('HDEL', dkey(id), 'stage', 'verdict', 'code', 'action', 'rows', 'bytes', 'completed', 'replays', 'crashes', 'pin')
end
set(id, 'gen', gen, 'team', ARGV[3], 'workflow', ARGV[4], 'job', ARGV[5], 'connector', connector,
  'kind', ARGV[7], 'task', ARGV[8], 'version', ARGV[9], 'finished', ARGV[10], 'created', created, 'attempts', 0)
index(id, ARGV[3], ARGV[4], connector, created)
if not old[1] then redis.call('HINCRBY', P .. 'run:' .. ARGV[3] .. '/' .. ARGV[4] .. '/' .. ARGV[5], 'live', 1) end
event(id, { what = old[1] and 'replaced' or 'planned' })
wait(id)
return admit(connector, tonumber(ARGV[12]), { old[1] and 'REPLACED' or 'NEW' })
