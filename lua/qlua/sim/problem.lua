-- SPDX-License-Identifier: Apache-2.0
--- Problem: errors in vLLM's shapes, raised while a request is read and turned into plans where it is answered.

local json = require "qlua.core.json"

local problem = {}

local JSON_HEADERS = { ["Content-Type"] = "application/json" }

--- The error object of vLLM and OpenAI.
-- @tparam integer code the HTTP status, an integer in the body too
-- @tparam string type
-- @tparam string message
-- @tparam ?string param
-- @treturn string JSON
function problem.body(code, type, message, param)
  return json.encode { error = { message = message, type = type, param = param or json.null, code = code } }
end

--- A plan for an error.
function problem.plan(code, type, message, param)
  return { status = code, headers = JSON_HEADERS, body = problem.body(code, type, message, param) }
end

--- Raise an error that `caught` turns into a plan.
function problem.raise(code, type, message, param)
  error({ problem = problem.plan(code, type, message, param) }, 0)
end

--- Raise the 400 that most mistakes get.
function problem.bad(message, param)
  problem.raise(400, "BadRequestError", message, param)
end

--- Raise what pydantic's validation gives: 400, not 422, with the place of the mistake in the message.
-- @tparam string kind e.g. missing
-- @tparam string field
-- @tparam string message
function problem.invalid(kind, field, message)
  problem.raise(400, "Bad Request", ("[{'type': '%s', 'loc': ('body', '%s'), 'msg': '%s'}]"):format(kind, field, message))
end

--- Call fn; a raised problem becomes its plan, anything else goes on.
function problem.caught(fn, ...)
  local is_done, plan = pcall(fn, ...)
  if is_done then return plan end
  if type(plan) == "table" and plan.problem then return plan.problem end
  error(plan, 0)
end

return problem
