-- SPDX-License-Identifier: Apache-2.0
--- qlua power: what the questions of a suite can show, before any is asked.

local config = require "qlua.config"
local run = require "qlua.cli.run"

local command = {
  name = "power",
  summary = { en = "what so many questions can show", zh = "这些题量能说明什么" },
  usage = "qlua power SUITE|DATASET… [options]",
  details = {
    en = "The share of answers that change between right and wrong (flips) is the noise of a comparison. For several such shares: how wide "
      .. "the 95 % interval becomes, from which loss on it would be noticed with 80 % probability, and how probable it is that a variant "
      .. "equal to the baseline is shown to be non-inferior at the margin.",
    zh = "翻转率（对错发生改变的题目比例）决定了比较的噪声。本命令按若干翻转率列出：95 % 置信区间的半宽，能以 80 % 的概率察觉的最小损失，以及与基线相同的变体在界值内被判为非劣的概率。" },
  positional = { { name = "SUITE|DATASET", repeated = true,
    summary = { en = "a suite, or datasets", zh = "套件或数据集" } } },
  options = { { long = "data", arg = "DIR", summary = { en = "folder of the datasets", zh = "数据集目录" } } },
}
for _, option in ipairs(config.options) do command.options[#command.options + 1] = option end

function command.run(opts, words)
  local made, err = run.plan(opts, words, { is_offline = true })
  if not made then return nil, err end
  require("qlua.power").print(made)
  return 0
end

return command
