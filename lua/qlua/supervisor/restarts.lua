-- SPDX-License-Identifier: Apache-2.0
--- Restarts: what to do after a server has failed, and which questions to be careful with. Pure.
--
-- A start that failed is tried once more where that can help. A server that crashed while it was asked is started again a bounded
-- number of times; what was in flight then is suspect, and is asked alone first. A question that was in flight at two crashes is
-- put under quarantine: not asked again, counted as an error.

local restarts = {}
restarts.__index = restarts

--- What stands in the answer of a question under quarantine.
restarts.QUARANTINED = "quarantined: in flight at two crashes"

-- By the kind of failure that the dialect has recognised in the log.
local hopeless = { config = true, flag = true, model = true, network = true }

--- What to do after a failed start.
-- @tparam table err of `supervisor.start`: failure (kind by the dialect), crashed (the process ended), foreign (another answered)
-- @tparam integer tries made so far
-- @treturn string `no`; `again`; `when_free` (once the GPU is); `port` (at another port)
function restarts.after_start(err, tries)
  if tries > 1 or err.kind ~= "server" or hopeless[err.failure or ""] then return "no" end
  if err.failure == "memory" then return "when_free" end
  if err.failure == "port" or err.foreign then return "port" end
  return err.crashed and "again" or "no"
end

--- The account of one variant's crashes.
-- @tparam table options max_restarts, concurrency
function restarts.new(options)
  return setmetatable({ left = options.max_restarts, concurrency = options.concurrency, strikes = {}, names = {} }, restarts)
end

local function key_of(question)
  return ("%s\0%s\0%s\0%d"):format(question.variant, question.dataset, question.sample, question.repeat_index or 0)
end

--- A crash while questions were in flight.
-- @tparam table suspects list of `{ variant, dataset, sample, repeat_index }`
-- @tparam table err kind of failure in `failure`
-- @tparam ?string mode of the dataset that was asked
-- @treturn table questions that are under quarantine from now on
function restarts:crashed(suspects, err, mode)
  local quarantined = {}
  for _, question in ipairs(suspects) do
    local key = key_of(question)
    self.names[key] = question
    self.strikes[key] = (self.strikes[key] or 0) + 1
    if self.strikes[key] == 2 then quarantined[#quarantined + 1] = question end
  end
  -- scoring whole prompts takes memory that no engine plans for: fewer at once need less of it
  if err.failure == "memory" and mode == "loglikelihood" then self.concurrency = math.max(1, self.concurrency // 2) end
  return quarantined
end

--- Take one restart, if there is one left.
function restarts:take()
  if self.left <= 0 then return false end
  self.left = self.left - 1
  return true
end

--- Must this question not be asked any more?
function restarts:is_quarantined(question)
  return (self.strikes[key_of(question)] or 0) >= 2
end

--- The questions to ask alone, of one variant and dataset.
-- @treturn table set of sample ids
-- @treturn integer how many
function restarts:suspects(variant, dataset)
  local set, count = {}, 0
  for key, strikes in pairs(self.strikes) do
    local question = self.names[key]
    if strikes == 1 and question.variant == variant and question.dataset == dataset then
      set[question.sample], count = true, count + 1
    end
  end
  return set, count
end

return restarts
