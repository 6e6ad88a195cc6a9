-- Hands a delivery to the queue once more because its task is gone, or its
-- attempt ended without a word.
-- KEYS[1] slot prefix
-- ARGV[1] delivery  [2] enqueue counter that the caller saw  [3] grace
-- Returns {what is to be enqueued}, or {} if the delivery moved on meanwhile.
local id = ARGV[1]
local state = get(id, 'state')
if get(id, 'enqueue') ~= ARGV[2] then return {} end
if state == 'running' then
  if num(get(id, 'lease')) > NOW then return {} end
  event(id, { what = 'lost', attempt = num(get(id, 'attempts')) })
  due(id, NOW + tonumber(ARGV[3]))
  return { task(id) } -- stays running, with its lease over: begin counts the crash
end
if state ~= 'queued' and state ~= 'retrying' then return {} end
if num(get(id, 'notbefore')) > NOW then
  due(id, num(get(id, 'notbefore')) + tonumber(ARGV[3]))
  return {}
end
event(id, { what = 'requeued' })
return { enqueue(id, tonumber(ARGV[3])) }
