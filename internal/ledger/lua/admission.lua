-- Who may go next within a slot; prepended, behind lib.lua, to the scripts
-- that change it.

-- whether a connector, or the destination that it is at, is paused. The pause
-- of "s3" is one of "s3/eu-central-1" too.
local function paused(connector)
  local c = redis.call('HMGET', P .. 'cn:' .. connector, 'paused', 'dest')
  if c[1] then return true end
  local dest = c[2] or ''
  while dest ~= '' do
    if redis.call('HEXISTS', P .. 'pz', dest) == 1 then return true end
    dest = string.match(dest, '^(.*)/[^/]*$') or ''
  end
  return false
end

-- how many deliveries of a queue the connector could send on now. Live ones
-- count against live ones alone: they never wait for a historical one.
local function room(connector, queue)
  local waiting = redis.call('ZCARD', P .. 'q:' .. queue .. ':' .. connector)
  if waiting == 0 or paused(connector) then return 0 end
  local c = redis.call('HMGET', P .. 'cn:' .. connector, 'queue', 'limit')
  local busy = redis.call('SCARD', P .. 'if:' .. c[1] .. ':' .. connector)
  if queue ~= c[1] then busy = busy + redis.call('SCARD', P .. 'if:' .. queue .. ':' .. connector) end
  return math.max(math.min(num(c[2]) - busy, waiting), 0)
end

-- how many deliveries of a queue a team could send on now, at least; exact up
-- to 32 connectors.
local function ready(queue, team)
  local n = 0
  for _, connector in ipairs(redis.call('ZRANGE', P .. 'rq:' .. queue .. ':' .. team, 0, 31)) do
    n = n + room(connector, queue)
  end
  return n
end

local function queues_of(connector)
  local c = redis.call('HMGET', P .. 'cn:' .. connector, 'queue', 'team')
  if c[1] == BACKFILL then return { BACKFILL }, c[2] end
  return { c[1], BACKFILL }, c[2]
end

-- notes whether a connector has room and work.
local function refresh(connector)
  local queues, team = queues_of(connector)
  for _, queue in ipairs(queues) do
    local rq = P .. 'rq:' .. queue .. ':' .. team
    if room(connector, queue) > 0 then
      redis.call('ZADD', rq, num(redis.call('HGET', P .. 'cn:' .. connector, 'served:' .. queue)), connector)
      redis.call('SADD', P .. 'tw:' .. queue, team)
    elseif redis.call('ZREM', rq, connector) == 1 and redis.call('ZCARD', rq) == 0 then
      redis.call('SREM', P .. 'tw:' .. queue, team)
    end
  end
end

-- what the caller is to tell the queues' windows after a change at a connector:
-- {queue, team, ticket that is free now or "", deliveries that could go on}.
local function turns(connector, freed)
  refresh(connector)
  local queues, team = queues_of(connector)
  local list = {}
  for _, queue in ipairs(queues) do
    local ticket, n = freed and freed[queue] or '', ready(queue, team)
    if ticket ~= '' or n > 0 then list[#list + 1] = { queue, team, ticket, tostring(n) } end
  end
  return list
end

local function lane(id)
  local d = redis.call('HMGET', dkey(id), 'connector', 'workflow')
  if redis.call('HGET', P .. 'cn:' .. d[1], 'ordered') ~= '1' then return nil end
  return d[1] .. '/' .. d[2], d[1]
end

local function backlog(id, connector) return P .. 'q:' .. get(id, 'queue') .. ':' .. connector end

-- the order of waiting deliveries: live ones as they came, behind them
-- historical ones, the oldest run first.
local function order(id)
  local d = redis.call('HMGET', dkey(id), 'queue', 'created', 'finished')
  if d[1] == BACKFILL then return 1e15 + num(d[3]) end
  return num(d[2])
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
  redis.call('HSET', P .. 'cn:' .. connector, 'served:' .. queue, redis.call('INCR', P .. 'served'))
  return id
end

-- takes a delivery out of flight, its lane or the backlog, wherever it is.
-- Returns the ticket that is free now, by its queue.
local function leave(id)
  local d = redis.call('HMGET', dkey(id), 'connector', 'queue')
  local connector, queue = d[1], d[2] or '' -- one that was restored has none
  redis.call('HDEL', dkey(id), 'nonce', 'lease', 'notbefore', 'next')
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

-- keeps what the planner and the sweep know of a connector:
-- {id, team, live queue, limit, destination, "1" if ordered, whom to tell}
local function describe(c)
  redis.call('SADD', P .. 'cns', c[1])
  redis.call('HSET', P .. 'cn:' .. c[1], 'team', c[2], 'queue', c[3], 'limit', c[4], 'dest', c[5], 'ordered', c[6], 'notify', c[7] or '')
end
