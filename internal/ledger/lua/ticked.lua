-- Remembers the last tick of an entry.
-- KEYS[1] hash entry → last tick
-- ARGV[1] entry  [2] tick
-- Returns 1, or 0 if a later one is known.
if tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
