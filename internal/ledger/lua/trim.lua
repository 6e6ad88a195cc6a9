-- Trims deliveries that were exported, and the runs that are left without any.
-- KEYS[1] slot prefix
-- ARGV[1] the batch, as it stands in trim  [2] to [n] delivery, time of its last change as it was exported, delivery, …
-- Returns the number of deliveries that were trimmed. One that changed since
-- stays: it is on its way again.
local trimmed = 0
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local d = redis.call('HMGET', dkey(id), 'updated', 'state', 'team', 'workflow', 'job', 'connector', 'finished')
  if d[1] == ARGV[i + 1] and (d[2] == 'complete' or d[2] == 'cancelled' or d[2] == 'unpublished') then
    redis.call('DEL', dkey(id), P .. 'st:' .. id)
    redis.call('ZREM', P .. 'ix:s:' .. d[2], id)
    redis.call('ZREM', P .. 'ix:w:' .. d[4], id)
    redis.call('ZREM', P .. 'ix:c:' .. d[6], id)
    if redis.call('EXISTS', P .. 'ix:c:' .. d[6]) == 0 then redis.call('SREM', P .. 'cs:' .. d[3], d[6]) end
    if redis.call('EXISTS', P .. 'cs:' .. d[3]) == 0 then redis.call('SREM', P .. 'teams', d[3]) end
    not_due(id)
    forget_run(d[3] .. '/' .. d[4] .. '/' .. d[5], -1, d[7])
    trimmed = trimmed + 1
  end
end
if redis.call('GET', P .. 'trim') == ARGV[1] then redis.call('DEL', P .. 'trim') end
return trimmed
