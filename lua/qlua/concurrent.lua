-- SPDX-License-Identifier: Apache-2.0
--- Concurrency by plain-looking calls: one coroutine per task, each waiting where it calls something that waits.

local task = require "qlua.core.task"

local concurrent = { sleep = task.sleep }

local function traced(message)
  if type(message) == "table" then return message end
  return debug.traceback(message, 2)
end

--- Start a function as a task of its own; `handle:join()` waits for its results.
-- @tparam function fn
-- @param ... its arguments
-- @treturn table handle; join() returns what fn returned, or raises what it raised
function concurrent.spawn(fn, ...)
  local handle, waiting = {}, {}
  task.spawn(function(...)
    handle.result = table.pack(xpcall(fn, traced, ...))
    for _, wake in ipairs(waiting) do wake() end
  end, ...)
  function handle.join()
    if not handle.result then
      task.park(function(wake) waiting[#waiting + 1] = wake end)
    end
    if not handle.result[1] then error(handle.result[2], 0) end
    return table.unpack(handle.result, 2, handle.result.n)
  end
  return handle
end

--- Call fn(item, index) for each item, at most `limit` at once; the results keep the items' order.
-- All calls end before this returns; then the first error in the items' order is raised.
-- @tparam table items
-- @tparam function fn
-- @tparam[opt=#items] integer limit
-- @treturn table the first result of each call
function concurrent.map(items, fn, limit)
  if limit and limit < 1 then error(("want a limit of at least 1, got %s"):format(limit), 2) end
  limit = math.min(limit or #items, #items)
  local results, failures, next_index = {}, {}, 0
  local workers = {}
  for worker = 1, limit do
    workers[worker] = concurrent.spawn(function()
      while next_index < #items do
        next_index = next_index + 1
        local index = next_index
        local ok, result = xpcall(fn, traced, items[index], index)
        if ok then results[index] = result else failures[index] = result end
      end
    end)
  end
  for _, worker in ipairs(workers) do worker.join() end
  for index = 1, #items do
    if failures[index] ~= nil then error(failures[index], 0) end
  end
  return results
end

--- Run functions at once, at most `limit` of them; see map.
-- @tparam {function,...} functions
-- @tparam[opt] integer limit
-- @treturn table the first result of each
function concurrent.all(functions, limit)
  return concurrent.map(functions, function(fn) return fn() end, limit)
end

return concurrent
