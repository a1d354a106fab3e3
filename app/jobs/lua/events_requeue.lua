-- ARGV: event id. Moves a dead event back to the pending list under a new id; returns that or 0.
local dead = K('intake', 'dead')
for _, member in ipairs(redis.call('LRANGE', dead, 0, -1)) do
  local id, record = string.match(member, '^(%d+) (.+)$')
  if id == ARGV[1] then
    redis.call('LREM', dead, 1, member)
    local fresh = redis.call('INCR', K('intake', 'sequence'))
    redis.call('RPUSH', K('intake', 'pending'), fresh .. ' ' .. record)
    redis.call('HINCRBY', K('intake', 'counts'), 'accepted', 1)
    return fresh
  end
end
return 0
