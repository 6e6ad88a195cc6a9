-- Shared by every script on deliveries; prepended to each.
--
-- KEYS[1] is always the prefix of one slot, "wb:{s07}:". All other keys are
-- made from it, so that a script stays within one hash slot of a Cluster.
--
--   d:<delivery>     HASH  the delivery, and its history: n is the number of events so far,
--                          e<1> to e<n> are the events, of which the last 100 are kept
--   st:<delivery>    HASH  stage → result of the recorded step (JSON)
--   run:<run>        HASH  the run as it was accepted; live is the number of its deliveries here; historical is there
--                          while only a backfill brought it; alias is another revision that means the same
--   plan             ZSET  runs to be planned → accepted at
--   idle             ZSET  runs that became no delivery → planned at
--   horizon          a run that finished before and is not here may be known to our bucket
--   versions:<team>/<workflow>  HASH  fingerprint of a descriptor → schema version; last → the highest
--   schemas:<team>/<workflow>   HASH  schema version → descriptor (JSON)
--   workflows        SET   team/workflow that have schema versions
--   trim             what is being exported and trimmed (JSON), see trim.go
--   due              ZSET  deliveries → when to look after them next (the outbox)
--   ix:s:<state>, ix:c:<connector>, ix:w:<workflow>  ZSET  deliveries → created at
--   teams            SET   teams with deliveries
--   cs:<team>        SET   connectors of the team with deliveries: together their ix:c are the team's index
--
-- A delivery takes less than 1 KB with all of this, because Redis packs a hash
-- whose values are at most 64 bytes: what every delivery has is kept short.
--
-- Admission (see admission.go):
--
--   cn:<connector>             HASH  team, queue, limit, dest, ordered, notify (whom to tell), paused, failures, deleted, held (historical ones wait)
--   cns                        SET   connectors
--   pz                         HASH  paused destination → why (JSON)
--   q:<queue>:<connector>      ZSET  deliveries that may go next → their order
--   open:<queue>:<connector>   ZSET  deliveries that are not settled → when they came into the backlog
--   if:<queue>:<connector>     SET   deliveries in flight
--   fl:<queue>                 HASH  delivery in flight → its ticket
--   ln:<lane>                  ZSET  deliveries that wait for an ordered connector's lane → their order
--   lane:holder, lane:offer    HASH  lane → delivery that holds it; that is offered in q:
--   lane:fence                 HASH  lane → last fence given in it
--   lane:ebb                   HASH  lane → until when an attempt that lost its delivery may be at work in it
--   op:<lane>                  HASH  nonce, until, fence of the operation that has the lane
--   rq:<queue>:<team>          ZSET  connectors with room and work → when they were last served
--   tw:<queue>                 SET   teams with such connectors
--
-- Times are milliseconds of Redis's own clock: workers' clocks differ.

local P = KEYS[1]
local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)
local AT = string.format('%d', NOW)
local HISTORY = 100
local BACKFILL = 'backfill' -- the queue of historical deliveries

local function dkey(id) return P .. 'd:' .. id end

local function num(v) return tonumber(v or 0) or 0 end

-- Deliveries as the script sees them. Each is read once, and what changes is
-- written once, at the script's end: see flush. What most scripts want is read
-- at first, the rest when it is asked for.
local deliveries, changes = {}, {}

local function delivery(id)
  local d = deliveries[id]
  if not d then
    local v = redis.call('HMGET', dkey(id), 'gen', 'state', 'connector', 'workflow', 'queue', 'created', 'fence', 'attempts', 'n')
    d = { gen = v[1], state = v[2], connector = v[3], workflow = v[4], queue = v[5], created = v[6], fence = v[7], attempts = v[8], n = v[9] }
    deliveries[id] = d
  end
  return d
end

-- a field's text, or false where it has none.
local function get(id, field)
  local d = delivery(id)
  if d[field] == nil then d[field] = redis.call('HGET', dkey(id), field) end
  return d[field]
end

-- what is to be written of a delivery.
local function change(id)
  changes[id] = changes[id] or { set = {}, gone = {} }
  return changes[id]
end

-- sets fields: name, value, ….
local function set(id, ...)
  local d, list, given = delivery(id), change(id), { ... }
  for i = 1, #given, 2 do
    local field, value = given[i], given[i + 1]
    if type(value) == 'number' then value = string.format('%d', value) end
    d[field], list.gone[field] = value, nil
    list.set[#list.set + 1] = field
    list.set[#list.set + 1] = value
  end
end

local function unset(id, ...)
  local d, gone = delivery(id), change(id).gone
  for _, field in ipairs({ ... }) do
    if d[field] ~= false then d[field], gone[field] = false, true end
  end
end

-- adds to a number, and returns the sum.
local function add(id, field, n)
  local sum = num(get(id, field)) + n
  set(id, field, sum)
  return sum
end

-- writes what changed. It is called at the end of every script.
local function flush()
  for id, list in pairs(changes) do
    if #list.set > 0 then redis.call('HSET', dkey(id), 'updated', AT, unpack(list.set)) end
    local gone = {}
    for field in pairs(list.gone) do gone[#gone + 1] = field end
    if #gone > 0 then redis.call('HDEL', dkey(id), unpack(gone)) end
  end
end

-- notes what happened: "<ms since created>|what|attempt|stage|ms|verdict|code|next|action",
-- without the empty ones at its end.
local function event(id, e)
  local what = { e.attempt or '', e.stage or '', e.ms or '', e.verdict or '', e.code or '', e.next or '', e.action or '' }
  local last = 0
  for i = 1, 7 do
    if what[i] == 0 then what[i] = '' end
    if what[i] ~= '' then last = i end
    if type(what[i]) == 'number' then what[i] = string.format('%d', what[i]) end
  end
  local text = string.format('%d|%s', NOW - num(get(id, 'created')), e.what)
  if last > 0 then text = text .. '|' .. table.concat(what, '|', 1, last) end
  local n = add(id, 'n', 1)
  set(id, string.format('e%d', n), text)
  if n > HISTORY then unset(id, 'e' .. (n - HISTORY)) end
end

local function to_state(id, state)
  local from = get(id, 'state')
  if from and from ~= state then redis.call('ZREM', P .. 'ix:s:' .. from, id) end
  if from ~= state then redis.call('ZADD', P .. 'ix:s:' .. state, get(id, 'created'), id) end
  set(id, 'state', state)
end

-- puts a delivery into the indexes that it never leaves until it is trimmed.
local function index(id, team, workflow, connector, created)
  redis.call('ZADD', P .. 'ix:w:' .. workflow, created, id)
  redis.call('ZADD', P .. 'ix:c:' .. connector, created, id)
  redis.call('SADD', P .. 'cs:' .. team, connector)
  redis.call('SADD', P .. 'teams', team)
end

local function due(id, at) redis.call('ZADD', P .. 'due', string.format('%d', at), id) end
local function not_due(id) redis.call('ZREM', P .. 'due', id) end

-- whether the caller holds the delivery: its fence is the last one given, and
-- nobody replaced, cancelled or settled it since.
local function holds(id, fence) return get(id, 'state') == 'running' and get(id, 'fence') == fence end

-- what the caller is to put into the queue: {delivery, task, generation, enqueue, queue}.
local function task(id)
  local enqueue = add(id, 'enqueue', 1)
  return { id, get(id, 'task'), get(id, 'gen'), string.format('%d', enqueue), get(id, 'queue') }
end

-- hands the delivery to the queue: the caller enqueues what it is given, and
-- the sweep does where the caller could not.
local function enqueue(id, grace)
  to_state(id, 'queued')
  due(id, NOW + grace)
  return task(id)
end

-- has a run that is not here looked up in our bucket, if it finished before now.
local function look_up_before_now()
  local horizon = NOW + 600000 -- finish times are of other clocks, which may be ahead
  if horizon > num(redis.call('GET', P .. 'horizon')) then redis.call('SET', P .. 'horizon', horizon) end
end

-- drops a run that has no delivery left, but for those that come with it when
-- it is planned.
local function forget_run(run, change, finished)
  local key = P .. 'run:' .. run
  if redis.call('EXISTS', key) == 0 or redis.call('HINCRBY', key, 'live', change) > 0 or redis.call('ZSCORE', P .. 'plan', run) then return end
  redis.call('DEL', key)
  redis.call('ZREM', P .. 'idle', run)
  if tonumber(finished) > num(redis.call('GET', P .. 'horizon')) then redis.call('SET', P .. 'horizon', finished) end
end
