-- ARGV: lane, most tickets, now (s), seconds without a claim after which tickets count as lost.
-- Returns how many wake-ups to send for the lane, and counts them as sent.
local lane, most, now, stale = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
promote_due(now)
local ready = ready_count(lane)
local sent = tonumber(redis.call('GET', K('tickets', lane)) or '0')
local claimed = tonumber(redis.call('HGET', K('claimed-at'), lane) or '0')
if stale > 0 and sent > 0 and now - claimed > stale then
  sent = 0
  redis.call('HSET', K('claimed-at'), lane, now)
end
local want = math.min(ready, most) - sent
if want <= 0 then return 0 end
redis.call('SET', K('tickets', lane), sent + want)
return want
