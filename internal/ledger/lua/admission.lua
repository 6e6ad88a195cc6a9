-- Who may go next within a slot; prepended, behind lib.lua, to the scripts
-- that change it.

-- What is known of a connector, read once.
local connectors = {}

local function con(name)
  local c = connectors[name]
  if not c then
    local v = redis.call('HMGET', P .. 'cn:' .. name, 'team', 'queue', 'limit', 'dest', 'ordered', 'notify', 'paused', 'failures', 'held', 'deleted')
    c = { team = v[1], queue = v[2], limit = v[3], dest = v[4], ordered = v[5], notify = v[6], paused = v[7], failures = v[8], held = v[9],
      deleted = v[10] }
    connectors[name] = c
  end
  return c
end

-- what the planner and the sweep know of a connector, in the order in which
-- they give it behind its id.
local DESCRIBED = { 'team', 'queue', 'limit', 'dest', 'ordered', 'notify' }

-- keeps what ARGV says of a connector from its id on.
local function describe(from)
  local name = ARGV[from]
  local known, change = con(name), {}
  local same = not known.deleted
  for i, field in ipairs(DESCRIBED) do
    local value = ARGV[from + i]
    same = same and known[field] == value
    known[field] = value
    change[2 * i - 1], change[2 * i] = field, value
  end
  if same then return end
  redis.call('SADD', P .. 'cns', name)
  redis.call('HSET', P .. 'cn:' .. name, unpack(change))
  redis.call('HDEL', P .. 'cn:' .. name, 'deleted')
end

local destinations -- that are paused

local function destination_paused(dest)
  if not destinations then
    destinations = {}
    for _, name in ipairs(redis.call('HKEYS', P .. 'pz')) do destinations[name] = true end
  end
  return destinations[dest]
end

-- whether a connector, or the destination that it is at, is paused. The pause
-- of "s3" is one of "s3/eu-central-1" too.
local function paused(connector)
  local c = con(connector)
  if c.paused then return true end
  local dest = c.dest or ''
  while dest ~= '' do
    if destination_paused(dest) then return true end
    dest = string.match(dest, '^(.*)/[^/]*$') or ''
  end
  return false
end

-- how many deliveries of a queue the connector could send on now. Live ones
-- count against live ones alone: they never wait for a historical one.
local function room(connector, queue)
  local waiting = redis.call('ZCARD', P .. 'q:' .. queue .. ':' .. connector)
  if waiting == 0 or paused(connector) then return 0 end
  local c = con(connector)
  if c.held and queue == BACKFILL then return 0 end
  local busy = redis.call('SCARD', P .. 'if:' .. c.queue .. ':' .. connector)
  if queue ~= c.queue then busy = busy + redis.call('SCARD', P .. 'if:' .. queue .. ':' .. connector) end
  return math.max(math.min(num(c.limit) - busy, waiting), 0)
end

local rooms = {} -- of connectors that were looked at since they changed
local served = {} -- connectors' numbers that were given here

-- notes whether a connector has room and work in a queue.
local function refresh_queue(connector, queue)
  local n, team = room(connector, queue), con(connector).team
  local rq = P .. 'rq:' .. queue .. ':' .. team
  rooms[queue .. '/' .. connector] = n
  if n > 0 then
    local number = served[queue .. '/' .. connector] or redis.call('HGET', P .. 'cn:' .. connector, 'served:' .. queue)
    redis.call('ZADD', rq, number or '0', connector)
    redis.call('SADD', P .. 'tw:' .. queue, team)
  elseif redis.call('ZREM', rq, connector) == 1 and redis.call('EXISTS', rq) == 0 then
    redis.call('SREM', P .. 'tw:' .. queue, team)
  end
end

-- how many deliveries of a queue a team could send on now, at least; exact up
-- to 32 connectors.
local function ready(queue, team)
  local n = 0
  for _, connector in ipairs(redis.call('ZRANGE', P .. 'rq:' .. queue .. ':' .. team, 0, 31)) do
    n = n + (rooms[queue .. '/' .. connector] or room(connector, queue))
  end
  return n
end

local function queues_of(connector)
  local live = con(connector).queue
  if live == BACKFILL then return { BACKFILL } end
  return { live, BACKFILL }
end

-- what the caller is to tell the queues' windows after a change at a connector:
-- {queue, team, ticket that is free now or "", deliveries that could go on}.
local function turns(connector, freed)
  local list, team = {}, con(connector).team
  local queues = queues_of(connector)
  for _, queue in ipairs(queues) do refresh_queue(connector, queue) end
  for _, queue in ipairs(queues) do
    local ticket, n = freed and freed[queue] or '', ready(queue, team)
    if ticket ~= '' or n > 0 then list[#list + 1] = { queue, team, ticket, tostring(n) } end
  end
  return list
end

-- whether a connector takes one run of a workflow at a time. Many a script asks
-- nothing else of a connector: then that alone is read.
local function ordered(connector)
  local known = connectors[connector]
  if known then return known.ordered == '1' end
  return redis.call('HGET', P .. 'cn:' .. connector, 'ordered') == '1'
end

local function lane(id)
  local connector = get(id, 'connector')
  if not ordered(connector) then return nil end
  return connector .. '/' .. get(id, 'workflow'), connector
end

-- how long an operation has a lane still; 0: none has.
local function operated(name)
  local left = num(redis.call('HGET', P .. 'op:' .. name, 'until')) - NOW
  return math.max(left, 0)
end

-- notes that an attempt which loses its delivery here may be at work for as
-- long as its lease ran: an operation in its lane waits for that.
local function ebb(id)
  local name, lease = lane(id), num(get(id, 'lease'))
  if name and get(id, 'state') == 'running' and lease > NOW then redis.call('HSET', P .. 'lane:ebb', name, lease) end
end

local function open(id) return P .. 'open:' .. (get(id, 'queue') or '') .. ':' .. get(id, 'connector') end

local function backlog(id, connector) return P .. 'q:' .. get(id, 'queue') .. ':' .. connector end

-- the order of waiting deliveries: live ones as they came, behind them
-- historical ones, the oldest run first.
local function order(id)
  if get(id, 'queue') == BACKFILL then return string.format('%.0f', 1e15 + num(get(id, 'finished'))) end
  return get(id, 'created')
end

-- offers the first of a free lane, and nothing of one that is held.
local function offer(name, connector)
  local now = redis.call('HGET', P .. 'lane:offer', name)
  local next = nil
  if redis.call('HEXISTS', P .. 'lane:holder', name) == 0 then
    next = redis.call('ZRANGE', P .. 'ln:' .. name, 0, 0)[1]
  end
  if now and now ~= next then
    redis.call('ZREM', backlog(now, connector), now)
    redis.call('HDEL', P .. 'lane:offer', name)
  end
  if next and now ~= next then
    redis.call('ZADD', backlog(next, connector), order(next), next)
    redis.call('HSET', P .. 'lane:offer', name, next)
  end
end

-- puts a delivery (back) into its connector's backlog.
local function wait(id)
  to_state(id, 'waiting')
  not_due(id)
  redis.call('ZADD', open(id), AT, id)
  local name, connector = lane(id)
  if name then
    redis.call('ZADD', P .. 'ln:' .. name, order(id), id)
    offer(name, connector)
  else
    redis.call('ZADD', backlog(id, get(id, 'connector')), order(id), id)
  end
end

-- takes the first of a connector's backlog in flight, with a ticket.
local function take(queue, connector, ticket)
  local id = redis.call('ZRANGE', P .. 'q:' .. queue .. ':' .. connector, 0, 0)[1]
  redis.call('ZREM', P .. 'q:' .. queue .. ':' .. connector, id)
  redis.call('SADD', P .. 'if:' .. queue .. ':' .. connector, id)
  redis.call('HSET', P .. 'fl:' .. queue, id, ticket)
  local name = lane(id)
  if name then
    redis.call('ZREM', P .. 'ln:' .. name, id)
    redis.call('HDEL', P .. 'lane:offer', name)
    redis.call('HSET', P .. 'lane:holder', name, id)
  end
  local number = string.format('%d', redis.call('INCR', P .. 'served'))
  redis.call('HSET', P .. 'cn:' .. connector, 'served:' .. queue, number)
  served[queue .. '/' .. connector] = number
  return id
end

-- takes a delivery out of flight, its lane or the backlog, wherever it is.
-- Returns the ticket that is free now, by its queue.
local function leave(id)
  local connector, queue = get(id, 'connector'), get(id, 'queue') or '' -- one that was restored has none
  unset(id, 'nonce', 'lease', 'notbefore', 'next')
  redis.call('ZREM', open(id), id)
  redis.call('SREM', P .. 'if:' .. queue .. ':' .. connector, id)
  redis.call('ZREM', P .. 'q:' .. queue .. ':' .. connector, id)
  local ticket = redis.call('HGET', P .. 'fl:' .. queue, id)
  redis.call('HDEL', P .. 'fl:' .. queue, id)
  local name = lane(id)
  if name then
    redis.call('ZREM', P .. 'ln:' .. name, id)
    if redis.call('HGET', P .. 'lane:holder', name) == id then redis.call('HDEL', P .. 'lane:holder', name) end
    offer(name, connector)
  end
  return { [queue] = ticket or '' }
end

-- sends a delivery that is in flight, and not being tried, back to the backlog
-- of its paused connector.
local function hold(id)
  local freed = leave(id)
  event(id, { what = 'held' })
  wait(id)
  return freed
end
