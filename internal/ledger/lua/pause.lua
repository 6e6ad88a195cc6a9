-- Pauses connectors, or lets them go on. What is being tried goes on; what is
-- queued or waits for its next try goes back to the backlog.
-- KEYS[1] slot prefix
-- ARGV[1] "connector" or "destination"  [2] its name  [3] why as JSON, "" to go on
-- ARGV[4] of a destination: whom of the fleet to tell  [5] "1" in the slot that does
-- Returns {1 if that changed anything, turns}.
local function all()
  if ARGV[1] == 'connector' then return { ARGV[2] } end
  return redis.call('SMEMBERS', P .. 'cns')
end

local key, field = P .. 'cn:' .. ARGV[2], 'paused'
if ARGV[1] == 'destination' then key, field = P .. 'pz', ARGV[2] end
local changed
if ARGV[3] ~= '' then
  changed = redis.call('HSETNX', key, field, ARGV[3])
else
  changed = redis.call('HDEL', key, field)
  if ARGV[1] == 'connector' then redis.call('HDEL', key, 'failures') end
end

if changed == 1 then
  local what, reason = 'recovered', ''
  if ARGV[3] ~= '' then what, reason = 'paused', cjson.decode(ARGV[3]).reason end
  if ARGV[1] == 'connector' then
    note(ARGV[2], what, '', reason)
  else
    note_destination(ARGV[2], 'destination.' .. what, ARGV[2] .. '|' .. reason, ARGV[4], ARGV[5] == '1')
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
return { changed, list }
