-- ARGV: now (s), lease (s), members. Renews claims that are neither settled, expired nor put off.
local until_ = ARGV[1] + ARGV[2]
for i = 3, #ARGV do
  local due = tonumber(redis.call('ZSCORE', K('intake', 'claimed'), ARGV[i]) or '0')
  if due > tonumber(ARGV[1]) and due < until_ then
    redis.call('ZADD', K('intake', 'claimed'), 'XX', until_, ARGV[i])
  end
end
return 1
