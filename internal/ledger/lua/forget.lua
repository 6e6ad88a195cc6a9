-- Forgets that a step was done: what it recorded is no longer true.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] fence  [3] stage
-- Returns 1, or 0 if the attempt no longer holds the delivery.
if not holds(ARGV[1], ARGV[2]) then return 0 end
redis.call('HDEL', P .. 'st:' .. ARGV[1], ARGV[3])
return 1
