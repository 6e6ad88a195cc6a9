-- The outbox of what others are told (see notes.go):
--
--   notes       ZSET  "<to>|<what>|<connector>|<delivery>|<n>|<text>" → when it is due
--   notes:tries HASH  note → tries so far
--
-- n is the number of the delivery's event; of a connector's pause or recovery
-- it is the time, and text is the reason.
local function note(connector, what, id, text)
  local n = NOW
  if id ~= '' then n = get(id, 'n') end
  for to in string.gmatch(con(connector).notify or '', '%S+') do
    redis.call('ZADD', P .. 'notes', NOW, string.format('%s|%s|%s|%s|%.0f|%s', to, what, connector, id, tonumber(n), text or ''))
  end
end

-- What our bucket is to know of pauses (see pausemirror.go), of subjects
-- "connector/<id>" and "destination/<name>":
--
--   turned      HASH  subject → when it was last paused or let go on; never the same twice
--   unmirrored  SET   "<when>/<subject>" that our bucket may lack
local function turned(subject, at) redis.call('HSET', P .. 'turned', subject, string.format('%.0f', at)) end

local function pause_changed(subject)
  local at = math.max(num(redis.call('HGET', P .. 'turned', subject)) + 1, NOW)
  turned(subject, at)
  redis.call('SADD', P .. 'unmirrored', string.format('%.0f/%s', at, subject))
  return at
end

local function pause_text(at, reason, automatic)
  return cjson.encode({ at = at, reason = reason, automatic = automatic or nil })
end

