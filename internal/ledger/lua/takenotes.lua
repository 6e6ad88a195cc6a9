-- Takes notes that are due: nobody else does for a while.
-- KEYS[1] slot prefix
-- ARGV[1] how many at most  [2] how long they are taken for
-- Returns {now, {note, how often it was taken}, …}.
local taken = { tostring(NOW) }
for _, member in ipairs(redis.call('ZRANGEBYSCORE', P .. 'notes', '-inf', NOW, 'LIMIT', 0, ARGV[1])) do
  redis.call('ZADD', P .. 'notes', NOW + tonumber(ARGV[2]), member)
  taken[#taken + 1] = { member, tostring(redis.call('HINCRBY', P .. 'notes:tries', member, 1)) }
end
return taken
