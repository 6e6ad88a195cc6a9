-- Enters a step: the go-ahead before its first effect.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] fence  [3] stage
-- Returns {1, result recorded by an earlier attempt or false}, or {0} if the
-- attempt no longer holds the delivery.
if not holds(ARGV[1], ARGV[2]) then return { 0 } end
set(ARGV[1], 'stage', ARGV[3])
return { 1, redis.call('HGET', P .. 'st:' .. ARGV[1], ARGV[3]) }
