-- SPDX-License-Identifier: Apache-2.0
--- Servers: what the probe found of each variant's server before its first question, and how its questions were scored;
-- for layouts to place. Runs without a probe leave nothing behind, except where it was turned off: that is said first.
local servers = {}

servers.say = {
  heading = { en = "Servers, probed", zh = "服务器资格探测" },
  text = {
    en = "Before its first question each server had to give answers that can be checked. What failed was not used.",
    zh = "提问之前，每个服务器都须给出可核对的回答；未通过的能力一律不用。" },
  off = {
    en = "**{variant} was not probed** (`benchmark.qualify: off`): whether its server scores and samples as asked is not known.",
    zh = "**未对 {variant} 进行探测**（`benchmark.qualify: off`），其服务器的打分与采样是否如所要求无从得知。" },
  column = { variant = { en = "Variant", zh = "变体" }, step = { en = "Step", zh = "步骤" }, status = { en = "Result", zh = "结果" },
    found = { en = "Found", zh = "说明" }, dataset = { en = "Dataset", zh = "数据集" }, means = { en = "Scored by", zh = "打分方式" },
    questions = { en = "Questions", zh = "题数" }, bounded = { en = "Labels cut off", zh = "标签被截去" },
    escalated = { en = "Asked again exactly", zh = "改用精确方式" }, moved = { en = "Boundary moved back", zh = "边界前移" } },
  status = { passed = { en = "passed", zh = "通过" }, failed = { en = "failed", zh = "未通过" },
    skipped = { en = "not run", zh = "未执行" } },
  step = {
    tokenizer = { en = "1 tokenizer", zh = "1 分词接口" }, choices = { en = "2, 3 scoring choices", zh = "2、3 选项打分" },
    labels = { en = "4 scoring labels", zh = "4 标签打分" }, constraint = { en = "5 constrained reply", zh = "5 受限生成" },
    model = { en = "6 model's name", zh = "6 模型名称" }, too_long = { en = "7 prompt that is too long", zh = "7 超长提示词" },
    noise = { en = "8 noise floor", zh = "8 噪声基底" } },
  noise = {
    en = "Noise floor: log-probabilities of one and the same prompt, eight times alone and eight times at once, differed by up to {floors} "
      .. "nats. Smaller divergences say nothing.",
    zh = "噪声基底：同一提示词单独重复八次、并发重复八次，对数概率最多相差 {floors} nat。小于此值的差异没有意义。" },
  scored = { en = "How the questions were scored. A label cut off from the candidates is at most as likely as the last of them; where that "
      .. "does not decide, the question is asked again by a means that cuts nothing.",
    zh = "各题的打分方式。未列入候选的标签，其概率不超过最后一个候选；若仍无法判定，则改用不截断的方式重新询问。" },
}

local say = servers.say

local function left(title) return { title = title, align = "left" } end
local function right(title) return { title = title, align = "right" } end

local function records(summary)
  return type(summary.manifest) == "table" and type(summary.manifest.qualification) == "table" and summary.manifest.qualification or {}
end

--- What must be said before any figure.
function servers.warnings(page, summary)
  local all = records(summary)
  for _, variant in ipairs(summary.variant_order) do
    if all[variant] and all[variant].level == "off" then page:text(say.off, { variant = variant }) end
  end
end

--- How much the log-probabilities of one prompt differ by themselves, to stand beside divergences.
function servers.noise(page, summary)
  local all, floors = records(summary), {}
  for _, variant in ipairs(summary.variant_order) do
    local noise = all[variant] and all[variant].noise
    if noise and noise.max_delta_nats then floors[#floors + 1] = ("%s %.2g"):format(variant, noise.max_delta_nats) end
  end
  if #floors > 0 then page:text(say.noise, { floors = table.concat(floors, ", ") }) end
end

local function step_rows(page, summary)
  local rows, all = {}, records(summary)
  for _, variant in ipairs(summary.variant_order) do
    for _, step in ipairs(all[variant] and all[variant].steps or {}) do
      rows[#rows + 1] = { variant, page:fill(say.step[step.step]), page:fill(say.status[step.status]), step.text }
    end
  end
  return rows
end

-- One row per means that a dataset's questions were scored by.
local function scored_rows(page, summary)
  local rows = {}
  for _, dataset in ipairs(summary.dataset_order) do
    for _, variant in ipairs(summary.variant_order) do
      local cell = summary.variants[variant].datasets[dataset]
      local counts = cell and cell.scoring
      for _, name in ipairs(counts and page:keys(counts) or {}) do
        local means = name:match "^by_(.+)$"
        if means then
          rows[#rows + 1] = { dataset, variant, page:mono(means), page:count(counts[name]), page:count(counts.bounded or 0),
            page:count(counts.escalated or 0), page:count(counts.moved_back or 0) }
        end
      end
    end
  end
  return rows
end

--- The section.
function servers.section(page, summary)
  local probed, scored = step_rows(page, summary), scored_rows(page, summary)
  if #probed == 0 and #scored == 0 then return end
  local c = say.column
  page:heading(2, say.heading)
  if #probed > 0 then
    page:text(say.text)
    page:table { columns = { left(c.variant), left(c.step), left(c.status), left(c.found) }, rows = probed }
  end
  if #scored > 0 then
    page:text(say.scored)
    page:table { columns = { left(c.dataset), left(c.variant), left(c.means), right(c.questions), right(c.bounded), right(c.escalated),
      right(c.moved) }, rows = scored }
  end
end

return servers
