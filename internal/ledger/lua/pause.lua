-- Pauses connectors, or lets them go on. What is being tried goes on; what is
-- queued or waits for its next try goes back to the backlog.
-- KEYS[1] slot prefix
-- ARGV[1] "connector" or "destination"  [2] its name  [3] "1" to pause, "" to go on  [4] why  [5] "1" if nobody asked for it
-- ARGV[6] when that was, as another slot or our bucket knows it: it stands if nothing newer is here; "0" now
-- ARGV[7] of a destination: whom of the fleet to tell  [8] "1" if nobody is told: our bucket brings back what was
-- Returns {1 if that changed anything, turns}.
local function all()
  if ARGV[1] == 'connector' then return { ARGV[2] } end
  return redis.call('SMEMBERS', P .. 'cns')
end

local key, field = P .. 'cn:' .. ARGV[2], 'paused'
if ARGV[1] == 'destination' then key, field = P .. 'pz', ARGV[2] end
local subject = ARGV[1] .. '/' .. ARGV[2]
local last = num(redis.call('HGET', P .. 'turned', subject))
local was, wanted = redis.call('HEXISTS', key, field) == 1, ARGV[3] == '1'
local at, asked = tonumber(ARGV[6]), ARGV[6] == '0'
if asked and was == wanted then
  if last > 0 then turned(subject, last) end -- whoever repeats it waits for the replicas again
  return { 0, {} }
elseif asked then
  at = pause_changed(subject)
elseif at > last then
  turned(subject, at)
else
  return { 0, {} }
end

if wanted then
  redis.call('HSET', key, field, pause_text(at, ARGV[4], ARGV[5] == '1'))
else
  redis.call('HDEL', key, field)
  if ARGV[1] == 'connector' then redis.call('HDEL', key, 'failures') end
end
if was ~= wanted and ARGV[8] ~= '1' then
  local what = wanted and 'paused' or 'recovered'
  if ARGV[1] == 'connector' then
    note(ARGV[2], what, '', ARGV[4])
  else
    note_destination(ARGV[2], 'destination.' .. what, ARGV[2] .. '|' .. ARGV[4], ARGV[7], asked)
  end
end

local list = {}
for _, connector in ipairs(all()) do
  if redis.call('HEXISTS', P .. 'cn:' .. connector, 'queue') == 1 then
    local queues = queues_of(connector)
    for _, queue in ipairs(paused(connector) and queues or {}) do
      for _, id in ipairs(redis.call('SMEMBERS', P .. 'if:' .. queue .. ':' .. connector)) do
        local state = get(id, 'state')
        if state == 'queued' or state == 'retrying' then
          local freed = hold(id)
          list[#list + 1] = { queue, redis.call('HGET', P .. 'cn:' .. connector, 'team'), freed[queue], '' }
        end
      end
    end
    for _, turn in ipairs(turns(connector)) do list[#list + 1] = turn end
  end
end
return { was ~= wanted and 1 or 0, list }
