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

