-- Shared by every script on deliveries; prepended to each.
--
-- KEYS[1] is always the prefix of one slot, "wb:{s07}:". All other keys are
-- made from it, so that a script stays within one hash slot of a Cluster.
--
--   d:<delivery>     HASH  the delivery
--   st:<delivery>    HASH  stage → result of the recorded step (JSON)
--   ev:<delivery>    LIST  history, oldest first (JSON)
--   run:<run>        HASH  the run as it was accepted
--   plan             ZSET  runs to be planned → accepted at
--   due              ZSET  deliveries → when to look after them next (the outbox)
--   ix:s:<state>, ix:t:<team>, ix:c:<connector>, ix:w:<workflow>  ZSET → created at
--
-- Admission (see admission.go):
--
--   cn:<connector>             HASH  team, queue, limit, dest, ordered, paused, failures
--   cns                        SET   connectors
--   pz                         HASH  paused destination → why (JSON)
--   q:<queue>:<connector>      ZSET  deliveries that may go next → their order
--   if:<queue>:<connector>     SET   deliveries in flight
--   fl:<queue>                 HASH  delivery in flight → its ticket
--   ln:<lane>                  ZSET  deliveries that wait for an ordered connector's lane → their order
--   lane:holder, lane:offer    HASH  lane → delivery that holds it; that is offered in q:
--   lane:fence                 HASH  lane → last fence given in it
--   rq:<queue>:<team>          ZSET  connectors with room and work → when they were last served
--   tw:<queue>                 SET   teams with such connectors
--
-- Times are milliseconds of Redis's own clock: workers' clocks differ.

local P = KEYS[1]
local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)
local HISTORY = 100
local BACKFILL = 'backfill' -- the queue of historical deliveries

local function dkey(id) return P .. 'd:' .. id end

local function get(id, field) return redis.call('HGET', dkey(id), field) end

local function num(v) return tonumber(v or 0) or 0 end

local function set(id, ...)
  redis.call('HSET', dkey(id), 'updated', NOW, ...)
end

local function event(id, e)
  e.at = NOW
  redis.call('RPUSH', P .. 'ev:' .. id, cjson.encode(e))
  redis.call('LTRIM', P .. 'ev:' .. id, -HISTORY, -1)
end

local function to_state(id, state)
  local from = get(id, 'state')
  if from and from ~= state then redis.call('ZREM', P .. 'ix:s:' .. from, id) end
  redis.call('ZADD', P .. 'ix:s:' .. state, get(id, 'created'), id)
  set(id, 'state', state)
end

local function due(id, at) redis.call('ZADD', P .. 'due', at, id) end
local function not_due(id) redis.call('ZREM', P .. 'due', id) end

-- whether the caller holds the delivery: its fence is the last one given, and
-- nobody replaced, cancelled or settled it since.
local function holds(id, fence)
  local d = redis.call('HMGET', dkey(id), 'state', 'fence')
  return d[1] == 'running' and d[2] == fence
end

-- hands the delivery to the queue: the caller enqueues what it is given, and
-- the sweep does where the caller could not.
local function enqueue(id, grace)
  local n = redis.call('HINCRBY', dkey(id), 'enqueue', 1)
  to_state(id, 'queued')
  due(id, NOW + grace)
  local d = redis.call('HMGET', dkey(id), 'task', 'gen', 'queue')
  return { id, d[1], d[2], tostring(n), d[3] }
end
