-- Writes one delivery of a run's generation into its connector's backlog. A
-- delivery that is there already is left as it is; one of an older generation
-- starts again as this one, and a running attempt loses it.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] generation  [3] workflow  [4] job  [5] kind  [6] task  [7] queue
-- ARGV[8] schema version  [9] run finished at  [10] grace
-- ARGV[11…] connector, as describe takes it: id, team, live queue, limit, destination, ordered, whom to tell
-- Returns {outcome, turns, what is to be enqueued, …}; outcome NEW, SAME or REPLACED.
-- One that is replaced in flight stays there, and keeps its lane.
local id, gen, connector, team = ARGV[1], tonumber(ARGV[2]), ARGV[11], ARGV[12]
describe({ connector, team, ARGV[13], ARGV[14], ARGV[15], ARGV[16], ARGV[17] })
local old = redis.call('HMGET', dkey(id), 'gen', 'created', 'fence', 'state', 'queue')
if old[1] and tonumber(old[1]) >= gen then return { 'SAME', turns(connector) } end

local created = old[2] or NOW
local flying = old[4] == 'queued' or old[4] == 'running' or old[4] == 'retrying'
if old[1] then
  if not flying then leave(id) end
  redis.call('DEL', P .. 'st:' .. id)
  -- What this generation replaces is the last one that was delivered, if any was.
  if old[4] == 'complete' then redis.call('HSET', dkey(id), 'replaces', old[1] .. '-' .. old[3]) end
  redis.call('HDEL', dkey(id), 'stage', 'verdict', 'code', 'action', 'rows', 'bytes', 'completed', 'replays', 'crashes', 'pin',
    'throttled', 'nonce', 'lease', 'notbefore', 'next')
end
set(id, 'gen', gen, 'team', team, 'workflow', ARGV[3], 'job', ARGV[4], 'connector', connector,
  'kind', ARGV[5], 'task', ARGV[6], 'queue', flying and old[5] or ARGV[7], 'version', ARGV[8], 'finished', ARGV[9], 'created', created, 'attempts', 0)
index(id, team, ARGV[3], connector, created)
if not old[1] then redis.call('HINCRBY', P .. 'run:' .. team .. '/' .. ARGV[3] .. '/' .. ARGV[4], 'live', 1) end
event(id, { what = old[1] and 'replaced' or 'planned' })
if flying then return { 'REPLACED', {}, enqueue(id, tonumber(ARGV[10])) } end
wait(id)
return { old[1] and 'REPLACED' or 'NEW', turns(connector) }
