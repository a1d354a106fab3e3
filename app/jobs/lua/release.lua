-- ARGV: unit, token. Take a unit without a record out of the schedule, if the token still holds it.
if (redis.call('HGET', K('tokens'), ARGV[1]) or '') ~= ARGV[2] then return 0 end
unschedule(ARGV[1])
redis.call('HDEL', K('strikes'), parse(ARGV[1]).id)
return 1
