-- Tells a window what changed, and says whose turn it is.
-- KEYS[1] queue prefix
-- ARGV[1] most deliveries in flight, "" to leave it  [2] most tickets to give  [3] number of
-- tickets that are free; they follow, then the number of tickets that somebody has and
-- that may not be known; they follow, then team and what it could send on, in turns
-- Returns {{team, ticket, what it could send on beyond}, …}.
if ARGV[1] ~= '' then redis.call('SET', P .. 'window', ARGV[1]) end
local i, changed = 3, {}

local function each_ticket(change)
  for j = i + 1, i + tonumber(ARGV[i]) do
    change(ARGV[j], NOW)
    changed[team_of(ARGV[j])] = true
  end
  i = i + 1 + tonumber(ARGV[i])
end

each_ticket(take_back)
each_ticket(hand_out)
for j = i, #ARGV, 2 do
  want(ARGV[j], tonumber(ARGV[j + 1]))
  changed[ARGV[j]] = true
end
for team in pairs(changed) do rank(team) end
return pick(tonumber(ARGV[2]))
