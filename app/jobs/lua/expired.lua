-- ARGV: now (s), most. Returns unit, token, attempts of each lease that has expired.
local out = {}
for _, unit in ipairs(redis.call('ZRANGEBYSCORE', K('leases'), '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  out[#out + 1] = {unit, redis.call('HGET', K('tokens'), unit) or '',
    redis.call('HGET', K('strikes'), parse(unit).id) or '1'}
end
return out
