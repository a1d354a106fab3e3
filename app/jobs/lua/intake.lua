-- ARGV: replay seconds, signal seconds, then per event: delivery name ("" if none), JSON record.
-- Returns {ids accepted, duplicates, 1 when a worker must be woken}.
local ids, duplicates = {}, 0
for i = 3, #ARGV, 2 do
  local fresh = ARGV[i] == '' or redis.call('SET', K('seen', ARGV[i]), 1, 'NX', 'EX', ARGV[1])
  if fresh then
    local id = redis.call('INCR', K('intake', 'sequence'))
    redis.call('RPUSH', K('intake', 'pending'), id .. ' ' .. ARGV[i + 1])
    ids[#ids + 1] = id
  else
    duplicates = duplicates + 1
  end
end
local counts = K('intake', 'counts')
if #ids > 0 then redis.call('HINCRBY', counts, 'accepted', #ids) end
if duplicates > 0 then redis.call('HINCRBY', counts, 'duplicate', duplicates) end
local wake = 0
if #ids > 0 and redis.call('SET', K('intake', 'signal'), 1, 'NX', 'EX', ARGV[2]) then wake = 1 end
return {ids, duplicates, wake}
