-- Gives a right back, unless somebody else has it by now.
-- KEYS[1] the right: who has it
-- ARGV[1] who gives it back  [2] for how many ms nobody shall have it
-- Returns 1 if it was given back.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[1], '', 'PX', ARGV[2]) else redis.call('DEL', KEYS[1]) end
return 1
