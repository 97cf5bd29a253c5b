-- SPDX-License-Identifier: Apache-2.0
--- Checkpoint: what a model folder on this machine says about itself, before an engine spends minutes on finding out.
-- A model is a folder, or an id on a hub whose snapshot may lie in the local cache ($HF_HUB_CACHE, $HF_HOME/hub,
-- ~/.cache/huggingface/hub). Nothing is ever fetched.

local file = require "qlua.core.file"
local json = require "qlua.core.json"
local sys = require "qlua.core.sys"

local checkpoint = {}

local function cache_folder()
  local own = sys.env "HF_HUB_CACHE"
  if own and own ~= "" then return own end
  local home = sys.env "HF_HOME"
  if home and home ~= "" then return home .. "/hub" end
  local user = sys.env "HOME"
  return user and user .. "/.cache/huggingface/hub"
end

-- The snapshot of a hub's id: the revision that is asked for, by name or by commit.
local function snapshot(model, revision)
  local cache = model:find "^[%w._-]+/[%w._-]+$" and cache_folder()
  if not cache then return nil end
  local dir = ("%s/models--%s"):format(cache, (model:gsub("/", "--")))
  local commit = (file.read(("%s/refs/%s"):format(dir, revision or "main")) or revision or ""):match "^%s*(%x+)%s*$"
  local path = commit and ("%s/snapshots/%s"):format(dir, commit)
  return path and file.stat(path) and path, commit
end

--- What is known of a model here.
-- @tparam string model folder or id
-- @tparam ?string revision
-- @treturn ?table `{ path, revision, config (decoded config.json), quantization (its quantization_config) }`; nil when the
--   model is not on this machine, or says nothing
function checkpoint.read(model, revision)
  local path, commit = model, nil
  if not file.stat(model .. "/config.json") then path, commit = snapshot(model, revision) end
  local text = path and file.read(path .. "/config.json")
  local config = text and json.decode(text)
  if type(config) ~= "table" then return nil end
  local quantization = config.quantization_config or (type(config.text_config) == "table" and config.text_config.quantization_config)
  return { path = path, revision = commit, config = config, quantization = type(quantization) == "table" and quantization or nil }
end

local function first_weights(quantization)
  for _, group in pairs(type(quantization.config_groups) == "table" and quantization.config_groups or {}) do
    if type(group) == "table" and type(group.weights) == "table" then return group.weights end
  end
end

--- The number format of quantized weights.
-- @tparam table quantization a quantization_config
-- @treturn ?string method, as the checkpoint names it
-- @treturn ?string format such as "int4", "int8", "fp8"; nil when it does not say
function checkpoint.format_of(quantization)
  local method = type(quantization.quant_method) == "string" and quantization.quant_method:lower() or nil
  local weights = first_weights(quantization)
  local bits = tonumber(weights and weights.num_bits or quantization.bits or quantization.w_bit)
  if bits then
    local is_float = weights and weights.type == "float"
    return method, ("%s%d"):format(is_float and "fp" or "int", bits)
  end
  if method == "fp8" or method == "fbgemm_fp8" then return method, "fp8" end
  if method == "awq" then return method, "int4" end
  if method == "bitsandbytes" then return method, quantization.load_in_4bit and "int4" or "int8" end
  if method == "mxfp4" then return method, "fp4" end
  return method, nil
end

return checkpoint
