-- SPDX-License-Identifier: Apache-2.0
--- The result file of another load client, written from a run: `qlua load --save-vllm`.

local file = require "qlua.core.file"
local json = require "qlua.core.json"
local load_store = require "qlua.load.store"
local run_store = require "qlua.run_store"
local say = require "qlua.cli.say"
local vllm_json = require "qlua.load.vllm_json"

local exchange = {}

exchange.options = {
  { long = "save-vllm", arg = "FILE",
    summary = { en = "write vLLM's benchmark JSON; of several measurements each gets its name before the ending",
      zh = "写出 vLLM 基准测试 JSON；有多项测量时各自在扩展名前加名称" } },
  { long = "save-detailed", summary = { en = "with lists per request, and the replies' texts, in that file", zh = "文件中包含逐请求列表与回复文本" } },
}

local function rows_of(store, phase)
  local list = {}
  for one in load_store.rows(store, phase) do list[#list + 1] = one end
  return list
end

local function model_of(store, name)
  for _, variant in ipairs(store:variants()) do
    if variant.name == name then return variant.model end
  end
end

local function about_of(store, phase)
  local about, stage = store:meta "load", phase.record.stages[1]
  local date = (store:meta "started_at" or ""):gsub("[-:]", ""):gsub("T", "-"):gsub("Z$", "")
  return { date = date, endpoint_type = "openai", label = phase.variant, model_id = model_of(store, phase.variant),
    request_rate = stage.rate, burstiness = stage.burstiness or 1.0,
    max_concurrency = stage.concurrency, num_prompts = phase.record.client.sent,
    slo = about and about.slo and require("qlua.load.slo").parse(about.slo) or nil,
    origin = { point = phase.point, replicate = phase.replicate, variant = phase.variant } }
end

-- FILE for one measurement; for several its name goes before the ending.
local function path_of(path, phase, count)
  if count == 1 then return path end
  local name = ("%s-%s-%d"):format(phase.variant, phase.point, phase.replicate):gsub("[^%w._=-]+", "_")
  local stem, ending = path:match "^(.*[^/])(%.[^./]*)$"
  return (stem or path) .. "." .. name .. (ending or "")
end

local function save(store, phases, opts)
  for _, phase in ipairs(phases) do
    local path = path_of(opts.save_vllm, phase, #phases)
    local doc = vllm_json.write(rows_of(store, phase), about_of(store, phase), opts.save_detailed)
    local ok, err = file.write(path, json.encode(doc) .. "\n")
    if not ok then return nil, err end
    say.line("vLLM JSON ", path)
  end
  return true
end

--- After a load: the files that the options ask for.
-- @tparam string dir the run's folder
-- @tparam table opts save_vllm, save_detailed
-- @treturn ?boolean true; or nil and err
function exchange.after(dir, opts)
  if not opts.save_vllm then return true end
  local store, err = run_store.open(dir, { read_only = true })
  if not store then return nil, err end
  local ok
  ok, err = save(store, load_store.phases(store), opts)
  store:close()
  return ok, err
end

return exchange
