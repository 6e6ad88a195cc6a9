-- Takes a run off the list of those to be planned, unless it was replaced meanwhile.
-- KEYS[1] slot prefix
-- ARGV[1] run  [2] generation that was planned
-- Returns 1 if it was taken off.
local run = redis.call('HMGET', P .. 'run:' .. ARGV[1], 'gen', 'live')
if run[1] ~= ARGV[2] then return 0 end
if num(run[2]) == 0 then redis.call('ZADD', P .. 'idle', NOW, ARGV[1]) end
return redis.call('ZREM', P .. 'plan', ARGV[1])
