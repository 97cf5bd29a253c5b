-- SPDX-License-Identifier: Apache-2.0
--- Outcomes: the closed list of what can become of one question.
--
-- Four classes that are never mixed. `correct` and `wrong` are judged answers. `invalid` is the model's own
-- failure to give a usable answer: it counts as wrong in accuracy and makes the invalid rate. `error` is not
-- the model's fault: it is taken out of accuracy altogether, reported, and fails the run above a threshold.
local outcomes = {}

outcomes.list = {
  { name = "correct", class = "correct", title = { en = "correct", zh = "正确" } },
  { name = "wrong", class = "wrong", title = { en = "wrong", zh = "错误" } },
  { name = "no_answer", class = "invalid", title = { en = "no answer found", zh = "未找到答案" } },
  { name = "ambiguous", class = "invalid", title = { en = "ambiguous answer", zh = "答案有歧义" } },
  { name = "empty", class = "invalid", title = { en = "empty reply", zh = "回复为空" } },
  { name = "refused", class = "invalid", title = { en = "refused", zh = "拒绝回答" } },
  { name = "truncated", class = "invalid", title = { en = "cut off before an answer", zh = "未答完即被截断" } },
  { name = "truncated_reasoning", class = "invalid", title = { en = "cut off while reasoning", zh = "思考中被截断" } },
  { name = "too_long", class = "error", title = { en = "prompt too long", zh = "提示词超长" } },
  { name = "http_4xx", class = "error", title = { en = "request rejected (4xx)", zh = "请求被拒 (4xx)" } },
  { name = "http_5xx", class = "error", title = { en = "server error (5xx)", zh = "服务端错误 (5xx)" } },
  { name = "timeout", class = "error", title = { en = "time-out", zh = "超时" } },
  { name = "connect", class = "error", title = { en = "no connection", zh = "无法连接" } },
  { name = "server_dead", class = "error", title = { en = "server died", zh = "服务进程退出" } },
  { name = "protocol", class = "error", title = { en = "reply not as the API promises", zh = "回复不符合接口约定" } },
  { name = "script_error", class = "error", title = { en = "script error", zh = "脚本出错" } },
}

outcomes.classes = {
  correct = { en = "correct", zh = "正确" },
  wrong = { en = "wrong", zh = "错误" },
  invalid = { en = "no usable answer", zh = "无有效答案" },
  error = { en = "error", zh = "出错" },
}

local errors = {}
for _, entry in ipairs(outcomes.list) do
  if entry.class == "error" then errors[#errors + 1] = "'" .. entry.name .. "'" end
end
--- The names of class error, quoted, for `outcome NOT IN (…)`.
outcomes.sql_errors = table.concat(errors, ", ")

--- name → entry of the list
outcomes.by_name = {}
for _, entry in ipairs(outcomes.list) do outcomes.by_name[entry.name] = entry end

--- The class of an outcome.
-- @tparam string name an outcome's name
-- @treturn string `correct`, `wrong`, `invalid` or `error`
-- @raise for a name that is not on the list
function outcomes.class(name)
  local entry = outcomes.by_name[name]
  if not entry then error(("outcome: want one of the closed list, got '%s'"):format(tostring(name)), 2) end
  return entry.class
end

--- Is this outcome judged, that is, part of accuracy's denominator?
function outcomes.is_answered(name) return outcomes.class(name) ~= "error" end

return outcomes
