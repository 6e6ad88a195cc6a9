-- Records a step as done, with its result.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] fence  [3] stage  [4] result as JSON  [5] duration
-- Returns 1, or 0 if the attempt no longer holds the delivery.
if not holds(ARGV[1], ARGV[2]) then return 0 end
redis.call('HSET', P .. 'st:' .. ARGV[1], ARGV[3], ARGV[4])
event(ARGV[1], { what = 'step', stage = ARGV[3], ms = tonumber(ARGV[5]), attempt = num(get(ARGV[1], 'attempts')) })
return 1
