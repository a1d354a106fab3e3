-- ARGV: kind, ids... Returns 1 for each id that the schedule knows (ready, delayed, leased, parked), else 0.
local out = {}
for i = 2, #ARGV do
  local unit = redis.call('HGET', K(ARGV[1], ARGV[i]), 'u')
  local known = 1
  if unit then
    local u = parse(unit)
    known = (redis.call('ZSCORE', K('ready', u.lane, u.rank, u.registry), unit)
      or redis.call('ZSCORE', K('delayed'), unit) or redis.call('ZSCORE', K('leases'), unit)
      or redis.call('HGET', K('parked'), ARGV[i])) and 1 or 0
    -- A parked job whose layers are all finished or gone has missed its wake-up.
    if redis.call('HEXISTS', K('parked'), ARGV[i]) == 1 then
      known = 0
      for _, build in ipairs(redis.call('SMEMBERS', K('waiting', ARGV[i]))) do
        if redis.call('HGET', K('build', build), 'f') == '0' then known = 1 end
      end
    end
  end
  out[#out + 1] = known
end
return out
