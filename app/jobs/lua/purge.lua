-- ARGV: kind, state, before (s), most. Deletes finished records and their index entries.
local kind, state = ARGV[1], ARGV[2]
local index = K(kind, 'state', state)
local purged = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', ARGV[3], 'LIMIT', 0, ARGV[4])) do
  local facts = redis.call('HMGET', K(kind, id), 'f', 'u')
  if facts[1] ~= '0' then
    redis.call('ZREM', index, id)
    if kind == 'job' then
      redis.call('ZREM', K('job', 'all'), id)
      if facts[2] then
        local u = parse(facts[2])
        redis.call('ZREM', K('job', 'repository', u.registry, u.repository), id)
      end
    end
    redis.call('DEL', K(kind, id))
    purged = purged + 1
  end
end
return purged
