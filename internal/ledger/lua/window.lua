-- The window of one queue: how many deliveries may be in flight in it, and
-- whose turn is next. Prepended to the scripts below it.
--
-- KEYS[1] is the prefix of one queue, "wb:{adm:export}:".
--
--   window   STRING  most deliveries in flight
--   tickets  ZSET    ticket → when it was given; one for each delivery in flight
--   flight   ZSET    team → its tickets
--   waiting  ZSET    team that could send something on → its place: few tickets first, then served longest ago
--   want     HASH    team → how many deliveries it could send on
--   served   HASH    team → number of its last ticket
--   seq      STRING  number of the last ticket
--
-- A ticket is "<number>:<team>". A team's share of the window is even among
-- those in flight, those that wait, and one that may come.

local P = KEYS[1]
local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)
local PLACES = 2 ^ 40 -- more than tickets will ever be given

local function num(v) return tonumber(v or 0) or 0 end

local function flying(team) return num(redis.call('ZSCORE', P .. 'flight', team)) end

local function rank(team)
  local place = flying(team) * PLACES + num(redis.call('HGET', P .. 'served', team))
  redis.call('ZADD', P .. 'waiting', string.format('%.0f', place), team)
end

local function want(team, n)
  if n > 0 then
    redis.call('HSET', P .. 'want', team, n)
    rank(team)
  else
    redis.call('HDEL', P .. 'want', team)
    redis.call('ZREM', P .. 'waiting', team)
  end
end

local function hand_out(ticket, team, at)
  if redis.call('ZADD', P .. 'tickets', at, ticket) == 1 then redis.call('ZINCRBY', P .. 'flight', 1, team) end
end

-- takes a ticket back; one that was taken back before changes nothing.
local function take_back(ticket)
  if redis.call('ZREM', P .. 'tickets', ticket) == 0 then return end
  local team = string.match(ticket, '^[^:]*:(.*)$')
  if tonumber(redis.call('ZINCRBY', P .. 'flight', -1, team)) <= 0 then redis.call('ZREM', P .. 'flight', team) end
  if redis.call('ZSCORE', P .. 'waiting', team) then rank(team) end
end

-- gives tickets to those whose turn it is: {team, ticket, what it could send on beyond}, ….
local function pick(most)
  local window = num(redis.call('GET', P .. 'window') or 16)
  local list = {}
  while #list < most and redis.call('ZCARD', P .. 'tickets') < window do
    local team = redis.call('ZRANGE', P .. 'waiting', 0, 0)[1]
    if not team then break end
    local teams = redis.call('ZCARD', P .. 'flight') + redis.call('ZCOUNT', P .. 'waiting', '-inf', string.format('(%.0f', PLACES))
    if flying(team) >= math.max(1, math.ceil(window / (teams + 1))) then break end
    local seq = redis.call('INCR', P .. 'seq')
    local ticket = string.format('%d:%s', seq, team)
    hand_out(ticket, team, NOW)
    redis.call('HSET', P .. 'served', team, seq)
    local left = num(redis.call('HGET', P .. 'want', team)) - 1
    want(team, left)
    list[#list + 1] = { team, ticket, tostring(left) }
  end
  return list
end
