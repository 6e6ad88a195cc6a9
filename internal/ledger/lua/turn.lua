-- Takes a ticket back, notes what a team could send on, and says whose turn it is.
-- KEYS[1] queue prefix
-- ARGV[1] team  [2] ticket that is free, "" for none  [3] how many deliveries the team could
-- send on, "" if that is not known  [4] most tickets to give
-- Returns {{team, ticket, what it could send on beyond}, …}.
if ARGV[2] ~= '' then take_back(ARGV[2]) end
if ARGV[3] ~= '' then want(ARGV[1], tonumber(ARGV[3])) end
return pick(tonumber(ARGV[4]))
