-- Says how many deliveries of a queue a team could send on now.
-- KEYS[1] slot prefix
-- ARGV[1] queue  [2] team
-- Returns their number.
return ready(ARGV[1], ARGV[2])
