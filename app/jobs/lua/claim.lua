-- ARGV: lane, now (s), lease (s), token, caps JSON {registry: [registry cap, repository cap]}.
-- Returns {unit, attempts} of the unit admitted, or nil. By rank, then registries in turn, then age.
local lane, now, lease, token = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local caps = cjson.decode(ARGV[5])
local tickets = K('tickets', lane)
if tonumber(redis.call('GET', tickets) or '0') > 0 then redis.call('DECR', tickets) end
if redis.call('SISMEMBER', K('paused-lanes'), lane) == 1 then return nil end
promote_due(now)

local function admits(unit, repository_cap)
  local u = parse(unit)
  return redis.call('SCARD', K('running', u.registry, u.repository)) < repository_cap
end

local function take(unit)
  local u = parse(unit)
  ready_remove(unit)
  redis.call('ZADD', K('leases'), now + lease, unit)
  redis.call('HSET', K('tokens'), unit, token)
  redis.call('SADD', K('running', u.registry), unit)
  redis.call('SADD', K('running', u.registry, u.repository), unit)
  -- The registry served goes to the end of the line of its rank.
  local turn = redis.call('INCR', K('turn'))
  redis.call('ZADD', K('waiting-registries', lane, u.rank), 'XX', turn, u.registry)
  redis.call('HSET', K('claimed-at'), lane, now)
  return {unit, redis.call('HINCRBY', K('strikes'), u.id, 1)}
end

for rank = 0, LAST_RANK do
  for _, registry in ipairs(redis.call('ZRANGE', K('waiting-registries', lane, rank), 0, -1)) do
    local cap = caps[registry] or caps['*']
    if redis.call('SISMEMBER', K('paused'), registry) == 0
        and redis.call('SCARD', K('running', registry)) < cap[1] then
      for _, unit in ipairs(redis.call('ZRANGE', K('ready', lane, rank, registry), 0, 255)) do
        if admits(unit, cap[2]) then return take(unit) end
      end
    end
  end
end
return nil
