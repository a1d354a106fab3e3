-- A host asked everyone to wait. KEYS[1] as in throttle.lua; ARGV: seconds.
local clock = redis.call('TIME')
local till = tonumber(clock[1]) + tonumber(clock[2]) / 1e6 + tonumber(ARGV[1])
local known = tonumber(redis.call('HGET', KEYS[1], 'until') or '0')
if till > known then redis.call('HSET', KEYS[1], 'until', string.format('%.6f', till)) end
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[1]) + 3600))
return 1
