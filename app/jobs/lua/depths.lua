-- Lanes are the arguments. Returns per lane and rank and registry: lane, rank, registry, waiting, score of the oldest.
local out = {}
for _, lane in ipairs(ARGV) do
  for rank = 0, LAST_RANK do
    for _, registry in ipairs(redis.call('ZRANGE', K('waiting-registries', lane, rank), 0, -1)) do
      local ready = K('ready', lane, rank, registry)
      local oldest = redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')
      out[#out + 1] = {lane, tostring(rank), registry, redis.call('ZCARD', ready), oldest[2] or '0'}
    end
  end
end
return out
