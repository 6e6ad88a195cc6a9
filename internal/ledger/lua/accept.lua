-- Accepts a finished run.
-- KEYS[1] slot prefix
-- ARGV[1] run (team/workflow/job)  [2] revision  [3] run as JSON  [4] "1" to replace
-- ARGV[5] team/workflow  [6] fingerprint of the descriptor  [7] run finished at
-- ARGV[8] "1" if our bucket does not know the run
-- ARGV[9] digest of what is said of the run, but for where its records are
-- ARGV[10] "1" if a backfill brings the run: then it is planned by nobody else, and whatever is
--          known of it stands
-- Returns {outcome, generation, schema version, accepted run as JSON}; outcome:
--   NEW       accepted
--   NEW       likewise, if only a backfill had brought it: now it goes wherever it is wanted. A producer
--             who names other records than the history does means the same run (alias), one who says
--             anything else replaces it
--   SAME      this revision was accepted before; nothing is delivered anew, and what a revision
--             does not cover (a fresh signature in the source's URI) takes the older's place
--   REPLACED  another revision was; the next generation begins
--   CONFLICT  another revision was, and no replacement was asked for
--   LOOK      it may have been trimmed, or lost with Redis: ask our bucket first
--   VERSION   the descriptor has no schema version yet: claim one, above the number that follows here
local key = P .. 'run:' .. ARGV[1]
local old = redis.call('HMGET', key, 'revision', 'gen', 'version', 'run', 'historical', 'alias')
local historical, brought = ARGV[10] == '1', old[5]
if old[1] and historical then return { 'SAME', old[2], old[3], old[4] } end
if brought and (old[1] == ARGV[2] or brought == ARGV[9]) then
  redis.call('HSET', key, 'alias', ARGV[2])
  redis.call('HDEL', key, 'historical')
  redis.call('ZADD', P .. 'plan', AT, ARGV[1])
  redis.call('ZREM', P .. 'idle', ARGV[1])
  return { 'NEW', old[2], old[3], old[4] }
end
if old[1] == ARGV[2] then
  redis.call('HSET', key, 'run', ARGV[3])
  return { 'SAME', old[2], old[3], ARGV[3] }
end
if old[1] and old[6] == ARGV[2] then return { 'SAME', old[2], old[3], old[4] } end
if old[1] and not brought and ARGV[4] ~= '1' then return { 'CONFLICT', old[2], old[3], old[4] } end

if not old[1] and ARGV[8] ~= '1' then
  -- What finished before this Redis knew of anything may have been handed in to one that was lost.
  if redis.call('EXISTS', P .. 'horizon') == 0 then look_up_before_now() end
  if tonumber(ARGV[7]) <= num(redis.call('GET', P .. 'horizon')) then return { 'LOOK' } end
end

local known = redis.call('HMGET', P .. 'versions:' .. ARGV[5], ARGV[6], 'last')
local version = known[1]
if not version then return { 'VERSION', known[2] or '0' } end
local gen = num(old[2]) + 1
redis.call('HSET', key, 'revision', ARGV[2], 'gen', gen, 'version', version, 'run', ARGV[3], 'accepted', AT)
redis.call('HDEL', key, 'historical', 'alias')
if historical then
  redis.call('HSET', key, 'historical', ARGV[9])
  redis.call('ZADD', P .. 'idle', AT, ARGV[1])
else
  redis.call('ZADD', P .. 'plan', AT, ARGV[1])
  redis.call('ZREM', P .. 'idle', ARGV[1])
end
return { old[1] and 'REPLACED' or 'NEW', tostring(gen), tostring(version), ARGV[3] }
