-- Renews the lease of an attempt.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] fence  [3] lease
-- Returns 1, or 0 if the attempt no longer holds the delivery.
if not holds(ARGV[1], ARGV[2]) then return 0 end
redis.call('HSET', dkey(ARGV[1]), 'lease', NOW + tonumber(ARGV[3]))
due(ARGV[1], NOW + tonumber(ARGV[3]))
return 1
