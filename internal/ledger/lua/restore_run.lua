-- Puts back a run that our bucket knows.
-- KEYS[1] slot prefix
-- ARGV[1] run  [2] revision  [3] generation  [4] schema version  [5] run as JSON  [6] "1" if it is to be planned
-- ARGV[7] historical, [8] alias: as accept keeps them, "" for none
-- Returns 1, or 0 if this generation or a newer one is here.
local key = P .. 'run:' .. ARGV[1]
if num(redis.call('HGET', key, 'gen')) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', key, 'revision', ARGV[2], 'gen', ARGV[3], 'version', ARGV[4], 'run', ARGV[5], 'accepted', NOW)
if ARGV[7] ~= '' then redis.call('HSET', key, 'historical', ARGV[7]) end
if ARGV[8] ~= '' then redis.call('HSET', key, 'alias', ARGV[8]) end
if ARGV[6] == '1' then
  redis.call('ZADD', P .. 'plan', NOW, ARGV[1])
elseif num(redis.call('HGET', key, 'live')) == 0 then
  redis.call('ZADD', P .. 'idle', NOW, ARGV[1])
end
return 1
