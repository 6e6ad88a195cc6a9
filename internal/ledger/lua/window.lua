-- The window of one queue: how many deliveries may be in flight in it, and
-- whose turn is next. What turn.lua does is written there, with these.
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

-- places a team that waits, by its tickets and the number of its last one.
local function place(team, tickets, served)
  redis.call('ZADD', P .. 'waiting', string.format('%.0f', tickets * PLACES + num(served)), team)
end

local function rank(team)
  if redis.call('HEXISTS', P .. 'want', team) == 0 then
    redis.call('ZREM', P .. 'waiting', team)
  else
    place(team, flying(team), redis.call('HGET', P .. 'served', team))
  end
end

-- notes how many deliveries a team could send on. Who says so ranks it.
local function want(team, n)
  if n > 0 then
    redis.call('HSET', P .. 'want', team, n)
  else
    redis.call('HDEL', P .. 'want', team)
  end
end

local function team_of(ticket) return string.match(ticket, '^[^:]*:(.*)$') end

local function hand_out(ticket, at)
  if redis.call('ZADD', P .. 'tickets', at, ticket) == 1 then redis.call('ZINCRBY', P .. 'flight', 1, team_of(ticket)) end
end

-- takes a ticket back; one that was taken back before changes nothing.
local function take_back(ticket)
  if redis.call('ZREM', P .. 'tickets', ticket) == 0 then return end
  local team = team_of(ticket)
  if tonumber(redis.call('ZINCRBY', P .. 'flight', -1, team)) <= 0 then redis.call('ZREM', P .. 'flight', team) end
end

-- gives tickets to those whose turn it is: {team, ticket, what it could send on beyond}, ….
local function pick(most)
  local window = num(redis.call('GET', P .. 'window') or 16)
  local free = math.min(window - redis.call('ZCARD', P .. 'tickets'), most)
  local list = {}
  while #list < free do
    local team = redis.call('ZRANGE', P .. 'waiting', 0, 0)[1]
    if not team then break end
    local tickets = flying(team)
    local teams = redis.call('ZCARD', P .. 'flight') + redis.call('ZCOUNT', P .. 'waiting', '-inf', string.format('(%.0f', PLACES))
    if tickets >= math.max(1, math.ceil(window / (teams + 1))) then break end
    local seq = redis.call('INCR', P .. 'seq')
    local ticket = string.format('%d:%s', seq, team)
    hand_out(ticket, NOW)
    redis.call('HSET', P .. 'served', team, seq)
    local left = redis.call('HINCRBY', P .. 'want', team, -1)
    if left > 0 then
      place(team, tickets + 1, seq)
    else
      redis.call('HDEL', P .. 'want', team)
      redis.call('ZREM', P .. 'waiting', team)
    end
    list[#list + 1] = { team, ticket, tostring(left) }
  end
  return list
end
