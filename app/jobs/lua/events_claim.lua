-- ARGV: now (s), lease (s), most. Returns {members claimed, attempts of each, events still pending}.
-- Events whose claim expired (their worker died) come first.
local claimed = K('intake', 'claimed')
local now, until_, most = tonumber(ARGV[1]), ARGV[1] + ARGV[2], tonumber(ARGV[3])
local out = redis.call('ZRANGEBYSCORE', claimed, '-inf', now, 'LIMIT', 0, most)
if #out < most then
  local fresh = redis.call('LPOP', K('intake', 'pending'), most - #out)
  for _, member in ipairs(fresh or {}) do out[#out + 1] = member end
end
local attempts = {}
for i, member in ipairs(out) do
  redis.call('ZADD', claimed, until_, member)
  attempts[i] = redis.call('HINCRBY', K('intake', 'attempts'), string.match(member, '^%d+'), 1)
end
return {out, attempts, redis.call('LLEN', K('intake', 'pending'))}
