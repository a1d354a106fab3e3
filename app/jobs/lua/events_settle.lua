-- ARGV: seconds to keep, then per event: member, outcome, JSON of what became of it.
-- Each event gets exactly one outcome: a second settlement of the same event is ignored.
local settled = 0
for i = 2, #ARGV, 3 do
  if redis.call('ZREM', K('intake', 'claimed'), ARGV[i]) == 1 then
    local id = string.match(ARGV[i], '^%d+')
    redis.call('HDEL', K('intake', 'attempts'), id)
    redis.call('HINCRBY', K('intake', 'counts'), ARGV[i + 1], 1)
    redis.call('SET', K('event', id), ARGV[i + 2], 'EX', ARGV[1])
    if ARGV[i + 1] == 'dead' then
      redis.call('RPUSH', K('intake', 'dead'), ARGV[i])
      redis.call('LTRIM', K('intake', 'dead'), -10000, -1)
    end
    settled = settled + 1
  end
end
return settled
