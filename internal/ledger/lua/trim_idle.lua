-- Trims runs that became no delivery.
-- KEYS[1] slot prefix
-- ARGV[1] planned before  [2] most runs
-- Returns the number of runs that were trimmed.
local runs = redis.call('ZRANGEBYSCORE', P .. 'idle', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, run in ipairs(runs) do
  redis.call('ZREM', P .. 'idle', run)
  forget_run(run, 0, 0)
end
return #runs
