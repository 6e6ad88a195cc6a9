-- Takes a right, or renews it.
-- KEYS[1] the right: who has it
-- ARGV[1] who asks  [2] for how long, in ms
-- Returns 0, or when to ask again, in ms, where somebody else has it.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return tonumber(ARGV[2]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0
