-- Puts back a delivery that our bucket has the receipt of.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] generation  [3] team  [4] workflow  [5] job  [6] connector  [7] kind  [8] schema version
-- ARGV[9] run finished at  [10] started at  [11] completed at  [12] fence  [13] rows  [14] bytes
-- ARGV[15] state: complete, or unpublished  [16] task  [17] queue of a retry
-- Returns 1, or 0 if the delivery is here.
local id = ARGV[1]
if get(id, 'gen') then return 0 end
set(id, 'gen', ARGV[2], 'team', ARGV[3], 'workflow', ARGV[4], 'job', ARGV[5], 'connector', ARGV[6], 'kind', ARGV[7], 'version', ARGV[8],
  'finished', ARGV[9], 'created', ARGV[10], 'completed', ARGV[11], 'fence', ARGV[12], 'rows', ARGV[13], 'bytes', ARGV[14], 'attempts', 1)
if ARGV[15] == 'unpublished' then set(id, 'task', ARGV[16], 'queue', ARGV[17]) end
to_state(id, ARGV[15])
index(id, ARGV[3], ARGV[4], ARGV[6], ARGV[10])
redis.call('HINCRBY', P .. 'run:' .. ARGV[3] .. '/' .. ARGV[4] .. '/' .. ARGV[5], 'live', 1)
event(id, { what = 'restored' })
return 1
