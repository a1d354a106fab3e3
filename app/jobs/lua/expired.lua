-- ARGV: now (s), most. Returns unit, token pairs whose lease has expired.
local out = {}
for _, unit in ipairs(redis.call('ZRANGEBYSCORE', K('leases'), '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  out[#out + 1] = unit
  out[#out + 1] = redis.call('HGET', K('tokens'), unit) or ''
end
return out
