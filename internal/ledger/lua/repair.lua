-- Hands a delivery to the queue once more because its task is gone, or its
-- attempt ended without a word.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] enqueue counter that the caller saw  [3] grace
-- Returns {what is to be enqueued}, or {} if the delivery moved on meanwhile.
local id = ARGV[1]
local d = redis.call('HMGET', dkey(id), 'state', 'enqueue', 'lease', 'notbefore')
if d[2] ~= ARGV[2] then return {} end
if d[1] == 'running' then
  if num(d[3]) > NOW then return {} end
  event(id, { what = 'lost', attempt = num(get(id, 'attempts')) })
  -- stays running, with its lease over: begin counts the crash
  local n = redis.call('HINCRBY', dkey(id), 'enqueue', 1)
  due(id, NOW + tonumber(ARGV[3]))
  local t = redis.call('HMGET', dkey(id), 'task', 'gen', 'queue')
  return { { id, t[1], t[2], tostring(n), t[3] } }
end
if d[1] ~= 'queued' and d[1] ~= 'retrying' then return {} end
if num(d[4]) > NOW then
  due(id, num(d[4]) + tonumber(ARGV[3]))
  return {}
end
event(id, { what = 'requeued' })
return { enqueue(id, tonumber(ARGV[3])) }
