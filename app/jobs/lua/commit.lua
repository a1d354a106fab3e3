-- Write a new revision of a record, its indexes and its place in the schedule, or nothing.
-- ARGV: JSON of {kind, id, revision, state, finished, doc, now, created, unit, token, op, at, batch, builds, strikes}
-- op: ready | delay (both at `at`), park (on `builds`), hold (keep the lease), none (finished).
-- Returns 1, or 0 when the revision is no longer current, or -1 when the token's lease is lost.
local a = cjson.decode(ARGV[1])
local doc = ARGV[2]
local record = K(a.kind, a.id)
local current = redis.call('HMGET', record, 'r', 's', 'u', 'b')
if tonumber(current[1] or '0') ~= a.revision then return 0 end
local old_state, old_unit, old_batch = current[2], current[3], current[4]
if a.token ~= '' and redis.call('HGET', K('tokens'), old_unit or a.unit) ~= a.token then return -1 end

redis.call('HSET', record, 'r', a.revision + 1, 's', a.state, 'f', a.finished, 'u', a.unit,
  'b', a.batch, 'd', doc)
if old_state and old_state ~= a.state then redis.call('ZREM', K(a.kind, 'state', old_state), a.id) end
redis.call('ZADD', K(a.kind, 'state', a.state), a.now, a.id)
if a.finished == 1 then redis.call('ZREM', K(a.kind, 'active'), a.id)
else redis.call('ZADD', K(a.kind, 'active'), a.now, a.id) end
if a.kind == 'job' and not old_state then
  local u = parse(a.unit)
  redis.call('ZADD', K('job', 'all'), a.created, a.id)
  redis.call('ZADD', K('job', 'repository', u.registry, u.repository), a.created, a.id)
end
if a.batch ~= '' then
  if old_batch == a.batch then redis.call('HINCRBY', K('batch', a.batch, 'states'), old_state, -1) end
  redis.call('HINCRBY', K('batch', a.batch, 'states'), a.state, 1)
end
redis.call('HINCRBY', K(a.kind, 'counts'), a.state, 1)
redis.call('XADD', K('changes'), 'MAXLEN', '~', 10000, '*', 'kind', a.kind, 'id', a.id, 'state', a.state)

if a.op ~= 'hold' then
  if old_unit then unschedule(old_unit) end
  if a.op == 'ready' then ready_add(a.unit, a.at)
  elseif a.op == 'delay' then redis.call('ZADD', K('delayed'), a.at, a.unit)
  elseif a.op == 'park' then
    local waiting = K('waiting', a.id)
    redis.call('DEL', waiting)
    for _, build in ipairs(a.builds) do
      -- A build that is gone counts as finished: the job plans again and notices.
      if redis.call('HGET', K('build', build), 'f') == '0' then
        redis.call('SADD', waiting, build)
        redis.call('SADD', K('waiters', build), a.id)
      end
    end
    if redis.call('EXISTS', waiting) == 1 then redis.call('HSET', K('parked'), a.id, a.at .. ' ' .. a.unit)
    else ready_add(a.unit, a.at) end
  end
end
if a.strikes ~= 0 then
  if a.finished == 1 then redis.call('HDEL', K('strikes'), a.id)
  else redis.call('HINCRBY', K('strikes'), a.id, a.strikes) end
end
if a.finished == 1 then
  redis.call('SREM', K('cancelling'), a.id)
  redis.call('DEL', K('waiting', a.id))
end

-- The last layer to finish wakes the jobs that wait for it.
if a.kind == 'build' and a.finished == 1 then
  for _, job in ipairs(redis.call('SMEMBERS', K('waiters', a.id))) do
    redis.call('SREM', K('waiting', job), a.id)
    local parked = redis.call('HGET', K('parked'), job)
    if parked and redis.call('EXISTS', K('waiting', job)) == 0 then
      local at, unit = string.match(parked, '^(%S+) (.+)$')
      redis.call('HDEL', K('parked'), job)
      ready_add(unit, at)
    end
  end
  redis.call('DEL', K('waiters', a.id))
end
return 1
