-- Has the historical deliveries of a connector wait, or lets them go on. Those
-- that are in flight go on.
-- KEYS[1] slot prefix
-- ARGV[1] connector  [2] "1" to wait
-- Returns {turns}.
local key = P .. 'cn:' .. ARGV[1]
if ARGV[2] == '1' then redis.call('HSET', key, 'held', '1') else redis.call('HDEL', key, 'held') end
if redis.call('HEXISTS', key, 'queue') == 0 then return { {} } end -- nothing was ever planned for it
return { turns(ARGV[1]) }
