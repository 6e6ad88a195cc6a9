-- Mends a window by what the slots say, after processes ended half-way.
-- KEYS[1] queue prefix
-- ARGV[1] window, "" to leave it  [2] most tickets to give  [3] number of tickets that nobody
-- has; they follow, then the number of tickets that somebody has and were not
-- known; they follow, then team and what it could send on, in turns
-- Returns as turn does.
if ARGV[1] ~= '' then redis.call('SET', P .. 'window', ARGV[1]) end
local i = 4
for _ = 1, tonumber(ARGV[3]) do
  take_back(ARGV[i])
  i = i + 1
end
local known = tonumber(ARGV[i])
i = i + 1
for _ = 1, known do
  hand_out(ARGV[i], string.match(ARGV[i], '^[^:]*:(.*)$'), NOW)
  i = i + 1
end
for j = i, #ARGV, 2 do want(ARGV[j], tonumber(ARGV[j + 1])) end
return pick(tonumber(ARGV[2]))
