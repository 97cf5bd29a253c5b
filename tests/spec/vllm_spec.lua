-- SPDX-License-Identifier: Apache-2.0
local config = require "qlua.config"
local file = require "qlua.core.file"
local registry = require "qlua.registry"
local supervisor = require "qlua.supervisor"
local sys = require "qlua.core.sys"

local dir = os.tmpname()
os.remove(dir)

local vllm

-- The schema of the classic file, as users have it.
local classic = [[
model:
  base_name: "Qwen/Qwen3-30B-A3B-Instruct-2507"
  variants:
    - { name: original, description: "Original / 原精度", quantization: null, kv_cache_dtype: auto }
    - { name: fp8,      description: "FP8 / FP8 量化", quantization: fp8, kv_cache_dtype: fp8 }
    - { name: awq,      description: "AWQ / AWQ 量化", quantization: awq, kv_cache_dtype: auto }
datasets:
  - { name: gsm8k, description: "…", type: math_reasoning, num_samples: 1319 }
server:     { host: 127.0.0.1, port: 8000, tensor_parallel_size: 1, max_model_len: 8192, gpu_memory_utilization: 0.9,
  trust_remote_code: true }
generation: { temperature: 0.0, max_tokens: 512, top_p: 1.0, seed: 42 }
benchmark:  { num_warmup_iterations: 3, num_runs: 5, collect_latency: true, collect_throughput: true, collect_memory: true }
]]

local function variants_of(text, sets)
  local path = dir .. "/config.yaml"
  assert(file.write(path, text))
  local resolved = assert(config.load(path, { set = sets or {} }))
  local by_name = {}
  for _, variant in ipairs(resolved.model.variants) do by_name[variant.name] = variant end
  return by_name, resolved
end

local function variant_with(fields)
  local lines = { "model:", "  base_name: org/Plain", "  variants:", "    - name: one" }
  for _, line in ipairs(fields) do lines[#lines + 1] = "      " .. line end
  lines[#lines + 1] = "datasets: [gsm8k]"
  lines[#lines + 1] = "server: { engine: vllm }"
  return variants_of(table.concat(lines, "\n") .. "\n").one
end

local function argv_of(variant) return supervisor.plan(vllm, variant, {}).argv end
local function words(variant) return table.concat(argv_of(variant), " ") end

local has_vllm = { find_on_path = function() return "/usr/bin/vllm" end }
local has_none = { find_on_path = function() return nil end }

describe("vllm", function()
  setup(function()
    assert(file.make_dir(dir))
    registry.configure {}
    vllm = assert(registry.load("server", "vllm"))
  end)

  local common = " --tensor-parallel-size 1 --max-model-len 8192 --gpu-memory-utilization 0.9 --trust-remote-code"
    .. " --max-logprobs 20 --seed 42 --disable-uvicorn-access-log"

  it("starts the variants of the file that comes with qlua", function()
    local variants = {}
    for _, variant in ipairs(assert(config.load "configs/model_config.yaml").model.variants) do variants[variant.name] = variant end
    local plain, awq = "Qwen/Qwen3-30B-A3B-Instruct-2507", "cpatonn/Qwen3-30B-A3B-Instruct-2507-AWQ-4bit"
    local function want(model, middle)
      return ("vllm serve %s --host 127.0.0.1 --port PORT --served-model-name %s --generation-config vllm%s%s"):format(
        model, model, middle, common)
    end
    assert.equal(want(plain, " --kv-cache-dtype auto"), words(variants.original))
    assert.equal(want(plain, " --quantization fp8 --kv-cache-dtype fp8"), words(variants.fp8))
    assert.equal(want(awq, " --kv-cache-dtype auto"), words(variants.awq))
    for _, variant in pairs(variants) do assert.is_true(vllm.check(variant, has_vllm)) end
  end)

  it("takes the classic file, but for an awq that no checkpoint is", function()
    local variants = variants_of(classic)
    assert.matches("%-%-quantization fp8", words(variants.fp8))
    assert.is_nil(words(variants.original):find("--quantization", 1, true))
    assert.is_true(vllm.check(variants.original, has_vllm))
    assert.is_true(vllm.check(variants.fp8, has_vllm))
    local ok, err = vllm.check(variants.awq, has_vllm)
    assert.is_nil(ok)
    assert.equal("config", err.kind)
    assert.equal("variant 'awq': quantization: awq is a format of a checkpoint, and 'Qwen/Qwen3-30B-A3B-Instruct-2507' is not one",
      err.text)
    assert.matches("set the variant's model to a checkpoint in that format", err.hint)
  end)

  for _, case in ipairs { { "org/Model-AWQ", "awq" }, { "org/Model-GPTQ-Int4", "gptq" }, { "org/Model-FP8", "fp8" },
    { "org/Model-w4a16", "compressed-tensors" } } do
    it(("gives no --quantization to %s, also where %s is written"):format(case[1], case[2]), function()
      local variant = variant_with { "model: " .. case[1], "quantization: " .. case[2] }
      assert.is_true(vllm.check(variant, has_vllm))
      assert.is_nil(words(variant):find("--quantization", 1, true))
    end)
  end

  it("believes a local folder's config.json, not its name", function()
    local quantized, plain = dir .. "/plain-looking", dir .. "/my-awq-experiments"
    assert(file.make_dir(quantized))
    assert(file.make_dir(plain))
    assert(file.write(quantized .. "/config.json", '{"quantization_config":{"quant_method":"compressed-tensors"}}'))
    assert(file.write(plain .. "/config.json", '{"architectures":[]}'))
    local function with(model, method) return variant_with { "model: " .. model, "quantization: " .. method } end
    assert.is_true(vllm.check(with(quantized, "awq"), has_vllm))
    assert.is_nil(words(with(quantized, "fp8")):find("--quantization", 1, true))
    assert.is_nil((vllm.check(with(plain, "awq"), has_vllm)))
    assert.matches("%-%-quantization fp8", words(with(plain, "fp8")))
  end)

  it("says at once that vLLM is not there, and names both alternatives", function()
    local _, err = vllm.check(variant_with { "quantization: fp8" }, has_none)
    assert.same({ "server", "variant 'one': vLLM is not installed: no executable 'vllm' on PATH" }, { err.kind, err.text })
    assert.matches("%-%-url", err.hint)
    assert.matches("server%.engine=sim", err.hint)
  end)

  it("keeps keys out of the words, whatever the header or the environment", function()
    local variant = variant_with { "api_key_env: QLUA_TEST_KEY", "headers: { x-api-key: secret-header }",
      "env: { HF_TOKEN: secret-token }" }
    local plan = supervisor.plan(vllm, variant, {})
    assert.is_nil(table.concat(plan.argv, " "):find("secret", 1, true))
    assert.is_nil(table.concat(plan.argv, " "):find("QLUA_TEST_KEY", 1, true))
  end)

  it("passes words of the user's own last, and switches as switches", function()
    local variant = variant_with { "extra_args: [--load-format, dummy]", "enable_prefix_caching: false", "enforce_eager: true",
      "served_model_name: m", "max_num_seqs: 8" }
    local argv = argv_of(variant)
    assert.same({ "--load-format", "dummy" }, { argv[#argv - 1], argv[#argv] })
    assert.matches("%-%-served%-model%-name m .*%-%-enforce%-eager %-%-no%-enable%-prefix%-caching %-%-max%-num%-seqs 8", words(variant))
    assert.matches("%-%-enable%-prefix%-caching", words(variant_with { "enable_prefix_caching: true" }))
    assert.is_nil(words(variant_with {}):find("prefix%-caching"))
    assert.is_nil(words(variant_with {}):find("%-%-trust%-remote%-code"))
  end)

  it("listens on a UNIX socket without host and port", function()
    local line = words(variant_with { "unix_socket: /tmp/x.sock" })
    assert.matches("%-%-uds UNIX_SOCKET", line)
    assert.is_nil(line:find("--port", 1, true))
  end)

  it("has the port and executable it was given when it is really started", function()
    local launch = vllm.start(variant_with { "executable: /opt/vllm" }, { host = "127.0.0.1", port = 4711, served_name = "m" })
    assert.same({ "/opt/vllm", "serve", "org/Plain", "--host", "127.0.0.1", "--port", "4711" }, table.move(launch.argv, 1, 7, 1, {}))
    assert.is_false(launch.env.VLLM_PORT)
    assert.is_nil(sys.find_on_path "no-such-program-anywhere")
  end)
end)
