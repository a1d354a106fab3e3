-- ARGV: unit, token, new expiry (s), progress JSON or "". Returns 0 lease lost, 1 kept, 2 cancel wanted.
if redis.call('HGET', K('tokens'), ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZADD', K('leases'), 'XX', ARGV[3], ARGV[1])
local id = parse(ARGV[1]).id
if ARGV[4] ~= '' then redis.call('HSET', K('progress'), id, ARGV[4]) end
return 1 + redis.call('SISMEMBER', K('cancelling'), id)
