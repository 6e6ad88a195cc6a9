-- Gives back a lane that an operation holds.
-- KEYS[1] slot prefix
-- ARGV[1] lane  [2] nonce of the caller
-- Returns 1, or 0 if it was no longer the caller's.
local key = P .. 'op:' .. ARGV[1]
if redis.call('HGET', key, 'nonce') ~= ARGV[2] then return 0 end
return redis.call('DEL', key)
