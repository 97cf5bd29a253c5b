-- SPDX-License-Identifier: Apache-2.0
--- HellaSwag (Zellers et al. 2019, arXiv:1905.07830): which of four endings goes on with the scene.
-- Text is prepared as lm-eval's task hellaswag, version 1.0, does, oddities included: the second half of the
-- context gets Python's `capitalize`, which lowers all its other letters, and every [tag] goes.
local q = require "qlua"

local upstream = "https://raw.githubusercontent.com/rowanz/hellaswag/master/data/"

-- In this order and in one pass each, so that "a [title]  b" comes out as it does there.
local function prepared(text)
  text = q.text.trim(text)
  text = text:gsub(" %[title%]", ". ")
  text = text:gsub("%[[^\n]-%]", "") -- Python's "." stops at a line break
  return (text:gsub("  ", " "))
end

return q.dataset {
  name = "hellaswag",
  summary = { en = "Commonsense: the ending that fits", zh = "常识推理：选出合理的后续" },
  tags = { "commonsense", "multiple choice", "english" },
  licence = "MIT",
  source = { -- upstream publishes no checksums and none is known for sure, so none is pinned
    test = { file = "hellaswag/hellaswag_val.jsonl", url = upstream .. "hellaswag_val.jsonl", rows = 10042 },
    train = { file = "hellaswag/hellaswag_train.jsonl", url = upstream .. "hellaswag_train.jsonl", rows = 39905 },
  },
  modes = { "loglikelihood" },
  shots = { split = "train", n = 0, sampler = "random", seed = 1234, exclude_self = true },
  scorers = { "loglikelihood" },

  sample = function(row)
    local label = math.tointeger(tonumber(row.label))
    if not label then
      return nil, "field 'label': want an integer from 0 to 3, got " .. tostring(row.label)
    end
    local choices = {}
    for i, ending in ipairs(row.endings or {}) do
      choices[i] = prepared(ending)
    end
    local context = row.ctx_a .. " " .. q.text.capitalize(row.ctx_b)
    return {
      input = prepared(row.activity_label .. ": " .. context), choices = choices, target = label,
      meta = { activity = row.activity_label, source_id = row.source_id, split_type = row.split_type },
    }
  end,

  question = function(sample) return sample.input end,
  answer = function(sample) return sample.choices[sample.target + 1] end,

  examples = {
    { row = { activity_label = "Baking", ctx_a = "A woman cracks an egg.", ctx_b = "she", label = 1,
        endings = { "flies to the moon.", "stirs it into the flour.", "paints the fence.", "throws the oven." } },
      choices = { { sum = -40, tokens = 5 }, { sum = -9, tokens = 7 }, { sum = -30, tokens = 4 }, { sum = -35, tokens = 5 } },
      score = 1 },
    { row = { activity_label = "Rowing", ctx_a = "Two men sit in a boat.", ctx_b = "they", label = "0",
        endings = { "pull the oars.", "eat the river.", "climb a tree.", "read the boat." } },
      choices = { { sum = -20, tokens = 4 }, { sum = -9, tokens = 4 }, { sum = -22, tokens = 4 }, { sum = -25, tokens = 4 } },
      score = 0 },
    { row = { activity_label = "Fitness", ctx_a = "[header] How to stretch [title] Warm up.", ctx_b = "", label = 3,
        endings = { "[step] Sing.", "[step] Sleep.", "[step] Shout.", "[step] Walk slowly for five minutes." } },
      choices = { { sum = -8, tokens = 3 }, { sum = -7, tokens = 3 }, { sum = -9, tokens = 3 }, { sum = -6, tokens = 8 } },
      score = 1 },
  },
}
