-- ARGV: job id, build ids... The job does not wait for these any more.
-- Returns the builds that nobody waits for now.
local out = {}
redis.call('DEL', K('waiting', ARGV[1]))
for i = 2, #ARGV do
  redis.call('SREM', K('waiters', ARGV[i]), ARGV[1])
  if redis.call('EXISTS', K('waiters', ARGV[i])) == 0 then out[#out + 1] = ARGV[i] end
end
return out
