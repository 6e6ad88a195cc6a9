-- Admits deliveries of a team whose turn it is, each with a ticket; of its
-- connectors the one that was served longest ago first.
-- KEYS[1] slot prefix
-- ARGV[1] team  [2] queue  [3] grace  [4…] tickets
-- Returns {deliveries that could still go on, what is to be enqueued:
-- {delivery, task, generation, enqueue, queue, how long it waited}, …}. Tickets beyond those are unused.
local team, queue = ARGV[1], ARGV[2]
local out = { '0' }
for i = 4, #ARGV do
  local connector = redis.call('ZRANGE', P .. 'rq:' .. queue .. ':' .. team, 0, 0)[1]
  if not connector then break end
  local id = take(queue, connector, ARGV[i])
  local waited = NOW - num(get(id, 'updated'))
  out[#out + 1] = enqueue(id, tonumber(ARGV[3]))
  table.insert(out[#out], tostring(waited))
  refresh(connector)
end
out[1] = tostring(ready(queue, team))
return out
