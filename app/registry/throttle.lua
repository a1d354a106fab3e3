-- Shared rate limit of one registry host: a token bucket in its GCRA form, plus a penalty.
-- KEYS[1] hash {tat, until}, both seconds of the Redis clock.
-- ARGV: requests per second, burst, cost, longest wait in seconds.
-- Returns the seconds to wait as text; negative when they exceed the longest wait (nothing is taken).
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local rate, burst, cost, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local state = redis.call('HMGET', KEYS[1], 'tat', 'until')
local tat = math.max(tonumber(state[1] or '0'), now) + cost / rate
local wait = math.max(tat - burst / rate, tonumber(state[2] or '0')) - now
if wait < 0 then wait = 0 end
if wait > longest then return tostring(-wait) end
redis.call('HSET', KEYS[1], 'tat', string.format('%.6f', tat))
redis.call('EXPIRE', KEYS[1], math.ceil(burst / rate + longest + 3600))
return tostring(wait)
