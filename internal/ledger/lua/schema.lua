-- Notes a schema version that our bucket has.
-- KEYS[1] slot prefix
-- ARGV[1] team/workflow  [2] schema version  [3] fingerprint of the descriptor  [4] descriptor as JSON
-- Returns 1.
local versions = P .. 'versions:' .. ARGV[1]
redis.call('HSETNX', versions, ARGV[3], ARGV[2])
redis.call('HSETNX', P .. 'schemas:' .. ARGV[1], ARGV[2], ARGV[4])
redis.call('SADD', P .. 'workflows', ARGV[1])
if tonumber(ARGV[2]) > num(redis.call('HGET', versions, 'last')) then redis.call('HSET', versions, 'last', ARGV[2]) end
return 1
