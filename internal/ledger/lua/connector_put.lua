-- Keeps a connector's document.
-- KEYS[1] hash id → team, of every id ever used  KEYS[2] hash id → document, of the team  KEYS[3] set of deleted ids
-- ARGV[1] id  [2] team  [3] document  [4] the document that the caller read, "" for none
-- Returns 1; 0 if the id belongs to another team or to a deleted connector; 2
-- if another document stands there now.
if redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 1 then return 0 end
local team = redis.call('HGET', KEYS[1], ARGV[1])
if team and team ~= ARGV[2] then return 0 end
if (redis.call('HGET', KEYS[2], ARGV[1]) or '') ~= ARGV[4] then return 2 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1
