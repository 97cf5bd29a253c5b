-- SPDX-License-Identifier: Apache-2.0
--- The exchange format of serving benchmarks: what is written, and that it comes back.
local aggregate = require "qlua.load.aggregate"
local compat = require "qlua.load.compat"
local f = require "load_fixture"
local json = require "qlua.core.json"
local metrics = require "qlua.load.metrics"
local row = require "qlua.load.row"
local slo = require "qlua.load.slo"
local vllm_json = require "qlua.load.vllm_json"

-- i-th request starts at 500 (i - 1) ms: role after 20 ms, then three texts 100 ms apart, 4 tokens.
local function rows()
  local list = {}
  for i = 1, 5 do
    local at = 500 * (i - 1)
    list[i] = row.make({ index = i, variant = "v", stage = "1", replicate = 1 }, f.stream({ { at + 20, f.role() }, { at + 120,
      f.content "a" },
      { at + 220, f.content "b" }, { at + 320, f.content "c" }, { at + 325, f.finish() }, { at + 330, f.usage(7, 4) }, { at + 331,
        "[DONE]" } },
      { queued_ns = at - 2, start_ns = at }), { keep_text = true })
  end
  list[6] = row.make({ index = 6, variant = "v" }, { status = 503, headers = {}, body = "", marks = { queued_ns = f.ns(2500),
    start_ns = f.ns(2500),
    last_byte_ns = f.ns(3000) } })
  list[7] = f.telling { warmup = true }
  return list
end

local ABOUT = { date = "20261123-101500", endpoint_type = "openai-chat", model_id = "m", label = "bf16", max_concurrency = 1,
  slo = slo.parse "ttft:200,tpot:101" }

describe("the exchange format", function()
  it("is written by that tool's definitions", function()
    local doc = vllm_json.write(rows(), ABOUT)
    assert.same({ 5, 1, 35, 20, 6, "inf", 1, 1, "openai-chat", "m" }, { doc.completed, doc.failed, doc.total_input_tokens,
      doc.total_output_tokens,
      doc.num_prompts, doc.request_rate, doc.burstiness, doc.max_concurrency, doc.backend, doc.tokenizer_id })
    assert.near(3, doc.duration, 1e-9)
    assert.near(5 / 3, doc.request_throughput, 1e-9)
    assert.near(20, doc.mean_ttft_ms, 1e-9)
    assert.near((325 - 20) / 3, doc.median_tpot_ms, 1e-9)
    assert.near((100 + 100 + 100 + 5) / 4, doc.mean_itl_ms, 1e-9)
    assert.near(325, doc.p99_e2el_ms, 1e-9)
    assert.equal(0, doc.request_goodput) -- TPOT is 101.67
    assert.equal(1, doc.max_concurrent_requests)
    assert.equal(10, doc.max_output_tokens_per_s) -- events in a clock second, the role among them
    assert.is_nil(doc.ttfts)
  end)

  it("has one entry per request in the detailed form, failed ones too", function()
    local doc = vllm_json.write(rows(), ABOUT, true)
    for _, name in ipairs(vllm_json.LISTS) do assert.equal(6, #doc[name], name) end
    assert.same({ 4, 4, 4, 4, 4, 0 }, { table.unpack(doc.output_lens) })
    assert.near(0.02, doc.ttfts[3], 1e-12)
    assert.near(1.0, doc.start_times[3], 1e-12)
    assert.near(0.002, doc.queue_times[1], 1e-12)
    assert.equal("abc", doc.generated_texts[1])
    assert.same({ "", "http_5xx: HTTP 503: " }, { doc.errors[1], doc.errors[6] })
    assert.same({ 4, 0 }, { #doc.itls[1], #doc.itls[6] })
  end)

  it("comes back: the same figures from the file, from its rows, and from the rows it was made of", function()
    local list = rows()
    local text = json.encode(vllm_json.write(list, ABOUT, true))
    local read = assert(vllm_json.read("x.json", text))
    local want, again = compat.view("vllm", list), compat.view("vllm", read.rows)
    for _, got in ipairs { read.view, again } do
      assert.same({ want.completed, want.failed, want.output_tokens }, { got.completed, got.failed, got.output_tokens })
      for i, line in ipairs(want.lines) do
        assert.near(line.mean, got.lines[i].mean, 1e-6, line.name)
        assert.near(line.median, got.lines[i].median, 1e-6, line.name)
        assert.near(line.std, got.lines[i].std, 1e-5, line.name)
      end
    end
    assert.same({ "p50", "p90", "p95", "p99" }, (function(l)
      local names = {}
      for i, p in ipairs(l) do names[i] = p.name end
      return names
    end)(read.view.lines[1].percentiles))
    assert.near(20e6, metrics.of(read.rows[2]).ttft, 1)
    local whole = aggregate.rows(read.rows)
    assert.same({ 5, 1 }, { whole.num_ok, whole.num_failed })
    -- written once more, nothing that the format holds has changed
    local twice = vllm_json.write(read.rows, ABOUT, true)
    assert.near(0.1, twice.itls[2][2], 1e-9)
    assert.same({ table.unpack(read.document.output_lens) }, { table.unpack(twice.output_lens) })
  end)

  it("says what is wrong with a file", function()
    for text, want in pairs {
      ["{"] = "x.json: ", ["[]"] = "x.json: duration: want a number, got nothing",
      ['{"duration":"1","completed":1,"total_input_tokens":1,"request_throughput":1}'] = 'duration: want a number, got "1"',
      ['{"duration":1,"completed":1,"total_input_tokens":1,"request_throughput":1,"ttfts":[1,2],"itls":[[]]}'] =
        "itls: want 2 entries as in the other lists, got 1",
    } do
      local read, err = vllm_json.read("x.json", text)
      assert.is_nil(read)
      assert.equal("data", err.kind)
      assert.truthy(err.text:find(want, 1, true), err.text)
    end
  end)

  it("of requests that all failed has zeros, as that tool writes them", function()
    local doc = vllm_json.write({ rows()[6] }, ABOUT, true)
    assert.same({ 0, 1, 0, 0 }, { doc.completed, doc.failed, doc.mean_ttft_ms, doc.p99_itl_ms })
    assert.is_not_nil(vllm_json.read("x.json", json.encode(doc)))
  end)
end)
