-- Looks after a delivery later: its task is where it should be.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] delay
-- Returns 1.
if redis.call('ZSCORE', P .. 'due', ARGV[1]) then due(ARGV[1], NOW + tonumber(ARGV[2])) end
return 1
