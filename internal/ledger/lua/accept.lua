-- Accepts a finished run.
-- KEYS[1] slot prefix
-- ARGV[1] run (team/workflow/job)  [2] revision  [3] run as JSON  [4] "1" to replace
-- ARGV[5] team/workflow  [6] fingerprint of the descriptor  [7] run finished at
-- ARGV[8] "1" if our bucket does not know the run
-- Returns {outcome, generation, schema version, accepted run as JSON}; outcome:
--   NEW       accepted
--   SAME      this revision was accepted before; nothing is delivered anew, and what a revision
--             does not cover (a fresh signature in the source's URI) takes the older's place
--   REPLACED  another revision was; the next generation begins
--   CONFLICT  another revision was, and no replacement was asked for
--   LOOK      it may have been trimmed, or lost with Redis: ask our bucket first
--   VERSION   the descriptor has no schema version yet: claim one, above the number that follows here
local key = P .. 'run:' .. ARGV[1]
local old = redis.call('HMGET', key, 'revision', 'gen', 'version', 'run')
if old[1] == ARGV[2] then
  redis.call('HSET', key, 'run', ARGV[3])
  return { 'SAME', old[2], old[3], ARGV[3] }
end
if old[1] and ARGV[4] ~= '1' then return { 'CONFLICT', old[2], old[3], old[4] } end

if not old[1] and ARGV[8] ~= '1' then
  -- What finished before this Redis knew of anything may have been handed in to one that was lost.
  if redis.call('EXISTS', P .. 'horizon') == 0 then look_up_before_now() end
  if tonumber(ARGV[7]) <= num(redis.call('GET', P .. 'horizon')) then return { 'LOOK' } end
end

local known = redis.call('HMGET', P .. 'versions:' .. ARGV[5], ARGV[6], 'last')
local version = known[1]
if not version then return { 'VERSION', known[2] or '0' } end
local gen = num(old[2]) + 1
redis.call('HSET', key, 'revision', ARGV[2], 'gen', gen, 'version', version, 'run', ARGV[3], 'accepted', NOW)
redis.call('ZADD', P .. 'plan', NOW, ARGV[1])
redis.call('ZREM', P .. 'idle', ARGV[1])
return { old[1] and 'REPLACED' or 'NEW', tostring(gen), tostring(version), ARGV[3] }
