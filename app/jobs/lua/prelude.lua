-- Shared by all scripts: key names as in app/jobs/keys.py, and the clock.
local PREFIX = KEYS[1]
local function K(...) return PREFIX .. table.concat({...}, ':') end
