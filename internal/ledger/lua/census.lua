-- Counts, for the sweep, who is in flight in a queue and who could be.
-- KEYS[1] slot prefix
-- ARGV[1] queue
-- Returns {tickets in flight, {team, deliveries that could go on, …}}.
local waiting = {}
for _, team in ipairs(redis.call('SMEMBERS', P .. 'tw:' .. ARGV[1])) do
  waiting[#waiting + 1] = team
  waiting[#waiting + 1] = tostring(ready(ARGV[1], team))
end
return { redis.call('HVALS', P .. 'fl:' .. ARGV[1]), waiting }
