-- SPDX-License-Identifier: Apache-2.0
--- Repeats and turns: what several replies to one question, and choices at other places, say; for layouts to place.
local repeats = {}

repeats.say = {
  heading = { en = "Repeats", zh = "重复采样" },
  text = {
    en = "Each question was asked several times with different seeds. pass@k: chance that at least one of k replies is right (unbiased, "
      .. "Chen et al. 2021). maj@k: the value that most of the first k replies name is right; a tie counts as its share.",
    zh = "每题以不同种子询问多次。pass@k：k 个回复中至少一个正确的概率（无偏估计，Chen et al. 2021）。maj@k：前 k 个回复中得票最多的"
      .. "答案正确的比例，平票按份额计。" },
  agree = {
    en = "{variant} on {dataset}: all replies the same text on {same} of the questions; sometimes right, sometimes wrong on {mixed}.",
    zh = "{variant} 在 {dataset} 上：{same} 的题目各次回复文本完全相同；{mixed} 的题目时对时错。" },
  turned_heading = { en = "Choices at other places", zh = "选项轮换" },
  turned_text = {
    en = "Some questions were asked with their choices turned round, each choice once at each place. "
      .. "Consistent: the same choice in all turns.",
    zh = "部分题目将选项逐位轮换后重复询问，使每个选项在每个位置各出现一次。一致：各次轮换选中同一选项。" },
  column = { dataset = { en = "Dataset", zh = "数据集" }, variant = { en = "Variant", zh = "变体" }, k = { en = "k", zh = "k" },
    questions = { en = "Questions", zh = "题数" }, consistent = { en = "Consistent", zh = "一致" },
    as_asked = { en = "Accuracy as asked", zh = "原顺序准确率" }, mean = { en = "Accuracy over all turns", zh = "轮换平均准确率" },
    all_right = { en = "Right in all turns", zh = "各次均正确" } },
}

local say = repeats.say

local function left(title) return { title = title } end
local function right(title) return { title = title, align = "right" } end

local function each(summary, field, visit)
  for _, dataset in ipairs(summary.dataset_order) do
    for _, variant in ipairs(summary.variant_order) do
      local cell = summary.variants[variant].datasets[dataset]
      if cell and cell[field] then visit(dataset, variant, cell[field]) end
    end
  end
end

--- pass@k and maj@k.
function repeats.section(page, summary)
  local rows, c = {}, say.column
  each(summary, "repeated", function(dataset, variant, found)
    for _, at in ipairs(found.at) do
      rows[#rows + 1] = { dataset, variant, page:count(at.k), page:count(at.questions), page:interval(at.pass, at.pass_interval),
        page:interval(at.majority, at.majority_interval) }
    end
  end)
  if #rows == 0 then return end
  page:heading(2, say.heading)
  page:text(say.text)
  page:table { columns = { left(c.dataset), left(c.variant), right(c.k), right(c.questions), right "pass@k", right "maj@k" }, rows = rows }
  each(summary, "repeated", function(dataset, variant, found)
    if found.same_text then
      page:text(say.agree, { variant = variant, dataset = dataset, same = page:percent(found.same_text),
        mixed = page:percent(found.mixed) })
    end
  end)
end

--- Consistency under turned choices.
function repeats.turned(page, summary)
  local rows, c = {}, say.column
  each(summary, "turned", function(dataset, variant, found)
    rows[#rows + 1] = { dataset, variant, page:count(found.questions), page:percent(found.consistent),
      page:percent(found.accuracy_as_asked), page:percent(found.accuracy), page:percent(found.all_right) }
  end)
  if #rows == 0 then return end
  page:heading(2, say.turned_heading)
  page:text(say.turned_text)
  page:table { columns = { left(c.dataset), left(c.variant), right(c.questions), right(c.consistent), right(c.as_asked), right(c.mean),
    right(c.all_right) }, rows = rows }
end

return repeats
