-- Keeps what our bucket says of a document, unless a newer revision is kept.
-- KEYS[1] hash id → revision, of every id ever used  KEYS[2] hash id → group  KEYS[3] hash id → document, of the group
-- KEYS[4] set of kinds
-- ARGV[1] id  [2] revision  [3] group  [4] document, "" if it was deleted  [5] kind
-- Returns 1 if it was kept.
if tonumber(ARGV[2]) <= tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
if ARGV[4] == '' then redis.call('HDEL', KEYS[3], ARGV[1]) else redis.call('HSET', KEYS[3], ARGV[1], ARGV[4]) end
redis.call('SADD', KEYS[4], ARGV[5])
return 1
