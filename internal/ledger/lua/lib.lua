-- Shared by every script of the ledger; prepended to each.
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
--   q:<connector>    ZSET  backlog → created at
--   if:<connector>   SET   deliveries in flight
--   limits           HASH  connector → most deliveries in flight
--   ix:s:<state>, ix:t:<team>, ix:c:<connector>, ix:w:<workflow>  ZSET → created at
--
-- Times are milliseconds of Redis's own clock: workers' clocks differ.

local P = KEYS[1]
local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)
local HISTORY = 100

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

-- settled: the delivery leaves its connector's in-flight set.
local function leave(id)
  redis.call('SREM', P .. 'if:' .. get(id, 'connector'), id)
  redis.call('HDEL', dkey(id), 'nonce', 'lease', 'notbefore', 'next')
end

-- hands the delivery to the queue: the caller enqueues what it is given, and
-- the sweep does where the caller could not.
local function enqueue(id, grace)
  local n = redis.call('HINCRBY', dkey(id), 'enqueue', 1)
  to_state(id, 'queued')
  due(id, NOW + grace)
  local d = redis.call('HMGET', dkey(id), 'task', 'gen')
  return { id, d[1], d[2], tostring(n) }
end

-- fills a connector's in-flight set from its backlog, oldest first.
local function admit(connector, grace, ready)
  local limit = tonumber(redis.call('HGET', P .. 'limits', connector) or 4)
  while redis.call('SCARD', P .. 'if:' .. connector) < limit do
    local head = redis.call('ZRANGE', P .. 'q:' .. connector, 0, 0)
    if #head == 0 then break end
    redis.call('ZREM', P .. 'q:' .. connector, head[1])
    redis.call('SADD', P .. 'if:' .. connector, head[1])
    ready[#ready + 1] = enqueue(head[1], grace)
  end
  return ready
end

-- puts a delivery (back) into its connector's backlog.
local function wait(id)
  to_state(id, 'waiting')
  not_due(id)
  redis.call('ZADD', P .. 'q:' .. get(id, 'connector'), get(id, 'created'), id)
end

-- whether the caller holds the delivery: its fence is the last one given, and
-- nobody replaced, cancelled or settled it since.
local function holds(id, fence)
  local d = redis.call('HMGET', dkey(id), 'state', 'fence')
  return d[1] == 'running' and d[2] == fence
end
