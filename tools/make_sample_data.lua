-- SPDX-License-Identifier: Apache-2.0
--- Makes data/sample: `qlua lua tools/make_sample_data.lua [FOLDER]`. The same bytes each time.
-- Templates are in tools/sample_data/; golds are computed or stand beside the question, never guessed.

local q = require "qlua"

local folder = arg[1] or "data/sample"
local SEED = 20261123

local function put(name, lines, line_end)
  local path = folder .. "/" .. name
  assert(q.file.make_dir(path:match "^(.*)/"))
  assert(q.file.write(path, table.concat(lines, line_end or "\n") .. (line_end or "\n")))
  print(("%-50s %5d"):format(path, #lines))
end

-- One JSON object as upstream writes it: keys in order, a space after colon and comma; `is_ascii` escapes the rest.
local function object(row, keys, is_ascii)
  local parts = {}
  for i, key in ipairs(keys) do
    local value = row[key]
    local text = type(value) == "table" and "[" .. q.text.join(value, q.json.encode, ", ") .. "]" or q.json.encode(value)
    parts[i] = ('"%s": %s'):format(key, text)
  end
  local line = "{" .. table.concat(parts, ", ") .. "}"
  if is_ascii then
    line = line:gsub(utf8.charpattern, function(char)
      return #char > 1 and ("\\u%04x"):format(utf8.codepoint(char)) or nil
    end)
  end
  return line
end

-- `count` different rows of a maker; a row whose text has been there is drawn anew.
local function rows(name, make, count, text_of, keys, is_ascii, seen)
  local lines = {}
  for index = 0, count - 1 do
    local row
    for try = 0, 99 do
      row = make(q.random(SEED, ("%s/%d/%d"):format(name, index, try)), index)
      if not seen[text_of(row)] then break end
      row = nil
    end
    assert(row, name .. ": no new row after 100 tries")
    seen[text_of(row)] = true
    lines[index + 1] = object(row, keys, is_ascii)
  end
  return lines
end

local function cell(text)
  return text:find '[",\n]' and '"' .. text:gsub('"', '""') .. '"' or text
end

local word_problem = require "sample_data.gsm8k"
local seen = {}
local function question_of(row) return row.question end
put("gsm8k/train.jsonl", rows("gsm8k/train", word_problem, 34, question_of, { "question", "answer" }, true, seen))
put("gsm8k/test.jsonl", rows("gsm8k/test", word_problem, 136, question_of, { "question", "answer" }, true, seen))

put("hellaswag/hellaswag_val.jsonl", rows("hellaswag/val", require "sample_data.hellaswag", 130,
  function(row) return row.ctx end,
  { "ind", "activity_label", "ctx_a", "ctx_b", "ctx", "split", "split_type", "label", "endings", "source_id" }, true, {}))

put("zh/cmath/cmath_dev.jsonl", rows("cmath/dev", require "sample_data.cmath", 112, function(row) return row.input end,
  { "grade", "input", "golden", "reasoning_step", "num_digits" }, false, {}))

for _, subject in ipairs(require "sample_data.mmlu"(q.random, SEED)) do
  for _, split in ipairs { "dev", "test" } do
    local lines = {}
    for i, row in ipairs(subject[split]) do lines[i] = q.text.join(row, cell, ",") end
    -- Upstream has both kinds of line ends, so this set has them too.
    put(("mmlu/%s/%s_%s.csv"):format(split, subject.name, split), lines, #subject.name % 2 == 0 and "\r\n" or "\n")
  end
end
