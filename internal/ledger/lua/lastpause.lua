-- What is known of a connector's or a destination's last pause.
-- KEYS[1] slot prefix
-- ARGV[1] "connector" or "destination"  [2] its name
-- Returns {the pause as JSON, "" if it goes on, when that was changed last, "" for never, the changes of it that
-- our bucket may lack…}.
local subject = ARGV[1] .. '/' .. ARGV[2]
local why
if ARGV[1] == 'destination' then why = redis.call('HGET', P .. 'pz', ARGV[2]) else why = redis.call('HGET', P .. 'cn:' .. ARGV[2], 'paused') end
local out = { why or '', redis.call('HGET', P .. 'turned', subject) or '' }
for _, change in ipairs(redis.call('SMEMBERS', P .. 'unmirrored')) do
  if string.match(change, '^%d+/(.*)$') == subject then out[#out + 1] = change end
end
return out
