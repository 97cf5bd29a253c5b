-- SPDX-License-Identifier: Apache-2.0
--- MMLU (Hendrycks et al. 2021, arXiv:2009.03300): 57 subjects, four choices, the answer is a letter.
-- The prompt is lm-eval's task mmlu, version 1. Five examples by default, the subject's dev rows in order; there
-- the default is none, so a number quoted without its shots means little. `letter` asks once and reads the
-- log-probabilities of the letters; `loglikelihood` scores each letter; `generate` lets the model write it.
local q = require "qlua"

local categories = {
  stem = [[abstract_algebra anatomy astronomy college_biology college_chemistry college_computer_science
    college_mathematics college_physics computer_security conceptual_physics electrical_engineering
    elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science
    high_school_mathematics high_school_physics high_school_statistics machine_learning]],
  humanities = [[formal_logic high_school_european_history high_school_us_history high_school_world_history
    international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory
    professional_law world_religions]],
  social_sciences = [[econometrics high_school_geography high_school_government_and_politics
    high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality
    professional_psychology public_relations security_studies sociology us_foreign_policy]],
  other = [[business_ethics clinical_knowledge college_medicine global_facts human_aging management marketing
    medical_genetics miscellaneous nutrition professional_accounting professional_medicine virology]],
}

local category_of = {}
for category, subjects in pairs(categories) do
  for subject in subjects:gmatch "%S+" do category_of[subject] = category end
end

local function split(files, rows)
  return { -- upstream publishes no checksum of the archive, so none is pinned
    files = files, rows = rows, columns = { "question", "A", "B", "C", "D", "answer" },
    url = "https://people.eecs.berkeley.edu/~hendrycks/data.tar", archive = { folder = "mmlu", strip = 1 },
  }
end

return q.dataset {
  name = "mmlu",
  summary = { en = "Knowledge in 57 subjects, multiple choice", zh = "57 个学科的知识选择题" },
  tags = { "knowledge", "multiple choice", "english" },
  licence = "MIT",
  source = { dev = split("mmlu/dev/*_dev.csv", 285), val = split("mmlu/val/*_val.csv", 1531),
    test = split("mmlu/test/*_test.csv", 14042) },
  modes = { "letter", "loglikelihood", "generate" },
  shots = { split = "dev", n = 5, sampler = "first_n", per_group = true },
  scorers = { "letter", "loglikelihood" },
  choices = "letters",
  stop = { "</s>", "\n" },
  group_average = "micro",

  sample = function(row, context)
    local letter = q.text.trim(row.answer)
    if not letter:find "^[ABCD]$" then
      return nil, "field 'answer': want A, B, C or D, got \"" .. row.answer .. '"'
    end
    return {
      input = q.text.trim(row.question), choices = { row.A, row.B, row.C, row.D }, target = letter:byte() - 65,
      group = context.group, meta = { letter = letter, category = category_of[context.group] or "other" },
    }
  end,

  description = function(sample)
    local subject = sample.group:gsub("_", " ")
    return "The following are multiple choice questions (with answers) about " .. subject .. ".\n\n"
  end,
  question = function(sample) return sample.input .. "\n" .. q.prompt.choices(sample) .. "\nAnswer:" end,
  answer = function(sample) return sample.meta.letter end,

  examples = {
    { row = { question = "2 + 2 =", A = "3", B = "4", C = "5", D = "6", answer = "B" }, group = "elementary_mathematics",
      labels = { { logprob = -3 }, { logprob = -0.1 }, { logprob = -4 }, { logprob = -5 } }, score = 1 },
    { row = { question = "Which is a metal?", A = "Iron", B = "Neon", C = "Argon", D = "Helium", answer = "A" },
      group = "high_school_chemistry",
      labels = { { logprob = -2 }, { logprob = -0.5 }, { logprob = -4 }, { logprob = -5 } }, score = 0 },
    { row = { question = "Which planet is largest?", A = "Mars", B = "Venus", C = "Earth", D = "Jupiter", answer = "D" },
      group = "astronomy",
      labels = { { logprob = -9 }, { logprob = -8 }, { logprob = -7 }, { logprob = -0.01 } }, score = 1 },
  },
}
