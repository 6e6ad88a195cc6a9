-- Writes the deliveries of a run's generation into their connectors' backlogs,
-- and takes the run off the list of those to be planned. A delivery that is
-- there already is left as it is, but that one which a cancelled backfill took
-- back begins anew, and that a historical one is live from when a producer
-- brings its run: where it waits, or only that no backfill takes it back. One
-- of an older generation starts again as this one, and a running attempt loses
-- it. Of a run that was replaced meanwhile nothing is written: the replacement
-- is planned in its turn.
-- KEYS[1] slot prefix
-- ARGV[1] run  [2] generation  [3] team  [4] workflow  [5] job  [6] schema version
-- ARGV[7] run finished at  [8] grace  [9] "1" if these are all of its deliveries, "0" if they
-- are a backfill's  [10…] eleven for each delivery: id, kind, task, queue, and its connector:
-- id, team, live queue, limit, destination, "1" if ordered, whom to tell
-- Returns {turns, what is to be enqueued, …}. One that is replaced in flight
-- stays there, and keeps its lane.
local FIRST, EACH = 10, 11
local key, gen, team, workflow = P .. 'run:' .. ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local run = redis.call('HMGET', key, 'gen', 'live')
if num(run[1]) > gen then return { {} } end
local out, live = { {} }, 0

local function known(id, task, queue)
  local state, taken = get(id, 'state'), get(id, 'taken')
  local brought = get(id, 'queue') == BACKFILL and queue ~= BACKFILL
  if taken == 'back' or brought and state == 'waiting' then
    leave(id)
    unset(id, 'taken')
    set(id, 'queue', queue, 'task', task)
    event(id, { what = taken and 'planned' or 'live' })
    wait(id)
  elseif brought then
    set(id, 'taken', 'over')
  end
end

local function plan(id, kind, task, queue, connector)
  local was, state = get(id, 'gen'), get(id, 'state')
  if was and tonumber(was) >= gen then return known(id, task, queue) end
  local flying = state == 'queued' or state == 'running' or state == 'retrying'
  if was then
    ebb(id)
    if not flying then leave(id) end
    redis.call('DEL', P .. 'st:' .. id)
    -- What this generation replaces is the last one that was delivered, if any was.
    if state == 'complete' then set(id, 'replaces', was .. '-' .. get(id, 'fence')) end
    unset(id, 'stage', 'verdict', 'code', 'action', 'rows', 'bytes', 'completed', 'replays', 'crashes', 'pin',
      'throttled', 'nonce', 'lease', 'notbefore', 'next', 'taken')
  else
    live = live + 1
    set(id, 'created', AT)
  end
  set(id, 'gen', gen, 'team', team, 'workflow', workflow, 'job', ARGV[5], 'connector', connector, 'kind', kind, 'task', task,
    'version', ARGV[6], 'finished', ARGV[7], 'attempts', 0)
  if not flying then set(id, 'queue', queue) end
  index(id, team, workflow, connector, get(id, 'created'))
  event(id, { what = was and 'replaced' or 'planned' })
  if flying then out[#out + 1] = enqueue(id, tonumber(ARGV[8])) else wait(id) end
end

for i = FIRST, #ARGV, EACH do
  describe(i + 4)
  plan(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
end
if live > 0 then redis.call('HINCRBY', key, 'live', live) end
if ARGV[9] == '1' then
  if run[1] and num(run[2]) + live == 0 then redis.call('ZADD', P .. 'idle', AT, ARGV[1]) end
  redis.call('ZREM', P .. 'plan', ARGV[1])
end
for i = FIRST, #ARGV, EACH do
  for _, turn in ipairs(turns(ARGV[i + 4])) do out[1][#out[1] + 1] = turn end
end
return out
