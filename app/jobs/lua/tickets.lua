-- ARGV: lane, most tickets, now (s), tickets that the broker holds or -1 when not asked.
-- Returns how many wake-ups to send for the lane, and counts them as sent.
local lane, most, now, held = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
promote_due(now)
local sent = held
if sent < 0 then sent = tonumber(redis.call('GET', K('tickets', lane)) or '0') end
local want = math.max(0, math.min(ready_count(lane), most) - sent)
if want > 0 or held >= 0 then redis.call('SET', K('tickets', lane), sent + want) end
return want
