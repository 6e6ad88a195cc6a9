-- Counts what stands where in a slot.
-- KEYS[1] slot prefix
-- ARGV[1] number of states; they follow, then queue and how long its deliveries may take
-- until they are overdue ("0": for ever), in turns
-- Returns {states, queues, destinations, connectors that are paused, runs to be planned, age of the oldest,
-- destinations that are paused}:
-- states        deliveries in each, as they were given
-- queues        {waiting, held by a pause, in flight, overdue, the longest wait}, as they were given
-- destinations  {destination, connectors, those that failed since they last delivered, those paused for it}, …
-- In a lane deliveries wait for the one before them: of these the longest wait is the first one's.
local first = tonumber(ARGV[1]) + 2

local states, queues, destinations = {}, {}, {}
for i = 2, first - 1 do states[#states + 1] = redis.call('ZCARD', P .. 'ix:s:' .. ARGV[i]) end
for i = first, #ARGV, 2 do queues[#queues + 1] = { 0, 0, 0, 0, 0 } end

local function count(q, name, late, held)
  local all, flying = redis.call('ZCARD', P .. 'open:' .. name), redis.call('SCARD', P .. 'if:' .. name)
  q[3] = q[3] + flying
  if held then
    q[2] = q[2] + all - flying
    return
  end
  q[1] = q[1] + all - flying
  if late > 0 then q[4] = q[4] + redis.call('ZCOUNT', P .. 'open:' .. name, '-inf', NOW - late) end
  local head = redis.call('ZRANGE', P .. 'q:' .. name, 0, 0)[1]
  if head then q[5] = math.max(q[5], NOW - num(get(head, 'updated'))) end
end

local held_connectors = 0
for _, connector in ipairs(redis.call('SMEMBERS', P .. 'cns')) do
  local c = redis.call('HMGET', P .. 'cn:' .. connector, 'dest', 'failures', 'paused', 'deleted')
  local held = paused(connector)
  for n, q in ipairs(queues) do
    count(q, ARGV[first + 2 * n - 2] .. ':' .. connector, num(ARGV[first + 2 * n - 1]), held)
  end
  if not c[4] then
    local d = destinations[c[1]] or { c[1], 0, 0, 0 }
    destinations[c[1]] = d
    d[2] = d[2] + 1
    if num(c[2]) > 0 then d[3] = d[3] + 1 end
    if c[3] then
      held_connectors = held_connectors + 1
      if cjson.decode(c[3]).automatic then d[4] = d[4] + 1 end
    end
  end
end

local list = {}
for _, d in pairs(destinations) do list[#list + 1] = d end
local oldest = redis.call('ZRANGE', P .. 'plan', 0, 0, 'WITHSCORES')
return { states, queues, list, held_connectors, redis.call('ZCARD', P .. 'plan'), oldest[2] and NOW - num(oldest[2]) or 0,
  redis.call('HLEN', P .. 'pz') }
