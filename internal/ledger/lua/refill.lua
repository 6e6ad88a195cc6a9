-- Admits what a connector has room for: the sweep's safety net.
-- KEYS[1] slot prefix
-- ARGV[1] connector  [2] grace
-- Returns what is to be enqueued.
return admit(ARGV[1], tonumber(ARGV[2]), {})
