-- Pins which version of its source a delivery reads: the first read decides.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] fence  [3] the source's ETag
-- Returns the pinned ETag, or "" if the attempt no longer holds the delivery.
if not holds(ARGV[1], ARGV[2]) then return '' end
redis.call('HSETNX', dkey(ARGV[1]), 'pin', ARGV[3])
return redis.call('HGET', dkey(ARGV[1]), 'pin')
