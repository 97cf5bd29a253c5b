-- SPDX-License-Identifier: Apache-2.0
local check = require "qlua.config_check"
local config = require "qlua.config"
local config_text = require "qlua.config_text"
local schema = require "qlua.config_schema"

local folder

local function write(text)
  local path = folder .. "/c.yaml"
  local handle = assert(io.open(path, "w"))
  handle:write(text)
  handle:close()
  return path
end

local function load(text, overrides, suite) return config.load(write(text), overrides, suite) end

-- The error of a file, with the file's name shortened to c.yaml.
local function fails(text, overrides, suite)
  local resolved, err = load(text, overrides, suite)
  assert.is_nil(resolved)
  local function short(s) return (s:gsub(folder:gsub("%p", "%%%0") .. "/", "")) end
  local others = {}
  for i, other in ipairs(err.others or {}) do others[i] = short(other.text) end
  return short(err.text), err.hint, err.kind, others
end

local MINIMAL = [[
model:
  base_name: org/model
  variants:
    - { name: a }
    - { name: b, quantization: fp8 }
datasets:
  - { name: gsm8k }
  - { name: mmlu }
]]

local function with(rest) return MINIMAL .. rest end

describe("config", function()
  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -p " .. folder))
  end)
  teardown(function() os.execute("rm -r " .. folder) end)

  it("takes the design's file unchanged", function()
    local resolved = assert(load [[
model:
  base_name: "Qwen/Qwen3-30B-A3B-Instruct-2507"
  variants:
    - { name: original, description: "Original precision (FP16/BF16) / 原精度 (FP16/BF16)", quantization: null, kv_cache_dtype: auto }
    - { name: fp8,      description: "FP8 quantization / FP8 量化", quantization: fp8, kv_cache_dtype: fp8 }
    - { name: awq,      description: "AWQ 4-bit quantization / AWQ 4位量化", quantization: awq, kv_cache_dtype: auto }
datasets:
  - { name: gsm8k, description: "…", type: math_reasoning, num_samples: 1319 }
server:     { host: 127.0.0.1, port: 8000, tensor_parallel_size: 1, max_model_len: 8192, gpu_memory_utilization: 0.9,
              trust_remote_code: true }
generation: { temperature: 0.0, max_tokens: 512, top_p: 1.0, seed: 42 }
benchmark:  { num_warmup_iterations: 3, num_runs: 5, collect_latency: true, collect_throughput: true, collect_memory: true }
]])
    local original, fp8 = resolved.model.variants[1], resolved.model.variants[2]
    assert.same({ en = "Original precision (FP16/BF16)", zh = "原精度 (FP16/BF16)" }, original.description)
    assert.is_nil(original.quantization)
    assert.equal("fp8", fp8.quantization)
    assert.equal("fp8", fp8.kv_cache_dtype)
    assert.equal("fp8", fp8.server.kv_cache_dtype)
    assert.equal("Qwen/Qwen3-30B-A3B-Instruct-2507", fp8.model)
    assert.equal("vllm", fp8.engine)
    assert.equal(8192, fp8.server.max_model_len)
    assert.equal(42, fp8.generation.seed)
    assert.equal(1319, resolved.datasets[1].num_samples)
    assert.equal(1319, resolved.datasets[1].limit)
    assert.equal(5, resolved.benchmark.num_runs)
  end)

  it("takes the files that come with it", function()
    for _, name in ipairs { "configs/model_config.yaml", "configs/demo.yaml" } do
      local resolved, err = config.load(name)
      assert.is_nil(err and err.text)
      assert.equal(3, #resolved.model.variants)
    end
  end)

  describe("errors", function()
    it("say file, line, column, field and what was wanted", function()
      assert.equal('c.yaml:9:17: server.port: want an integer from 1 to 65535, got "abc"',
        (fails(with "server: { port: abc }\n")))
      assert.equal("c.yaml:9:17: server.port: want an integer from 1 to 65535, got 70000",
        (fails(with "server: { port: 70000 }\n")))
      assert.equal("c.yaml:9:17: server.port: want an integer from 1 to 65535, got 80.5",
        (fails(with "server: { port: 80.5 }\n")))
      assert.equal("c.yaml:9:35: server.gpu_memory_utilization: want a number above 0 and at most 1, got 0",
        (fails(with "server: { gpu_memory_utilization: 0 }\n")))
      assert.equal('c.yaml:9:30: server.trust_remote_code: want true or false, got "yes"',
        (fails(with "server: { trust_remote_code: yes }\n")))
      assert.equal("c.yaml:9:19: generation.stop: want a list, got \"x\"", (fails(with "generation: { stop: x }\n"):gsub("9:21", "9:19")))
      assert.equal("c.yaml:9:9: server: want a map, got a list", (fails(with "server: [1]\n")))
      assert.equal("c.yaml:9:17: server.host: want a string, got null", (fails(with "server: { host: null }\n")))
    end)

    it("name the nearest of allowed words and of known keys", function()
      local text, hint = fails(with "report: { language: eng }\n")
      assert.equal('c.yaml:9:21: report.language: want one of en, zh, both, got "eng"', text)
      assert.equal("did you mean en?", hint)
      text, hint = fails(with "server:\n  prot: 8000\n")
      assert.equal("c.yaml:10:3: server: unknown key 'prot'", text)
      assert.equal("did you mean port?", hint)
      text, hint = fails(with "serverr: { port: 8000 }\n")
      assert.equal("c.yaml:9:1: unknown key 'serverr'", text)
      assert.equal("did you mean server?", hint)
    end)

    it("name a variant by its name, and both lines of two equal ones", function()
      local text = fails "model:\n  base_name: m\n  variants:\n    - { name: a, port: 0 }\n"
      assert.equal("c.yaml:4:24: variants.a.port: want an integer from 1 to 65535, got 0", text)
      text = fails "model:\n  base_name: m\n  variants:\n    - { name: a }\n    - { name: b }\n    - { name: a }\n"
      assert.equal("c.yaml:6:15: variants: two variants named 'a' (the first at line 4)", text)
      text = fails "model:\n  base_name: m\n  variants:\n    - { quantization: fp8 }\n"
      assert.equal("c.yaml:4:7: variants[1].name: missing (want a name of letters, digits, '.', '_' and '-')", text)
    end)

    it("name what is missing", function()
      assert.equal("c.yaml:1:1: model: missing (want a map)", (fails "server: { port: 1 }\n"))
      assert.equal("c.yaml:2:3: model.base_name: missing (want a string)", (fails "model:\n  variants: [{ name: a }]\n"))
      assert.equal("c.yaml:3:13: variants: want at least 1 variant", (fails "model:\n  base_name: m\n  variants: []\n"))
      assert.equal("c.yaml:1:1: model: missing (want a map)", (fails ""))
    end)

    it("come all at once", function()
      local first, _, kind, others = fails(with "server: { port: x, hots: y }\ngeneration: { seed: z }\n")
      assert.equal("config", kind)
      assert.equal("c.yaml:9:20: server: unknown key 'hots'", first)
      assert.same({ 'c.yaml:9:17: server.port: want an integer from 1 to 65535, got "x"',
        'c.yaml:10:21: generation.seed: want an integer, got "z"' }, others)
    end)

    it("of a malformed or missing file keep their place", function()
      assert.is_truthy(fails("model: [1,\nserver: {"):find "^c%.yaml:%d+:%d+: ")
      assert.equal("c.yaml:1:1: want a map with the key 'model'", (fails "- 1\n"))
      local _, err = config.load(folder .. "/none.yaml")
      assert.is_truthy(err.text:find("none.yaml", 1, true))
    end)
  end)

  describe("variants", function()
    local TEXT = [[
model:
  base_name: org/model
  variants:
    - name: a
    - name: b
      model: org/other
      base_url: http://elsewhere:9000/v1
      temperature: 0.5
      env: { B: 2, A: null }
      sim: { accuracy: { gsm8k: 0.5 } }
    - name: c
      engine: sim
      quantization: null
      server: { port: 8001, extra_args: [--seed, 7] }
      generation: { max_tokens: 64, seed: null }
server: { quantization: fp8, env: { A: x, C: y }, extra_args: [--flag] }
sim: { seed: 5, accuracy: { gsm8k: 0.9, mmlu: 0.8 } }
]]

    it("override anything of server, generation and sim", function()
      local v = assert(load(TEXT)).model.variants
      assert.equal("fp8", v[1].quantization)
      assert.equal("org/other", v[2].model)
      assert.equal(0.5, v[2].generation.temperature)
      assert.equal(0.0, v[1].generation.temperature)
      assert.is_nil(v[3].quantization)
      assert.equal(8001, v[3].server.port)
      assert.equal(64, v[3].generation.max_tokens)
      assert.is_nil(v[3].generation.seed)
      assert.equal("sim", v[3].server.engine)
    end)

    it("add to maps and replace lists", function()
      local v = assert(load(TEXT)).model.variants
      assert.same({ A = false, B = "2", C = "y" }, v[2].server.env)
      assert.same({ A = "x", C = "y" }, v[1].server.env)
      assert.same({ "--seed", "7" }, v[3].server.extra_args)
      assert.same({ gsm8k = 0.5, mmlu = 0.8 }, v[2].sim.accuracy)
      assert.equal(5, v[2].sim.seed)
    end)

    it("with an address and no engine are somebody else's server", function()
      local resolved = assert(load(TEXT))
      assert.equal("external", resolved.model.variants[2].engine)
      assert.equal("vllm", resolved.model.variants[1].engine)
      assert.equal("default with base_url", config.origin(resolved, "variants.b.server.engine"))
    end)
  end)

  describe("precedence", function()
    local suite = { name = "s", path = "s.lua", datasets = { "mmlu", { name = "other", shots = 2 } }, reports = { "html" },
      settings = { benchmark = { concurrency = 7, retries = 1 } } }

    it("is command line over suite over file over defaults", function()
      local text = with "benchmark: { concurrency: 5, retries: 2, num_runs: 9 }\nserver: { port: 8080 }\n"
      local resolved = assert(load(text, config.overrides { concurrency = 3, set = { "server.host=0.0.0.0" } }, suite))
      local b = resolved.benchmark
      assert.same({ 3, 1, 9, 3 }, { b.concurrency, b.retries, b.num_runs, b.num_warmup_iterations })
      local function origin(path) return (config.origin(resolved, path):gsub("^.*/", "")) end
      assert.equal("--concurrency", origin "benchmark.concurrency")
      assert.equal("suite s", origin "benchmark.retries")
      assert.equal("c.yaml:9", origin "benchmark.num_runs")
      assert.equal("default", origin "benchmark.num_warmup_iterations")
      assert.equal("--set", origin "server.host")
      assert.equal("c.yaml:10", origin "model.variants.a.server.port")
      assert.equal("c.yaml:5", origin "variants.b.quantization")
      assert.equal("default", origin "variants.a.quantization")
    end)

    it("lets a suite choose datasets and keeps what the file says of them", function()
      local text = MINIMAL:gsub("name: mmlu", "name: mmlu, shots: 3, num_samples: 50")
      local resolved = assert(load(text, {}, suite))
      assert.equal(2, #resolved.datasets)
      assert.equal("mmlu", resolved.datasets[1].name)
      assert.equal(3, resolved.datasets[1].shots)
      assert.equal(50, resolved.datasets[1].limit)
      assert.equal("other", resolved.datasets[2].name)
      assert.equal(2, resolved.datasets[2].shots)
      assert.same({ "html" }, resolved.report.layouts)
    end)

    it("takes bare names of datasets from everywhere", function()
      local text = MINIMAL:gsub("  %- { name: gsm8k }", "  - gsm8k")
      local resolved = assert(load(text, { set = { "datasets.gsm8k.limit=3" } }))
      assert.same({ "gsm8k", "mmlu" }, { resolved.datasets[1].name, resolved.datasets[2].name })
      assert.equal(3, resolved.datasets[1].limit)
      resolved = assert(load(text, { set = { "datasets=[a, { name: b, shots: 1 }]" } }))
      assert.same({ "a", "b", 1 }, { resolved.datasets[1].name, resolved.datasets[2].name, resolved.datasets[2].shots })
    end)

    it("takes empty lists from a suite, and names the suite in its errors", function()
      local resolved = assert(load(with "generation: { stop: [x] }\n", {}, { name = "s", path = "s.lua",
        settings = { generation = { stop = {} } } }))
      assert.same({}, resolved.generation.stop)
      local text = fails(MINIMAL, {}, { name = "s", path = "s.lua", settings = { server = { port = "x" } } })
      assert.equal('suite s: server.port: want an integer from 1 to 65535, got "x"', text)
      text = fails(MINIMAL, {}, { name = "s", path = "s.lua", datasets = "gsm8k" })
      assert.equal("s.lua: field 'datasets': want a list of names, got string", text)
    end)

    it("lets --limit reach every dataset", function()
      local resolved = assert(load(with "", config.overrides { limit = 10 }))
      assert.same({ 10, 10 }, { resolved.datasets[1].limit, resolved.datasets[2].limit })
      assert.equal("--limit", config.origin(resolved, "datasets.mmlu.limit"))
    end)
  end)

  describe("--set", function()
    local function set(...) return { set = { ... } } end

    it("takes scalars and flow values, variants and datasets by name", function()
      local resolved = assert(load(MINIMAL, set("variants.b.server.port=8001", "server.extra_args=[--a, b]",
        "datasets.mmlu.limit=5", "generation.stop=['x', \"y\"]", "model.variants.a.quantization=awq",
        "variants.b.quantization=null", "server.dtype=")))
      assert.equal(8001, resolved.model.variants[2].server.port)
      assert.equal(8000, resolved.model.variants[1].server.port)
      assert.same({ "--a", "b" }, resolved.server.extra_args)
      assert.equal(5, resolved.datasets[2].limit)
      assert.same({ "x", "y" }, resolved.generation.stop)
      assert.equal("awq", resolved.model.variants[1].quantization)
      assert.is_nil(resolved.model.variants[2].quantization)
      assert.is_nil(resolved.server.dtype)
      assert.equal("--set", config.origin(resolved, "variants.b.server.port"))
    end)

    it("finds names with dots", function()
      local text = MINIMAL:gsub("name: b", "name: q4.0"):gsub("name: mmlu", "name: ./my.set.lua")
      local resolved = assert(load(text, set("variants.q4.0.server.port=9", "datasets../my.set.lua.limit=2")))
      assert.equal(9, resolved.model.variants[2].server.port)
      assert.equal(2, resolved.datasets[2].limit)
    end)

    it("says what is wrong with it", function()
      local text, _, kind = fails(MINIMAL, set "server.port=abc")
      assert.equal('--set server.port: want an integer from 1 to 65535, got "abc"', text)
      assert.equal("usage", kind)
      local hint
      text, hint = fails(MINIMAL, set "server.prot=1")
      assert.equal("--set server: unknown key 'prot'", text)
      assert.equal("did you mean port?", hint)
      text, hint = fails(MINIMAL, set "variants.c.server.port=1")
      assert.equal("--set variants.c.server.port: nothing is named 'c'", text)
      assert.equal("did you mean a?", hint)
      text = fails(MINIMAL, set "variants.b=1")
      assert.equal("--set variants.b: want the path of a value, not of all its fields", text)
      text = fails(MINIMAL, set "server.port.x=1")
      assert.equal("--set server.port: want an integer from 1 to 65535, got a map", text)
      text = fails(MINIMAL, set "server.port")
      assert.equal("--set server.port: want KEY=VALUE", text)
      text = fails(MINIMAL, set "server.extra_args=[a")
      assert.is_truthy(text:find("--set server.extra_args", 1, true))
    end)
  end)

  describe("selection", function()
    it("keeps the file's order and refuses unknown names", function()
      local resolved = assert(load(MINIMAL, { variants = { "b" }, datasets = { "mmlu", "gsm8k" } }))
      assert.equal("b", resolved.model.variants[1].name)
      assert.equal(1, #resolved.model.variants)
      assert.equal("gsm8k", resolved.datasets[1].name)
      local text, hint, kind = fails(MINIMAL, { datasets = { "mmul" } })
      assert.equal("--dataset mmul: no such dataset in this configuration", text)
      assert.equal("did you mean mmlu?", hint)
      assert.equal("usage", kind)
    end)

    it("checks the baseline", function()
      assert(load(with "report: { baseline: b }\n", { variants = { "a" } }))
      local text, hint = fails(with "report: { baseline: c }\n")
      assert.equal("c.yaml:9: report.baseline: no variant is named 'c'", text)
      assert.equal("did you mean a?", hint)
    end)
  end)

  it("makes a configuration of a URL", function()
    local resolved = assert(config.from_url { url = "http://h:8000/v1", model = "org/m-7b", datasets = { "gsm8k" },
      overrides = config.overrides { limit = 4 } })
    local variant = resolved.model.variants[1]
    assert.same({ "m-7b", "org/m-7b", "external", "http://h:8000/v1" },
      { variant.name, variant.model, variant.engine, variant.server.base_url })
    assert.equal(4, resolved.datasets[1].limit)
    assert.equal("--url", config.origin(resolved, "variants.m-7b.server.base_url"))
    local _, err = config.from_url { url = "h:8000", model = "m", datasets = {} }
    assert.equal('--url: variants.m.base_url: want a URL such as http://host:8000/v1, got "h:8000"', err.text)
    _, err = config.from_url { url = "http://h/v1" }
    assert.equal("usage", err.kind)
  end)

  it("reads the data folder from where the file is", function()
    local resolved = assert(load(with "data: ../data/sample\n"))
    assert.equal((folder:gsub("[^/]+$", "")) .. "data/sample", resolved.data)
    assert.equal("/d", assert(load(with "data: /d\n")).data)
    assert.equal("here", assert(load(with "data: /d\n", { set = { "data=here" } })).data)
    assert.equal("data/sample", assert(config.load("configs/demo.yaml")).data)
    assert.is_nil(assert(load(MINIMAL)).data)
  end)

  it("knows the keys of the simulator's maps", function()
    local text, hint = fails(with "sim: { latency: { ttft: 5 } }\n")
    assert.equal("c.yaml:9:19: sim.latency: unknown key 'ttft'", text)
    assert.equal("did you mean ttft_ms?", hint)
  end)

  it("splits descriptions at the slash between the languages only", function()
    local split = check.split_languages
    assert.same({ en = "A / B", zh = "甲" }, split "A / B / 甲")
    assert.same({ en = "A", zh = "甲 / 乙" }, split "A / 甲 / 乙")
    assert.same({ en = "A", zh = "甲" }, split "甲 / A")
    assert.same({ en = "FP16/BF16", zh = "FP16/BF16" }, split "FP16/BF16")
    assert.same({ en = "只有中文", zh = "只有中文" }, split "只有中文")
  end)

  it("writes YAML that resolves to the same values", function()
    local first = assert(config.load("configs/demo.yaml", config.overrides { limit = 3, language = "zh",
      set = { "data=/x", "server.env={A: 'true', B: null}", "server.extra_body={x: [1, null, 'a: b'], y: {}}",
        "generation.stop=['\\n', '#']",
        "server.extra_args=['', '8', 'null', ' x ']", "variants.fp8.description=\"a: 'b' / 甲\"" } }))
    local text = config_text.yaml(first)
    local second, err = load(text)
    assert.is_nil(err and err.text)
    local encode = require("qlua.core.json").encode
    assert.equal(encode(config_text.plain(first)), encode(config_text.plain(second)))
    for line in text:gmatch "[^\n]+" do
      assert.is_truthy(line:find(":$") or line:find("  *# "), line)
    end
  end)

  it("answers every mangled file with a place, never with a crash", function()
    local file = require "qlua.core.file"
    local texts = { file.read "configs/demo.yaml", file.read "configs/model_config.yaml" }
    local bits = { ":", "- ", "{", "}", "[", "]", "null", "'", '"', "\n", "  ", "#", "&a ", "*a", "<<: ", "1e999", "~", "\t", "\0",
      "\xff", "name: ", ".nan", "中" }
    local state = 1
    local function pick(n)
      state = (state * 1103515245 + 12345) & 0x7fffffff
      return (state >> 8) % n + 1
    end
    local taken = 0
    for round = 1, 400 do
      local text = texts[round % 2 + 1]
      for _ = 1, pick(3) do
        local at = pick(#text)
        text = text:sub(1, at) .. bits[pick(#bits)] .. text:sub(at + pick(12) - 1)
      end
      local resolved, err = load(text)
      taken = taken + (resolved and 1 or 0)
      for _, one in ipairs(resolved and {} or { err, table.unpack(err.others or {}) }) do
        assert.is_truthy(one.text:find("/c.yaml:%d+:"), one.text)
      end
    end
    assert.is_true(taken > 0 and taken < 400)
  end)

  it("describes every key in both languages", function()
    local function walk(fields, path)
      for _, field in ipairs(fields) do
        assert.is_string(field.summary.en, path .. field.key)
        assert.is_string(field.summary.zh, path .. field.key)
        walk(field.fields or (field.of and field.of.fields) or {}, path .. field.key .. ".")
      end
    end
    walk(schema.root.fields, "")
  end)
end)
