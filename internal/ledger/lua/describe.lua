-- Keeps what is known of a connector, and says what it has room for.
-- KEYS[1] slot prefix
-- ARGV[1…7] connector: id, team, live queue, limit, destination, "1" if ordered, whom to tell
-- Returns {turns}.
describe(1)
return { turns(ARGV[1]) }
