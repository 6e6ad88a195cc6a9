-- The outbox of what others are told (see notes.go):
--
--   notes       ZSET  "<to>|<what>|<connector>|<delivery>|<n>|<text>" → when it is due
--   notes:tries HASH  note → tries so far
--
-- n is the number of the delivery's event; of a connector's pause or recovery
-- it is the time, and text is the reason; of a destination's, its name is before that.
local function tell(receivers, connector, what, id, text)
  local n = NOW
  if id ~= '' then n = get(id, 'n') end
  for to in string.gmatch(receivers, '%S+') do
    redis.call('ZADD', P .. 'notes', NOW, string.format('%s|%s|%s|%s|%.0f|%s', to, what, connector, id, tonumber(n), text or ''))
  end
end

local function note(connector, what, id, text) tell(con(connector).notify or '', connector, what, id, text) end

-- notes that a destination was paused or goes on, for each connector that is at
-- it. The fleet's own receivers are told of the destination, and once.
local function note_destination(name, what, text, of_fleet, once)
  local own = {}
  for to in string.gmatch(of_fleet, '%S+') do own[to] = true end
  for _, connector in ipairs(redis.call('SMEMBERS', P .. 'cns')) do
    local c = con(connector)
    if not c.deleted and string.sub((c.dest or '') .. '/', 1, #name + 1) == name .. '/' then
      local receivers = string.gsub(c.notify or '', '%S+', function(to) return own[to] and '' or nil end)
      tell(receivers, connector, what, '', text)
    end
  end
  if once then tell(of_fleet, '', what, '', text) end
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

