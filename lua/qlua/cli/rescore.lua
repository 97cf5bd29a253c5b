-- SPDX-License-Identifier: Apache-2.0
--- qlua rescore: judges the stored replies of a run again with the scorers as they are now; nothing is sent.

local say = require "qlua.cli.say"

return {
  name = "rescore",
  summary = { en = "judge a run's stored replies again, without any server", zh = "用当前评分器重新评判已保存的回复，无需服务器" },
  usage = "qlua rescore RUN [options]",
  positional = { { name = "RUN", required = true, summary = { en = "folder of a run", zh = "运行目录" } } },
  options = {
    { long = "data", arg = "DIR", summary = { en = "folder of the datasets, where it has moved", zh = "数据集目录（若已移动）" } },
  },
  run = function(opts, args)
    local dir = args[1]:gsub("/+$", "")
    local summary, err = require("qlua.rescore").run(dir, {
      data_dir = opts.data, language = opts.language,
      on_dataset = function(variant, dataset, counts)
        say.line(say.pick { en = "%s %s: %d answers, %d changed (%d now correct, %d no longer), %d without a stored reply",
          zh = "%s %s：共 %d 个答案，%d 个有变化（%d 个变为正确，%d 个不再正确），%d 个没有已保存的回复" }
          :format(variant, dataset, counts.total, counts.changed, counts.to_correct, counts.from_correct, counts.without_reply))
      end,
    })
    if not summary then return nil, err end
    say.line(say.pick { en = "results  ", zh = "结果  " }, dir, "/evaluation_results.json")
    return 0
  end,
}
