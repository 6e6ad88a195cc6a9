-- Takes a lane for an operation, or renews it: no delivery begins in it from
-- the first call on, and one that was begun is waited for.
-- KEYS[1] slot prefix
-- ARGV[1] lane  [2] nonce of the caller  [3] lease
-- Returns {1, fence}, or {0, milliseconds} while another operation has it, or an
-- attempt may still be at work. The fence is greater than every one before it.
local name = ARGV[1]
local key = P .. 'op:' .. name
local op = redis.call('HMGET', key, 'nonce', 'until', 'fence')
local mine = op[1] == ARGV[2]
if not mine and num(op[2]) > NOW then return { 0, tostring(num(op[2]) - NOW) } end
if not mine then redis.call('DEL', key) end
redis.call('HSET', key, 'nonce', ARGV[2], 'until', NOW + tonumber(ARGV[3]))
if mine and op[3] then return { 1, op[3] } end

local busy = num(redis.call('HGET', P .. 'lane:ebb', name))
local id = redis.call('HGET', P .. 'lane:holder', name)
if id and get(id, 'state') == 'running' then busy = math.max(busy, num(get(id, 'lease'))) end
if busy > NOW then return { 0, tostring(busy - NOW) } end
redis.call('HDEL', P .. 'lane:ebb', name)
local fence = string.format('%d', math.max(num(redis.call('HGET', P .. 'lane:fence', name)) + 1, NOW))
redis.call('HSET', P .. 'lane:fence', name, fence)
redis.call('HSET', key, 'fence', fence)
return { 1, fence }
