-- SPDX-License-Identifier: Apache-2.0
--- qlua compare: runs of different days, or exported samples, side by side with a verdict.

local report = require "qlua.cli.report"

return {
  name = "compare",
  summary = { en = "compare runs, or samples that lm-eval exported", zh = "比较多次运行，或 lm-eval 导出的样本" },
  usage = "qlua compare RUN_A RUN_B… [--baseline NAME] [--margin PT] [--language LANG] [--layout LAYOUT] [--out FILE]",
  details = {
    en = "A RUN is the folder of a run, a file samples_TASK….jsonl of lm-eval, or a folder of such files (one model). Runs are refused, "
      .. "item by item, when their questions, prompts, sampling or scorers differ. Margins are those of the first run.",
    zh = "RUN 可以是运行目录、lm-eval 的 samples_TASK….jsonl 文件，或存放这类文件的目录（对应一个模型）。题目、提示词、采样或评分器不一致时，逐项列出并拒绝比较。界值以第一个运行为准。" },
  positional = { { name = "RUN", required = true, repeated = true,
    summary = { en = "folder of a run, or exported samples", zh = "运行目录，或导出的样本" } } },
  options = {
    { long = "baseline", arg = "NAME", summary = { en = "variant that the others are compared with (default: the first run's)",
      zh = "作为基线的变体（默认为第一个运行的基线）" } },
    { long = "margin", arg = "PT", type = "number", min = 0.01, max = 100,
      summary = { en = "margin in percentage points, in place of the first run's", zh = "界值（百分点），替代第一个运行的设置" } },
    { long = "layout", arg = "LAYOUT", summary = { en = "a layout's name, or a path to your own (default markdown)",
      zh = "版式名称，或自定义版式文件的路径（默认 markdown）" } },
    { long = "results", arg = "FILE", summary = { en = "write the figures as JSON to this file", zh = "将数据以 JSON 写入该文件" } },
    { long = "out", arg = "FILE", summary = { en = "write the page to this file (default: standard output)",
      zh = "将报告写入该文件（默认输出到标准输出）" } },
  },
  run = function(opts, paths)
    local doc, err = require("qlua.compare").build(paths, { baseline = opts.baseline, margin_pt = opts.margin })
    if not doc then return nil, err end
    if opts.results then
      local ok
      ok, err = require("qlua.results").write(opts.results, doc)
      if not ok then return nil, err end
    end
    local done
    done, err = report.print(doc, opts)
    if not done then return nil, err end
    return require("qlua.gates").check(doc, 0)
  end,
}
