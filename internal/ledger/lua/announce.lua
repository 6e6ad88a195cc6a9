-- Notes that a scheduler is alive, and what it says of itself.
-- KEYS[1] hash scheduler → "<ms> <digest>", when it was last alive and what it says  KEYS[2] hash scheduler → what it says
-- ARGV[1] scheduler  [2] digest of what it says  [3] what it says, "" if that is known  [4] how long one is alive without a sign
-- Returns the digests of those that are alive, or nothing where what it says is not known.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function said(entry) return string.match(entry or '', ' (.*)$') end

if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
elseif said(redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return {}
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now, ARGV[2]))
local digests, all = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if tonumber(string.match(all[i + 1], '^%d+')) < now - tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[1], all[i])
    redis.call('HDEL', KEYS[2], all[i])
  else
    digests[#digests + 1] = said(all[i + 1])
  end
end
return digests
