-- SPDX-License-Identifier: Apache-2.0
--- The server dialects: what each starts, refuses and sends, and how it explains a log.
local ability = require "qlua.ability"
local config = require "qlua.config"
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local keys = require "qlua.keys"
local registry = require "qlua.registry"
local supervisor = require "qlua.supervisor"

local dir = os.tmpname()
os.remove(dir)

local everywhere = { find_on_path = function(name) return "/usr/bin/" .. name end }
local nowhere = { find_on_path = function() return nil end }

local function resolved_with(engine, lines)
  local text = { "model:", "  base_name: base", "  variants:", "    - name: one" }
  for _, line in ipairs(lines) do text[#text + 1] = "      " .. line end
  text[#text + 1] = "datasets: [gsm8k]"
  text[#text + 1] = ("server: { engine: %s }"):format(engine)
  local path = dir .. "/config.yaml"
  assert(file.write(path, table.concat(text, "\n") .. "\n"))
  return assert(config.load(path, {}))
end

local function variant_of(engine, lines) return resolved_with(engine, lines).model.variants[1] end
local function dialect_of(name) return assert(registry.load("server", name)) end

local function plan_of(engine, lines) return supervisor.plan(dialect_of(engine), variant_of(engine, lines), {}) end
local function words_of(engine, lines) return table.concat(plan_of(engine, lines).argv, " ") end

local function ask_of(fields)
  local ask = { mode = "generate", endpoint = "completions", model = "m", prompt = { text = "Q:" }, server = {},
    sampling = { temperature = 0, top_p = 1, top_k = -1, min_p = 0, repetition_penalty = 1, seed = 7, max_tokens = 16,
      stop = { "a", "b", "c", "d", "e", "f" } } }
  for name, value in pairs(fields or {}) do ask[name] = value end
  return ask
end

-- As the supervisor looks: the first of the dialect's patterns that a line has.
local function explained(engine, line)
  for _, failure in ipairs(dialect_of(engine).failures) do
    if line:find(failure.pattern, 1, true) then return failure.kind, failure.say.en end
  end
end

local function refused(engine, lines, context)
  local ok, err = dialect_of(engine).check(variant_of(engine, lines), context or everywhere)
  assert.is_nil(ok)
  return err.text, err
end

describe("server dialects", function()
  setup(function()
    assert(file.make_dir(dir))
    registry.configure {}
  end)

  it("say what they can do and what was tested, in both languages", function()
    for _, name in ipairs { "vllm", "sglang", "llama_cpp", "ollama", "openai", "external", "sim" } do
      local dialect = dialect_of(name)
      assert.is_truthy(dialect.tested and #dialect.tested > 0, name)
      assert.is_true(dialect.capabilities.generate, name)
    end
  end)

  it("must have failures that can be said", function()
    local contracts, kinds = require "qlua.contracts", require "qlua.kinds"
    local function problem(fields)
      local script = { name = "x", summary = { en = "e", zh = "z" }, request = function() end, read = function() end }
      for name, value in pairs(fields) do script[name] = value end
      local made = kinds.server(script)
      return select(2, contracts.check("server", made, "x.lua", kinds.of(made))).text
    end
    assert.matches("failures%[1%]' kind: want memory, config, port, model, network or flag",
      problem { failures = { { pattern = "p", kind = "odd", say = { en = "e", zh = "z" } } } })
    assert.matches("failures%[1%]' say", problem { failures = { { pattern = "p", kind = "port", say = { en = "e" } } } })
    assert.matches("tested%[1%]' seen", problem { tested = { { version = "1", mode = "generate", seen = "maybe" } } })
    assert.matches("capabilities%.chat' is not known", problem { capabilities = { chat = true } })
    assert.matches("capabilities%.letter' want true, false", problem { capabilities = { letter = "no" } })
  end)

  describe("vllm", function()
    local function checkpoint(name, quantization)
      assert(file.make_dir(dir .. "/" .. name))
      assert(file.write(dir .. "/" .. name .. "/config.json", json.encode { architectures = json.array { "Qwen3ForCausalLM" },
        quantization_config = quantization }))
      return "model: " .. dir .. "/" .. name
    end

    it("holds the word in the configuration against the checkpoint's own", function()
      local fp8 = checkpoint("fp8", { quant_method = "fp8", weight_block_size = json.array { 128, 128 } })
      local packed = checkpoint("packed", { quant_method = "compressed-tensors",
        config_groups = { group_0 = { weights = { num_bits = 4, type = "int" } } } })
      local floats = checkpoint("floats", { quant_method = "compressed-tensors",
        config_groups = { group_0 = { weights = { num_bits = 8, type = "float" } } } })
      for _, good in ipairs { { fp8, "fp8" }, { packed, "awq" }, { packed, "compressed-tensors" }, { floats, "fp8" }, { fp8, "null" } } do
        assert.is_true(dialect_of "vllm".check(variant_of("vllm", { good[1], "quantization: " .. good[2] }), everywhere))
        assert.is_nil(words_of("vllm", { good[1], "quantization: " .. good[2] }):find("--quantization", 1, true))
      end
      assert.equal("variant 'one': quantization: awq, but the checkpoint's config.json says fp8 (fp8)",
        (refused("vllm", { fp8, "quantization: awq" })))
      assert.equal("variant 'one': quantization: fp8, but the checkpoint's config.json says compressed-tensors (int4)",
        (refused("vllm", { packed, "quantization: fp8" })))
    end)

    it("is not started where an address is given, and needs not be installed", function()
      assert.is_nil(plan_of("vllm", { "base_url: http://127.0.0.1:8000/v1", "engine: vllm" }))
      assert.is_true(dialect_of "vllm".check(variant_of("vllm", { "base_url: http://127.0.0.1:8000/v1", "engine: vllm" }), nowhere))
    end)

    it("takes its key from the environment, and tells no proxy about loopback", function()
      local plan = plan_of("vllm", { "env: { HF_HUB_OFFLINE: '1' }" })
      assert.equal("(hidden)", plan.env.VLLM_API_KEY)
      assert.matches("127%.0%.0%.1", plan.env.NO_PROXY)
      assert.equal("1", plan.env.HF_HUB_OFFLINE)
      assert.is_false(plan.env.VLLM_PORT)
    end)

    it("takes any number of stop strings, and every sampling parameter", function()
      local body = dialect_of "vllm".request(ask_of()).body
      assert.equal(6, #body.stop)
      for name, value in pairs { temperature = 0, top_p = 1, top_k = -1, min_p = 0, repetition_penalty = 1, seed = 7 } do
        assert.equal(value, body[name], name)
      end
    end)

    for line, kind in pairs {
      ["ValueError: Free memory on device cuda:0 (3.25/23.43 GiB) on startup is less than desired GPU memory utilization"] = "memory",
      ["ValueError: To serve at least one request with the model's max seq len (262144), 24.0 GiB KV cache is needed, which is "
        .. "larger than the available KV cache memory (12.35 GiB)."] = "config",
      ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"] = "memory",
      ["ValueError: No available memory for the cache blocks."] = "memory",
      ["RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"] = "memory",
      ["ValueError: Model architectures ['Foo'] are not supported for now."] = "model",
      ["vllm: error: unrecognized arguments: --disable-log-requests"] = "flag",
      ["OSError: [Errno 98] Address already in use"] = "port",
      ["huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error. Repository Not Found for url"] = "model",
      ["huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder"] = "network",
      ["OSError: org/none is not a local folder and is not a valid model identifier listed on"] = "model",
      ["ValueError: Quantization method specified in the model config (compressed-tensors) does not match the quantization method"]
        = "config",
    } do
      it("explains: " .. line:sub(1, 50), function() assert.equal(kind, (explained("vllm", line))) end)
    end
  end)

  describe("sglang", function()
    it("is started with its own words", function()
      assert.equal("python3 -m sglang.launch_server --model-path base --host 127.0.0.1 --port PORT --served-model-name base"
        .. " --quantization fp8 --kv-cache-dtype fp8_e4m3 --tensor-parallel-size 2 --context-length 8192 --mem-fraction-static 0.9"
        .. " --disable-cuda-graph --disable-radix-cache --max-running-requests 16 --random-seed 42 --log-level info",
        words_of("sglang", { "quantization: fp8", "kv_cache_dtype: fp8", "tensor_parallel_size: 2", "enforce_eager: true",
          "enable_prefix_caching: false", "max_num_seqs: 16", "extra_args: [--log-level, info]" }))
    end)

    it("refuses what would put a key on its command line, or a UNIX socket", function()
      assert.matches("command line only", (refused("sglang", { "api_key_env: KEY" })))
      assert.matches("listens on a port only", (refused("sglang", { "unix_socket: /tmp/x" })))
      assert.matches("no executable 'python3'", (refused("sglang", {}, nowhere)))
    end)

    it("asks for one log-probability by echo, since none would be none at all", function()
      local body = dialect_of "sglang".request(ask_of { mode = "loglikelihood", continuation = " A" }).body
      assert.same({ true, 1, 1 }, { body.echo, body.logprobs, body.max_tokens })
    end)

    it("explains", function()
      assert.equal("config", (explained("sglang", "/usr/bin/python3: Error while finding module: No module named 'sglang'")))
      assert.equal("port", (explained("sglang", "rpc_port at 30005 is used by a process already")))
      assert.equal("memory", (explained("sglang", "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.")))
    end)
  end)

  describe("llama_cpp", function()
    it("gives each slot the context that was asked for", function()
      assert.equal("llama-server -m base --alias base --host 127.0.0.1 --port PORT -np 4 -c 32768 --seed 42 --offline",
        words_of("llama_cpp", {}))
      assert.equal("llama-server -m base --alias base --host UNIX_SOCKET -np 2 -c 8192 -ctk q8_0 -ctv q8_0 --seed 42 --offline -ngl 99",
        words_of("llama_cpp", { "unix_socket: /tmp/x.sock", "max_num_seqs: 2", "max_model_len: 4096", "kv_cache_dtype: q8_0",
          "extra_args: [-ngl, '99']" }))
    end)

    it("wants a GGUF file, and a cache type it has", function()
      local model = dir .. "/m.gguf"
      assert(file.write(model, "GGUF"))
      assert.is_true(dialect_of "llama_cpp".check(variant_of("llama_cpp", { "model: " .. model }), everywhere))
      assert.matches("no such file: org/none", (refused("llama_cpp", { "model: org/none" })))
      assert.matches("is a folder", (refused("llama_cpp", { "model: " .. dir })))
      assert.matches("kv_cache_dtype: llama.cpp has no 'fp8'", (refused("llama_cpp", { "model: " .. model, "kv_cache_dtype: fp8" })))
      assert.matches("no executable 'llama%-server'", (refused("llama_cpp", { "model: " .. model }, nowhere)))
    end)

    it("uses its own names for sampling, and says whether prompts are cached", function()
      local body = dialect_of "llama_cpp".request(ask_of { server = { enable_prefix_caching = false } }).body
      assert.same({ 1, 0, -1, false }, { body.repeat_penalty, body.min_p, body.top_k, body.cache_prompt })
      assert.is_nil(body.repetition_penalty)
      assert.is_nil(dialect_of "llama_cpp".request(ask_of()).body.cache_prompt)
    end)

    it("knows the line that names the port", function()
      local line = "main: server is listening on http://127.0.0.1:39489 - starting the main loop"
      assert.equal("39489", line:match(dialect_of "llama_cpp".port_line))
    end)

    it("explains", function()
      assert.equal("model", (explained("llama_cpp", "common_init_from_params: failed to load model, '/x.gguf'")))
      assert.equal("model", (explained("llama_cpp", "main: exiting due to model loading error")))
      assert.equal("port", (explained("llama_cpp", "couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080")))
      assert.equal("flag", (explained("llama_cpp", "error: invalid argument: --no-such-flag")))
    end)
  end)

  describe("ollama", function()
    it("has its address and context in the environment", function()
      local plan = plan_of("ollama", { "max_num_seqs: 2", "port: 11434" })
      assert.same({ "ollama", "serve" }, plan.argv)
      assert.same({ "127.0.0.1:PORT", "8192", "2" }, { plan.env.OLLAMA_HOST, plan.env.OLLAMA_CONTEXT_LENGTH, plan.env.OLLAMA_NUM_PARALLEL })
    end)

    it("says that prompts may be cut in silence", function()
      local notices = dialect_of "ollama".notices(variant_of("ollama", { "base_url: http://127.0.0.1:11434/v1", "engine: ollama" }))
      assert.equal("silent_truncation", notices[1].code)
      assert.matches("which qlua cannot see", notices[1].en)
    end)

    it("explains", function()
      assert.equal("port", (explained("ollama", "Error: listen tcp 127.0.0.1:11434: bind: address already in use")))
      assert.equal("model", (explained("ollama", 'model "qwen3:8b" not found, try pulling it first')))
    end)
  end)

  describe("openai", function()
    local function with(lines) return variant_of("openai", { "api_key_env: QLUA_TEST_KEY", "engine: openai", table.unpack(lines) }) end
    local azure = "base_url: https://res.openai.azure.com/openai/deployments/dep"

    it("wants an address and a key", function()
      assert.matches("base_url is missing", (refused("openai", {})))
      assert.matches("no API key", (refused("openai", { "base_url: https://api.openai.com/v1", "engine: openai" })))
      assert.is_true(dialect_of "openai".check(with { "base_url: https://api.openai.com/v1" }, {}))
    end)

    it("gives Azure its own header, and wants the version in the URL", function()
      local dialect, variant = dialect_of "openai", with { azure, "query: { api-version: '2024-10-21' }" }
      assert.is_true(dialect.check(variant, {}))
      assert.same({ ["content-type"] = "application/json", ["api-key"] = "secret-azure" }, keys.headers(dialect, variant, "secret-azure"))
      local ok, err = dialect.check(with { azure }, {})
      assert.is_nil(ok)
      assert.matches("api%-version", err.text)
      assert.is_true(dialect.check(with { "base_url: https://res.openai.azure.com/openai/v1" }, {}))
      assert.equal("Bearer k-123456", keys.headers(dialect, with { "base_url: https://api.openai.com/v1" }, "k-123456").authorization)
    end)

    it("refuses to compare over OpenRouter unless one provider is pinned", function()
      local dialect, url = dialect_of "openai", "base_url: https://openrouter.ai/api/v1"
      local two = { config = { model = { variants = { {}, {} } } } }
      local ok, err = dialect.check(with { url }, two)
      assert.is_nil(ok)
      assert.matches("different quantizations", err.text)
      assert.is_true(dialect.check(with { url, "extra_body: { provider: { order: [X], allow_fallbacks: false } }" }, two))
      assert.is_nil((dialect.check(with { url, "extra_body: { provider: { order: [X, Y], allow_fallbacks: false } }" }, two)))
      assert.is_nil((dialect.check(with { url, "extra_body: { provider: { order: [X] } }" }, two)))
      assert.equal("provider_not_pinned", dialect.notices(with { url })[1].code)
    end)

    it("sends max_completion_tokens over chat, four stops, and what it knows of sampling", function()
      local dialect = dialect_of "openai"
      local body = dialect.request(ask_of { endpoint = "chat" }).body
      assert.same({ 16, 4 }, { body.max_completion_tokens, #body.stop })
      assert.is_nil(body.max_tokens)
      assert.is_nil(body.top_k)
      body = dialect.request(ask_of { endpoint = "chat", server = { base_url = "https://openrouter.ai/api/v1" } }).body
      assert.equal(16, body.max_tokens)
      body = dialect.request(ask_of { endpoint = "chat", server = { max_tokens_field = "max_tokens" } }).body
      assert.equal(16, body.max_tokens)
      assert.equal(16, dialect.request(ask_of()).body.max_tokens)
    end)

    it("takes a date behind a model's name for the model, and another name for another", function()
      local echoes = dialect_of "openai".echoes
      assert.is_true(echoes("gpt-4o", "gpt-4o"))
      assert.is_true(echoes("gpt-4o", "gpt-4o-2024-08-06"))
      assert.is_true(echoes("org/m", "org/m:free"))
      assert.is_false(echoes("gpt-4o", "gpt-4o-mini"))
      assert.is_false(echoes("gpt-4o", "gpt-5"))
    end)
  end)

  describe("and what is asked of them", function()
    local function able(engine, lines) return ability.check_variant(dialect_of(engine), variant_of(engine, lines)) end

    it("refuses a sampling parameter that would be ignored, not one that changes nothing", function()
      assert.is_true(able("external", { "top_k: -1", "min_p: 0", "repetition_penalty: 1" }))
      local ok, err = able("external", { "top_k: 20" })
      assert.is_nil(ok)
      assert.equal("variant 'one': generation.top_k: engine 'external' has no such parameter, it would be ignored", err.text)
      assert.is_true(able("external", { "top_k: 20", "extra_body: { top_k: 20 }" }))
      assert.is_true(able("vllm", { "top_k: 20", "min_p: 0.1", "repetition_penalty: 1.1" }))
      assert.is_true(able("llama_cpp", { "repetition_penalty: 1.1" }))
      assert.is_nil((able("openai", { "chat_template_kwargs: { enable_thinking: false }" })))
    end)

    local function dataset(mode, endpoint)
      return { name = "d", mode = mode, endpoint = endpoint, script = { modes = { "loglikelihood", "letter" } },
        task = { prompt = function() return { text = "Q" } end } }
    end

    it("refuses a mode that the server has not, with the reason and the mode that works", function()
      local variant = variant_of("llama_cpp", {})
      local ok, err = ability.check_dataset(dialect_of "openai", variant, dataset "loglikelihood")
      assert.is_nil(ok)
      assert.matches("^variant 'one': dataset 'd' in mode loglikelihood: no hosted API gives log%-probabilities", err.text)
      assert.equal("--set datasets.d.mode=letter", err.hint)
      assert.is_true(ability.check_dataset(dialect_of "llama_cpp", variant, dataset "letter"))
    end)

    it("refuses a system prompt where there is no chat", function()
      local variant = variant_of("vllm", { "system_prompt: Be brief." })
      local ok, err = ability.check_dataset(dialect_of "vllm", variant, dataset "letter")
      assert.is_nil(ok)
      assert.matches("generation.system_prompt: dataset 'd' is asked as plain text", err.text)
      assert.is_true(ability.check_dataset(dialect_of "vllm", variant, dataset("letter", "chat")))
    end)
  end)
end)
