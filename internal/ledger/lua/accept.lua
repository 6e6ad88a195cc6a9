-- Accepts a finished run, and gives it its schema version.
-- KEYS[1] slot prefix
-- ARGV[1] run (team/workflow/job)  [2] revision  [3] run as JSON  [4] "1" to replace
-- ARGV[5] team/workflow  [6] fingerprint of the descriptor  [7] descriptor as JSON
-- Returns {outcome, generation, schema version, accepted run as JSON}; outcome:
--   NEW       accepted
--   SAME      this revision was accepted before; nothing is delivered anew, and what a revision
--             does not cover (a fresh signature in the source's URI) takes the older's place
--   REPLACED  another revision was; the next generation begins
--   CONFLICT  another revision was, and no replacement was asked for
local key = P .. 'run:' .. ARGV[1]
local old = redis.call('HMGET', key, 'revision', 'gen', 'version', 'run')
if old[1] == ARGV[2] then
  redis.call('HSET', key, 'run', ARGV[3])
  return { 'SAME', old[2], old[3], ARGV[3] }
end
if old[1] and ARGV[4] ~= '1' then return { 'CONFLICT', old[2], old[3], old[4] } end

local versions = P .. 'versions:' .. ARGV[5]
local version = redis.call('HGET', versions, ARGV[6])
if not version then
  version = redis.call('HINCRBY', versions, 'last', 1)
  redis.call('HSET', versions, ARGV[6], version)
  redis.call('HSET', P .. 'schemas:' .. ARGV[5], version, ARGV[7])
end
local gen = num(old[2]) + 1
redis.call('HSET', key, 'revision', ARGV[2], 'gen', gen, 'version', version, 'run', ARGV[3], 'accepted', NOW)
redis.call('ZADD', P .. 'plan', NOW, ARGV[1])
return { old[1] and 'REPLACED' or 'NEW', tostring(gen), tostring(version), ARGV[3] }
