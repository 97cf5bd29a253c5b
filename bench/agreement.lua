-- SPDX-License-Identifier: Apache-2.0
--- Agreement of the scorers with the gold answers on real replies, and with each other.
-- `qlua lua bench/agreement.lua ../shared/data [--source NAME] [--class "TEXT"] [--show N] [--markdown]`
-- A class is a pair of verdicts ("number right, flexible wrong"); each is printed with its count and three replies,
-- since
-- what a scorer is worth shows in the replies it disagrees on. `theirs` is the label that came with the data.
-- The findings are in docs/agreement.md.
local q = require "qlua"
local sandbox = require "qlua.sandbox"

local data_dir = arg[1]
if not data_dir then
  io.stderr:write("bench/agreement.lua: want the folder with the real replies\n")
  os.exit(2)
end

local options = { show = 3 }
for index = 2, #arg do
  local name = arg[index]:match "^%-%-(%a+)$"
  if name == "markdown" then options.markdown = true
  elseif name then options[name] = arg[index + 1] end
end

local function read(path)
  local handle = io.open(data_dir .. "/" .. path, "rb")
  if not handle then return nil end
  local text = handle:read "a"
  handle:close()
  return text
end

local function decode(text, path) return assert(q.json.decode(text), path) end

local function rows_of(path)
  local text = read(path)
  if not text then return nil end
  local rows = {}
  for line in text:gmatch "[^\n]+" do rows[#rows + 1] = decode(line, path) end
  return rows
end

local function skip(what, why) io.stderr:write("skipped ", what, ": ", why, "\n") end

-- ---- sources: each adds cases { source, id, text, gold, theirs, labels } ------------------------------------------

local cases = {}

local function add(case)
  if options.source and case.source ~= options.source then return end
  cases[#cases + 1] = case
end

local function gsm8k_models()
  local path = "gsm8k/example_model_solutions.jsonl"
  local rows = rows_of(path)
  if not rows then return skip("gsm8k", "no " .. path) end
  for index, row in ipairs(rows) do
    local gold = row.ground_truth:match "A: (%S+)%s*$"
    for _, model in ipairs { "6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification" } do
      add { source = "gsm8k " .. model, id = index - 1, text = row[model].solution, gold = gold,
            theirs_right = row[model].is_correct }
    end
  end
end

local function gsm8k_tora()
  for _, name in ipairs { "tora-70b-v1.0", "tora-code-34b-v1.0" } do
    local path = "outputs/gsm8k_tora/" .. name .. ".jsonl"
    local rows = rows_of(path)
    if not rows then skip(name, "no " .. path) end
    for _, row in ipairs(rows or {}) do
      local pred = row.pred[1]
      add { source = name, id = row.idx, text = row.code[1], gold = row.gt,
            theirs_right = type(pred) == "string" and q.number.equal(pred, row.gt), theirs = tostring(pred) }
    end
  end
end

local function letters(count)
  local list = {}
  for index = 1, count do list[index] = string.char(64 + index) end
  return list
end

local function aqua()
  local path = "outputs/aqua_gpt4_pot/aqua_gpt4.jsonl"
  local rows = rows_of(path)
  if not rows then return skip("aqua", "no " .. path) end
  for index, row in ipairs(rows) do
    add { source = "aqua gpt-4", id = index - 1, text = row.generated_prediction, gold = row.answer,
      labels = letters(5) }
  end
end

local function mmlu_gpt35()
  local path = "outputs/mmlu_gpt35_dylan/mmlu_optimal7_2.derived.jsonl"
  local rows = rows_of(path)
  if not rows then return skip("mmlu gpt-3.5", "no " .. path) end
  for index, row in ipairs(rows) do
    add { source = "mmlu gpt-3.5", id = index - 1, text = row.model_output, gold = row.gold, labels = letters(4) }
  end
end

local function unzipped(path)
  local full = data_dir .. "/" .. path
  if not read(path) then return nil, "no " .. path end
  local pipe = io.popen("unzip -p '" .. full:gsub("'", "'\\''") .. "' 2>/dev/null")
  local text = pipe and pipe:read "a"
  local ok = pipe and pipe:close()
  if not ok or text == "" then return nil, "unzip cannot read " .. path end
  return text
end

local function mmlu_pro()
  for _, model in ipairs { "Meta-Llama-3_1-8B-Instruct", "Qwen1.5-72B-Chat" } do
    local path = "outputs/mmlu_pro/model_outputs_" .. model .. "_5shots.zip"
    if not options.source or options.source == "mmlu_pro " .. model then
      local text, why = unzipped(path)
      if not text then skip("mmlu_pro " .. model, why) end
      for _, row in ipairs(text and decode(text, path) or {}) do
        local reply = row.generated_text or row.model_outputs or row.pred_text
        add { source = "mmlu_pro " .. model, id = row.question_id, text = reply, gold = row.answer,
              labels = letters(#row.options), theirs = type(row.pred) == "string" and row.pred or "none",
              theirs_right = row.pred == row.answer }
      end
    end
  end
end

local GAOKAO = { "2010-2013_English_MCQs", "2010-2022_Biology_MCQs", "2010-2022_Chemistry_MCQs",
  "2010-2022_Chinese_Lang_and_Usage_MCQs", "2010-2022_History_MCQs", "2010-2022_Math_II_MCQs", "2010-2022_Math_I_MCQs",
  "2010-2022_Physics_MCQs", "2010-2022_Political_Science_MCQs" }

local function gaokao()
  local left_out = 0
  for _, name in ipairs(GAOKAO) do
    local path = "outputs/zh_gaokao_gpt4/gpt-4-0314_" .. name .. ".json"
    local text = read(path)
    if not text then skip("gaokao " .. name, "no " .. path) end
    for _, row in ipairs(text and decode(text, path).example or {}) do
      local gold = row.standard_answer
      if #gold == 1 and #gold[1] == 1 then
        local pred = type(row.model_answer) == "table" and row.model_answer[1] or nil
        add { source = "gaokao gpt-4", id = name .. "/" .. row.index, text = row.model_output, gold = gold[1],
              labels = letters(4), theirs = tostring(pred), theirs_right = pred == gold[1] }
      else
        left_out = left_out + 1
      end
    end
  end
  if left_out > 0 then skip(left_out .. " gaokao questions", "several answers each") end
end

-- ---- judging
-- ----------------------------------------------------------------------------------------------------------

local function scorer(name)
  local path = "lua/scorers/" .. name:gsub("%.", "/") .. ".lua"
  local handle = assert(io.open(path, "rb"))
  local script = assert(sandbox.load(handle:read "a", path, "lua/scorers"))
  handle:close()
  return script
end

local NUMBER_SCORERS = { "number", "lm_eval.gsm8k_strict", "lm_eval.gsm8k_flexible" }
local LETTER_SCORERS = { "letter" }
local scripts = {}
for _, name in ipairs(NUMBER_SCORERS) do scripts[name] = scorer(name) end
scripts.letter = scorer "letter"

-- "right", "wrong", or the outcome; the value; how
local function judge(name, case)
  local sample = { target = case.gold, meta = { labels = case.labels } }
  local answer, reason = scripts[name].extract({ text = case.text, finish = "stop" }, sample)
  if not answer then return reason, reason end
  return scripts[name].score(answer, sample) == 1 and "right" or "wrong", answer.value, answer.how
end

local tables, order, classes, hows = {}, {}, {}, {}

local function count(source, scorer_name, verdict)
  local key = source .. "\0" .. scorer_name
  if not tables[key] then
    tables[key] = { source = source, scorer = scorer_name, total = 0 }
    order[#order + 1] = tables[key]
  end
  tables[key].total = tables[key].total + 1
  tables[key][verdict] = (tables[key][verdict] or 0) + 1
end

local function note_class(case, first, second, verdicts)
  local a, b = verdicts[first], verdicts[second]
  local differ = a.verdict ~= b.verdict or a.verdict == "wrong" and a.value and b.value and a.value ~= b.value
    and not q.number.equal(a.value, (b.value:gsub("[$,]", ""):gsub("%.$", "")))
  if not differ or not b.verdict then return end
  local kind = case.labels and "letters" or "numbers"
  local key = ("%s: %s %s, %s %s"):format(kind, first, a.verdict, second, b.verdict)
  classes[key] = classes[key] or {}
  table.insert(classes[key], { case = case, a = a, b = b })
end

local function judge_all()
  for _, case in ipairs(cases) do
    local verdicts = {}
    for _, name in ipairs(case.labels and LETTER_SCORERS or NUMBER_SCORERS) do
      local verdict, value, how = judge(name, case)
      verdicts[name] = { verdict = verdict, value = value, how = how }
      count(case.source, name, verdict)
      if how and (name == "number" or name == "letter") then
        local key = name .. " by " .. how
        hows[key] = hows[key] or { total = 0, right = 0 }
        hows[key].total = hows[key].total + 1
        if verdict == "right" then hows[key].right = hows[key].right + 1 end
      end
    end
    if case.theirs_right ~= nil then
      local verdict = case.theirs_right and "right" or "wrong"
      verdicts.theirs = { verdict = verdict, value = case.theirs }
      count(case.source, "theirs", verdict)
    end
    local headline = case.labels and "letter" or "number"
    for _, other in ipairs { "lm_eval.gsm8k_strict", "lm_eval.gsm8k_flexible", "theirs" } do
      if verdicts[other] then note_class(case, headline, other, verdicts) end
    end
    local own = verdicts[headline]
    if own.verdict ~= "right" and own.verdict ~= "wrong" then
      local key = (case.labels and "letters: letter " or "numbers: number ") .. own.verdict
      classes[key] = classes[key] or {}
      table.insert(classes[key], { case = case, a = own, b = {} })
    end
  end
end

-- ---- printing
-- ---------------------------------------------------------------------------------------------------------

local COLUMNS = { "right", "wrong", "no_answer", "ambiguous", "refused", "truncated", "empty" }

local function print_table()
  print("| source | scorer | replies | agrees with gold | wrong | no_answer | ambiguous | refused | truncated | empty |")
  print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
  for _, one in ipairs(order) do
    local cells = { one.source, one.scorer, tostring(one.total) }
    for index, column in ipairs(COLUMNS) do
      local value = one[column] or 0
      cells[#cells + 1] = index == 1 and ("%d (%.2f %%)"):format(value, 100 * value / one.total) or tostring(value)
    end
    print("| " .. table.concat(cells, " | ") .. " |")
  end
  print ""
  local names = {}
  for name in pairs(hows) do names[#names + 1] = name end
  table.sort(names, function(x, y)
    if hows[x].total ~= hows[y].total then return hows[x].total > hows[y].total end
    return x < y
  end)
  print("| recognized | answers | agree with gold |")
  print("|---|--:|--:|")
  for _, name in ipairs(names) do
    print(("| %s | %d | %.2f %% |"):format(name, hows[name].total, 100 * hows[name].right / hows[name].total))
  end
end

local function tail(text, columns)
  text = q.text.repair(text):gsub("\n", "⏎")
  local length = q.text.chars(text)
  return length > columns and "…" .. q.text.sub_chars(text, -columns) or text
end

local function print_classes()
  local names = {}
  for name in pairs(classes) do names[#names + 1] = name end
  table.sort(names, function(x, y)
    if #classes[x] ~= #classes[y] then return #classes[x] > #classes[y] end
    return x < y
  end)
  for _, name in ipairs(names) do
    if not options.class or name == options.class then
      local list = classes[name]
      print(("\n### %s: %d"):format(name, #list))
      local step = math.max(1, #list // tonumber(options.show))
      for index = 1, math.min(#list, step * tonumber(options.show)), step do
        local one = list[index]
        print(("- %s %s, gold %s: %s (%s) against %s\n  %s"):format(one.case.source, one.case.id, one.case.gold,
          one.a.value, one.a.how or "-", one.b.value or "-", tail(one.case.text, tonumber(options.width or 300))))
      end
    end
  end
end

gsm8k_models()
gsm8k_tora()
aqua()
mmlu_gpt35()
mmlu_pro()
gaokao()
judge_all()
if not options.class then print_table() end
if not options.markdown then print_classes() end
