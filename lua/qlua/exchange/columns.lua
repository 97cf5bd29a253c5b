-- SPDX-License-Identifier: Apache-2.0
--- Columns: a run's answers as one table, a row for each, in CSV or JSON lines; for tools that analyse data.
-- Rows go from the store to the file one at a time, so memory does not grow with the run.

local json = require "qlua.core.json"
local outcomes = require "qlua.outcomes"
local utf = require "qlua.core.text"

local columns = {}

--- The columns that every row has, in order; those of the scorers follow.
columns.COMMON = { "run", "variant", "dataset", "sample", "position", "group", "repeat_index", "outcome", "class", "score", "value",
  "how", "target", "text", "reasoning", "finish", "prompt_tokens", "completion_tokens", "count_source", "latency_seconds", "ttft_seconds",
  "start_ns", "end_ns", "tries", "turns", "session", "span_from", "span_to", "error_text", "text_sha256", "prompt_sha256", "row_sha256" }

local PER_SCORER = { "outcome", "score", "value", "how" }

-- CSV has its columns in its first line, so they are asked for before the first row.
local function scorer_columns(store, wanted)
  local names, seen = {}, {}
  for _, dataset in ipairs(store:datasets()) do
    for _, scorer in ipairs(wanted.datasets[dataset.name] and dataset.scorers or {}) do
      if not seen[scorer] then
        seen[scorer] = true
        for _, field in ipairs(PER_SCORER) do names[#names + 1] = { scorer .. "." .. field, scorer, field } end
        for _, metric in ipairs(store:metrics_of(scorer)) do
          names[#names + 1] = { scorer .. "." .. metric, scorer, metric, is_metric = true }
        end
      end
    end
  end
  return names
end

local function complete(row, run)
  row.run, row.class = run, outcomes.class(row.outcome)
  row.latency_seconds = row.latency_ns and row.latency_ns / 1e9
  row.ttft_seconds = row.ttft_ns and row.ttft_ns / 1e9
  return row
end

local function of_scorer(row, column)
  local judged = row.scores[column[2]]
  if not judged then return nil end
  if column.is_metric then return judged.metrics and judged.metrics[column[3]] end
  return judged[column[3]]
end

local function cell(value)
  if value == nil or value == json.null then return "" end
  local text = type(value) == "string" and value or json.encode(value)
  if not utf.valid(text) then text = utf.repair(text) end
  if text:find '[,"\r\n]' then text = '"' .. text:gsub('"', '""') .. '"' end
  return text
end

--- One record of CSV (RFC 4180), without the line break. A value that is not known is an empty cell.
-- @tparam table values
-- @tparam integer count
function columns.csv_record(values, count)
  local cells = {}
  for i = 1, count do cells[i] = cell(values[i]) end
  return table.concat(cells, ",")
end

local formats = {}

function formats.csv(out, scorers)
  local names = table.move(columns.COMMON, 1, #columns.COMMON, 1, {})
  for _, column in ipairs(scorers) do names[#names + 1] = column[1] end
  out:write(columns.csv_record(names, #names), "\n")
  return function(row)
    local values, common = {}, #columns.COMMON
    for i, name in ipairs(columns.COMMON) do values[i] = row[name] end
    for i, column in ipairs(scorers) do values[common + i] = of_scorer(row, column) end
    out:write(columns.csv_record(values, common + #scorers), "\n")
  end
end

function formats.jsonl(out, scorers)
  return function(row)
    local record = {}
    for _, name in ipairs(columns.COMMON) do record[name] = row[name] end
    for _, column in ipairs(scorers) do record[column[1]] = of_scorer(row, column) end
    out:write(json.encode(record), "\n")
  end
end

--- Write the answers of some variants on some datasets.
-- @tparam table store a run's
-- @tparam table wanted run (its id), format ("csv", "jsonl"), variants and datasets: lists of names that are sets, too
-- @tparam table out a writer
-- @treturn integer rows written
function columns.write(store, wanted, out)
  local put, count = formats[wanted.format](out, scorer_columns(store, wanted)), 0
  for _, variant in ipairs(wanted.variants) do
    for _, dataset in ipairs(wanted.datasets) do
      for row in store:whole_answers(variant, dataset) do
        put(complete(row, wanted.run))
        count = count + 1
      end
    end
  end
  return count
end

return columns
