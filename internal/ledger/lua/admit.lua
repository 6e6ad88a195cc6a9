-- Admits deliveries of a team whose turn it is, each with a ticket; of its
-- connectors the one that was served longest ago first.
-- KEYS[1] slot prefix
-- ARGV[1] team  [2] queue  [3] grace  [4…] tickets
-- Returns {deliveries that could still go on, what is to be enqueued:
-- {delivery, task, generation, enqueue, queue}, …}. Tickets beyond those are unused.
local team, queue = ARGV[1], ARGV[2]
local out, served = { '0' }, {}
for i = 4, #ARGV do
  local connector = redis.call('ZRANGE', P .. 'rq:' .. queue .. ':' .. team, 0, 0)[1]
  if not connector then break end
  out[#out + 1] = enqueue(take(queue, connector, ARGV[i]), tonumber(ARGV[3]))
  refresh_queue(connector, queue)
  served[connector] = true
end
for connector in pairs(served) do
  for _, other in ipairs(queues_of(connector)) do
    if other ~= queue then refresh_queue(connector, other) end
  end
end
out[1] = tostring(ready(queue, team))
return out
