-- Takes a run off the list of those to be planned, unless it was replaced meanwhile.
-- KEYS[1] slot prefix
-- ARGV[1] run  [2] generation that was planned
-- Returns 1 if it was taken off.
if redis.call('HGET', P .. 'run:' .. ARGV[1], 'gen') ~= ARGV[2] then return 0 end
return redis.call('ZREM', P .. 'plan', ARGV[1])
