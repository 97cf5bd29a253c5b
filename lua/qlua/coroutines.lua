-- SPDX-License-Identifier: Apache-2.0
--- Lets a script's own coroutines contain calls that wait.
-- A waiting call yields a mark that belongs to the task door. Inside a coroutine of the script's own that yield
-- reaches the script's `coroutine.resume`; the versions here pass the mark on outwards, and what the task is resumed
-- with back inwards, so that generators and waiting calls nest. Where the task itself cannot yield (in a comparator
-- of sort, say) a coroutine may run but not wait: it is sealed for the time.

local task = require "qlua.core.task"

local is_mark, seal, is_yieldable = task.is_mark, task.seal, coroutine.isyieldable

local raw_resume, raw_yield, raw_create = coroutine.resume, coroutine.yield, coroutine.create

local coroutines = {}

local function pass_on(co, ok, first, ...)
  if ok and is_mark(first) then
    return pass_on(co, raw_resume(co, raw_yield(first)))
  end
  return ok, first, ...
end

local function unseal(...)
  seal(false)
  return ...
end

--- As coroutine.resume.
function coroutines.resume(co, ...)
  if type(co) == "thread" and not is_yieldable() then
    seal(true)
    return unseal(raw_resume(co, ...))
  end
  return pass_on(co, raw_resume(co, ...))
end

local function unwrap(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

--- As coroutine.wrap.
function coroutines.wrap(fn)
  local co = raw_create(fn)
  return function(...) return unwrap(coroutines.resume(co, ...)) end
end

--- The `coroutine` library for scripts that may wait: put it into their environment.
-- @treturn table
function coroutines.library()
  return setmetatable({ resume = coroutines.resume, wrap = coroutines.wrap }, { __index = coroutine })
end

return coroutines
