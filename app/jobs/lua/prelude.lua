-- Shared by all scripts: key names as in app/jobs/keys.py, and the queue's few moves.
-- A unit is "lane rank registry repository id" (records.unit_name); members of sets explain themselves.
local PREFIX = KEYS[1]
local function K(...) return PREFIX .. table.concat({...}, ':') end

local function parse(unit)
  local lane, rank, registry, repository, id =
    string.match(unit, '^(%S+) (%d+) (%S+) (%S+) (%S+)$')
  return {lane = lane, rank = rank, registry = registry, repository = repository, id = id}
end

local function ready_add(unit, score)
  local u = parse(unit)
  redis.call('ZADD', K('ready', u.lane, u.rank, u.registry), 'NX', score, unit)
  redis.call('ZADD', K('waiting-registries', u.lane, u.rank), 'NX', 0, u.registry)
end

local function ready_remove(unit)
  local u = parse(unit)
  local ready = K('ready', u.lane, u.rank, u.registry)
  redis.call('ZREM', ready, unit)
  if redis.call('EXISTS', ready) == 0 then
    redis.call('ZREM', K('waiting-registries', u.lane, u.rank), u.registry)
  end
end

local function ready_count(lane)
  local count = 0
  for rank = 0, LAST_RANK do
    for _, registry in ipairs(redis.call('ZRANGE', K('waiting-registries', lane, rank), 0, -1)) do
      count = count + redis.call('ZCARD', K('ready', lane, rank, registry))
    end
  end
  return count
end

local function release(unit)
  local u = parse(unit)
  redis.call('ZREM', K('leases'), unit)
  redis.call('HDEL', K('tokens'), unit)
  redis.call('HDEL', K('progress'), u.id)
  redis.call('SREM', K('running', u.registry), unit)
  redis.call('SREM', K('running', u.registry, u.repository), unit)
end

-- Take a unit out of everything the schedule keeps.
local function unschedule(unit)
  ready_remove(unit)
  redis.call('ZREM', K('delayed'), unit)
  release(unit)
  redis.call('HDEL', K('parked'), parse(unit).id)
end

local function promote_due(now)
  for _, unit in ipairs(redis.call('ZRANGEBYSCORE', K('delayed'), '-inf', now, 'LIMIT', 0, 50)) do
    local due = redis.call('ZSCORE', K('delayed'), unit)
    redis.call('ZREM', K('delayed'), unit)
    ready_add(unit, due)
  end
end
