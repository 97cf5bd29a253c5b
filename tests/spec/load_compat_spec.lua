-- SPDX-License-Identifier: Apache-2.0
--- One row on which five tools disagree, each figure computed by hand from the tool's definition.
local compat = require "qlua.load.compat"
local f = require "load_fixture"
local metrics = require "qlua.load.metrics"

local function ms(value) return value and value / 1e6 end

-- Connection at 2 ms, sent at 3; role 40, reasoning 100, half a character 110, content 150 and 190, finish 195, usage 230, [DONE] 240.
local function telling(more) return f.telling(more, { connect_ns = 2, sent_ns = 3 }) end

local function figures(name, one)
  local got, gaps = compat.of(name, one or telling()), {}
  for i, gap in ipairs(got.gaps) do gaps[i] = ms(gap) end
  return { ttft = ms(got.ttft), e2e = ms(got.e2e), tpot = ms(got.tpot), gaps = gaps, tokens = got.tokens }
end

describe("the same request", function()
  it("by qlua: from the send, text only, to the last token", function()
    local got = metrics.of(telling())
    assert.same({ 97, 187, 22.5 }, { ms(got.ttft), ms(got.e2e), ms(got.tpot) })
  end)

  it("by vllm: the role is the first token, finish the last", function()
    assert.same({ ttft = 40, e2e = 195, tpot = 155 / 4, gaps = { 60, 10, 40, 40, 5 }, tokens = 5 }, figures "vllm")
  end)

  it("by sglang: the first text, and the wait for usage", function()
    assert.same({ ttft = 100, e2e = 230, tpot = 130 / 4, gaps = { 50, 40 }, tokens = 5 }, figures "sglang")
  end)

  it("by guidellm: TPOT over all tokens, one ITL, to the stream's end", function()
    assert.same({ ttft = 100, e2e = 240, tpot = 190 / 5, gaps = { 90 / 4 }, tokens = 5 }, figures "guidellm")
  end)

  it("by aiperf: ITL is what others call TPOT", function()
    assert.same({ ttft = 100, e2e = 190, gaps = { 90 / 4 }, tokens = 5 }, figures "aiperf")
    assert.same({ 50e6, 40e6 }, compat.of("aiperf", telling()).icl)
  end)

  it("by evalscope: the role first, usage last", function()
    assert.same({ ttft = 40, e2e = 230, tpot = 190 / 4, gaps = { 60, 10, 40, 40, 5 }, tokens = 5 }, figures "evalscope")
  end)

  it("without usage: 1, the length asked for, the events, nothing", function()
    local one = telling { requested_tokens = 9 }
    one.completion_tokens, one.count_source = 3, "events"
    local want = { vllm = 1, sglang = 9, guidellm = 3 }
    for _, name in ipairs(compat.ORDER) do assert.equal(want[name], compat.of(name, one).tokens, name) end
    assert.is_nil(compat.of("vllm", one).tpot)
    assert.equal(1, compat.view("aiperf", { one }).uncounted)
  end)

  it("with a tool call only: a first token for some", function()
    local json = require "qlua.core.json"
    local one = f.row { { 40, f.role() }, { 90, f.delta { tool_calls = json.array { { index = 0 } } } }, { 95, f.finish "tool_calls" },
      { 96, f.usage(1, 2) }, { 97, "[DONE]" } }
    local got = {}
    for _, name in ipairs(compat.ORDER) do got[name] = ms(compat.of(name, one).ttft) end
    assert.same({ vllm = 40, guidellm = 90, aiperf = 90, evalscope = 40 }, got)
  end)
end)

describe("many requests", function()
  local list = {}
  for i = 1, 10 do
    list[i] = f.row({ { i * 10, f.content "a" }, { i * 10 + 20, f.content "b" }, { i * 10 + 20, f.finish() }, { i * 10 + 20, f.usage(3,
      2) },
      { 1000, "[DONE]" } })
  end
  list[11] = f.row { { 5, f.content "a" } }

  it("have the percentiles and deviations of each tool", function()
    local function line(name) return compat.view(name, list).lines[1] end
    local function p90(name)
      for _, one in ipairs(line(name).percentiles) do
        if one.q == 0.9 then return one.value end
      end
    end
    -- 10, 20 … 100 ms: linear 91, the smallest at which 0.9 is reached 90, the one at index 9 is 100
    assert.near(91, p90 "sglang", 1e-9)
    assert.near(90, p90 "guidellm", 1e-9)
    assert.near(100, p90 "evalscope", 1e-9)
    assert.near(55, line("guidellm").mean, 1e-9)
    assert.near(50, line("guidellm").median, 1e-9)
    assert.near(math.sqrt(825), line("vllm").std, 1e-9)
    assert.near(math.sqrt(8250 / 9), line("aiperf").std, 1e-9)
    assert.is_nil(line("evalscope").std)
    assert.same({ "p99" }, { compat.view("vllm", list).lines[1].percentiles[1].name })
  end)

  it("have throughput over each tool's time, failures apart", function()
    local vllm, aiperf = compat.view("vllm", list), compat.view("aiperf", list)
    assert.same({ 10, 1, 20 }, { vllm.completed, vllm.failed, vllm.output_tokens })
    assert.near(10, vllm.requests_per_second, 1e-9)          -- to the end of the last stream, 1 s
    assert.near(10 / 0.12, aiperf.requests_per_second, 1e-9) -- to the last token
    assert.near(50, vllm.total_tokens_per_second, 1e-9)
  end)

  it("say in both languages why they differ", function()
    for _, name in ipairs(compat.ORDER) do
      local why = compat.view(name, list).why
      assert.is_true(#why.en > 40 and #why.zh > 40, name)
    end
    local view, err = compat.view("wrk", list)
    assert.is_nil(view)
    assert.equal('--compat: want one of vllm, sglang, guidellm, aiperf, evalscope, got "wrk"', err.text)
  end)
end)
