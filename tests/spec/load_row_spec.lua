-- SPDX-License-Identifier: Apache-2.0
--- From a Reply to a row: what every API's events are, where counts come from, what counts as failed.
local events = require "qlua.load.events"
local f = require "load_fixture"
local json = require "qlua.core.json"
local row = require "qlua.load.row"
local shapes = require "qlua.load.event_shapes"
local template = require "qlua.load.event_template"

local function kinds(one)
  local list = {}
  for _, kind in row.each_event(one) do list[#list + 1] = kind end
  return table.concat(list, " ")
end

local function tokens(one)
  local list = {}
  for _, _, count in row.each_event(one) do list[#list + 1] = tostring(count) end
  return table.concat(list, " ")
end

describe("the events of a reply", function()
  it("are told apart by what they bring", function()
    local one = f.telling()
    assert.equal("role reasoning empty content content finish usage done", kinds(one))
    assert.same({ "ok", "stop", 5, "usage", 7, 4 },
      { one.outcome, one.finish, one.completion_tokens, one.count_source, one.prompt_tokens, one.text_chars })
    assert.is_nil(one.weight_source)
    assert.equal("nil nil nil nil nil nil nil nil", tokens(one))
  end)

  it("keep their stamps to the nanosecond when packed", function()
    local list = { { at_ns = f.base_ns + 1, kind = "role" }, { at_ns = f.base_ns - 5, kind = "content", tokens = 3 },
      { at_ns = f.base_ns + 3600 * 10 ^ 9 // 1 | 0, kind = "done", tokens = 70000 } }
    local packed, back = events.pack(list, f.base_ns), {}
    assert.equal(27, #packed)
    assert.equal(3, events.count(packed))
    for at_ns, kind, count in events.each(packed, f.base_ns) do back[#back + 1] = { at_ns, kind, count } end
    assert.same({ { f.base_ns + 1, "role" }, { f.base_ns - 5, "content", 3 }, { f.base_ns + 3600000000000, "done", 65534 } }, back)
  end)

  it("know reasoning by both names, and tool calls", function()
    local one = f.row { { 1, f.delta { role = "assistant", content = json.null } }, { 2, f.delta { reasoning = "x" } },
      { 3, f.delta { reasoning_content = "y", content = json.null } },
      { 4, f.delta { tool_calls = json.array { { index = 0, ["function"] = { arguments = "{" } } } } },
      { 5, f.delta { tool_calls = json.array {} } }, { 6, f.finish "tool_calls" }, { 7, "[DONE]" } }
    assert.equal("role reasoning reasoning tool empty finish done", kinds(one))
    assert.same({ 3, "events", "tool_calls" }, { one.completion_tokens, one.count_source, one.finish })
  end)

  it("take usage null for nothing", function()
    local one = f.row { { 1, f.content("a", { usage = json.null }) }, { 2, f.finish() }, { 3, f.usage(2, 9) }, { 4, "[DONE]" } }
    assert.same({ 9, "usage", 2 }, { one.completion_tokens, one.count_source, one.prompt_tokens })
  end)

  it("weigh by continuous usage, also what a held-back character brings", function()
    local function at(text, count) return f.content(text, { usage = { prompt_tokens = 3, completion_tokens = count } }) end
    local one = f.row { { 1, at("", 0) }, { 2, at("a", 1) }, { 3, at("", 2) }, { 4, at("bc", 5) }, { 5, f.finish() }, { 6, f.usage(3, 6) } }
    assert.equal("usage", one.weight_source)
    assert.equal("0 1 1 3 nil nil", tokens(one))
    assert.equal(6, one.completion_tokens)
  end)

  it("do not weigh by usage that stands on the last event only", function()
    local one = f.row { { 1, f.content "a" }, { 2, f.content("b", { usage = { completion_tokens = 8, prompt_tokens = 1 } }) }, { 3,
      "[DONE]" } }
    assert.is_nil(one.weight_source)
    assert.same({ 8, "usage" }, { one.completion_tokens, one.count_source })
  end)

  it("weigh by token ids and count by them where usage is absent", function()
    local function ids(text, n)
      local list = {}
      for i = 1, n do list[i] = i end
      return { choices = json.array { { index = 0, text = text, token_ids = json.array(list) } } }
    end
    local one = f.row { { 1, ids("a", 2) }, { 2, ids("", 1) }, { 3, ids("b", 3) }, { 4, "[DONE]" } }
    assert.same({ "token_ids", "token_ids", 6 }, { one.weight_source, one.count_source, one.completion_tokens })
    assert.equal("2 1 3 nil", tokens(one))
  end)

  it("are read from text that grows, from single tokens and from named events", function()
    local function native(text, n, reason)
      return { text = text, meta_info = { completion_tokens = n, prompt_tokens = 4, finish_reason = reason or json.null } }
    end
    local grown = f.row { { 1, native("a", 2) }, { 2, native("ab", 3) }, { 3, native("ab", 4, { type = "length" }) }, { 4, "[DONE]" } }
    assert.same({ "content content finish done", "2 1 1 nil", 4, "usage", "length", 2 },
      { kinds(grown), tokens(grown), grown.completion_tokens, grown.count_source, grown.finish, grown.text_chars })
    local single = f.row { { 1, { token = { id = 1, text = "a", special = false } } },
      { 2, { token = { id = 2, text = "</s>", special = true }, generated_text = "a", details = { finish_reason = "eos_token",
        generated_tokens = 2 } } } }
    assert.same({ "content finish", 2, "usage", "eos_token" }, { kinds(single), single.completion_tokens, single.count_source,
      single.finish })
    local named = f.row { { 1, { type = "message_start", message = { role = "assistant", usage = { input_tokens = 9,
      output_tokens = 1 } } } },
      { 2, { type = "ping" } }, { 3, { type = "content_block_delta", delta = { type = "thinking_delta", thinking = "h" } } },
      { 4, { type = "content_block_delta", delta = { type = "text_delta", text = "a" } } },
      { 5, { type = "message_delta", delta = { stop_reason = "end_turn" }, usage = { output_tokens = 12 } } }, { 6,
        { type = "message_stop" } } }
    assert.same({ "role other reasoning content finish other", 12, 9, "ok" },
      { kinds(named), named.completion_tokens, named.prompt_tokens, named.outcome })
  end)
end)

describe("events that are alike but for their text", function()
  -- Everything that could go wrong between two events of one stream: escapes, quotes, other fields, other shapes.
  local TEXTS = { "word", " two words", "", "\n", 'a "quote"', "back\\slash", "你好", "{}", '"content":"x', "\u{7f}", "\t" }
  local function chat(text, more)
    local value = { id = "c-1", created = 5, model = "m", choices = json.array { { index = 0, delta = { content = text },
      finish_reason = json.null } } }
    for key, item in pairs(more or {}) do value[key] = item end
    return value
  end
  local SHAPES = {
    function(text) return chat(text) end,
    function(text) return chat(text, { usage = json.null }) end,
    function(text, i) return chat(text, { usage = { prompt_tokens = 1, completion_tokens = i } }) end,
    function(text, i) return chat(text, { usage = { prompt_tokens = 1, total_tokens = 1 + i, completion_tokens = i } }) end,
    function(text, i) return chat(text, { usage = { prompt_tokens = 1, total_tokens = 2 * i, completion_tokens = 2 * i - 1,
      completion_tokens_details = { reasoning_tokens = i // 4 } } }) end,
    function(text, i) return { choices = json.array { { index = 0, delta = { content = text } } }, a = { completion_tokens = i },
      usage = { completion_tokens = 3 } } end,
    function(text) return { choices = json.array { { index = 0, text = text } } } end,
    function(text) return f.delta { reasoning_content = text } end,
    function(text) return f.delta { content = text, reasoning = "r" } end,
    function(text) return { choices = json.array { { index = 0, delta = { content = text },
      logprobs = { content = json.array { { token = text } } } } } } end,
    function(text) return { prompt = { content = "word" }, choices = json.array { { index = 0, delta = { content = text } } } } end,
    function(text, i) return { text = (" word"):rep(i) .. text, meta_info = { completion_tokens = i, finish_reason = json.null } } end,
    function(text) return { type = "content_block_delta", delta = { text = text } } end,
    function() return f.finish() end,
    function() return f.role() end,
    function() return { choices = json.array { { index = 0, delta = { content = "word", role = "assistant" },
      finish_reason = "stop" } } } end,
  }

  it("are read as if every one were decoded", function()
    local generator = require "qlua.random"(7, "events")
    for _ = 1, 300 do
      local list, shape = {}, generator:integer(#SHAPES)
      for i = 1, 12 do
        if generator:number() < 0.15 then shape = generator:integer(#SHAPES) end
        local text = generator:number() < 0.6 and "word" .. i or TEXTS[generator:integer(#TEXTS)]
        list[i] = { i, SHAPES[shape](text, i) }
      end
      list[13] = { 13, generator:number() < 0.1 and '{"choices":[{"delta":{"content":"wo\1rd"}}]}' or "[DONE]" }
      local reply = f.stream(list)
      assert.same(events.read(reply, { decode_all = true }), events.read(reply))
    end
  end)

  it("are recognised by the bytes around their text", function()
    local function learn(text, more)
      local data = json.encode(chat(text, more))
      return template.learn(data, shapes.read(json.decode(data), {}), shapes.read)
    end
    local known = learn "word1"
    assert.equal("word2", template.text(known, json.encode(chat "word2")))
    for _, other in ipairs { chat "", chat "a\nb", chat 'a"b', chat("word2", { created = 6 }), f.finish() } do
      assert.is_nil(template.text(known, json.encode(other)))
    end
    assert.is_nil(learn "a\nb")
  end)

  it("are recognised by the bytes around the counts too, and say the count", function()
    local data = '{"choices":[{"delta":{"content":"%s"}}],"usage":{"prompt_tokens":9,"total_tokens":%s,"completion_tokens":%s}}'
    local function learn(line) return template.learn(line, shapes.read(json.decode(line), {}), shapes.read) end
    local known = learn(data:format("a", "10", "1"))
    assert.same({ "b", 12 }, { template.text(known, data:format("b", "21", "12")) })
    assert.same({ "b", 0 }, { template.text(known, data:format("b", "9", "0")) })
    for _, wrong in ipairs { "01", "1.5", "-1", "1e3", "1 2", "", "null", "1234567890123456" } do
      assert.is_nil(template.text(known, data:format("b", "21", wrong)), wrong)
      assert.is_nil(template.text(known, data:format("b", wrong, "12")), wrong)
    end
    assert.is_nil(template.text(known, (data:format("b", "21", "12"):gsub('"prompt_tokens":9', '"prompt_tokens":8'))))
    -- A count in two places, or before the text, is not where it seems to be.
    assert.is_nil(learn '{"choices":[{"delta":{"content":"a"}}],"a":{"completion_tokens":1},"usage":{"completion_tokens":2}}')
    assert.is_nil(learn '{"usage":{"completion_tokens":2},"choices":[{"delta":{"content":"a"}}]}')
  end)
end)

describe("a failed request", function()
  it("is an error event under 200, with what came before it", function()
    local one = f.row { { 1, f.content "a" }, { 2, { error = { message = "out of memory", code = 500 } } }, { 3, "[DONE]" } }
    assert.same({ "http_5xx", "the server says: out of memory", "content error" }, { one.outcome, one.error_text, kinds(one) })
  end)

  it("is a stream that just ends", function()
    local one = f.row { { 1, f.content "a" } }
    assert.same({ "protocol", "the stream ended without finish_reason and [DONE]" }, { one.outcome, one.error_text })
  end)

  it("is an event that is no JSON", function()
    local one = f.row { { 1, f.content "a" }, { 2, "{\"choices\":" } }
    assert.equal("protocol", one.outcome)
    assert.truthy(one.error_text:find("an event of the stream is", 1, true))
  end)

  it("is what the transport and the status say", function()
    local reply = f.stream({ { 1, f.content "a" } }, {})
    reply.error = { kind = "timeout", text = "no event for 5 s" }
    local one = row.make({ index = 1 }, reply)
    assert.same({ "timeout", "no event for 5 s", "content" }, { one.outcome, one.error_text, kinds(one) })
    local refused = row.make({ index = 2 }, { status = 429, body = '{"error":{"message":"slow down"}}', headers = {}, marks = {
      queued_ns = 5, start_ns = 6, first_byte_ns = 7, last_byte_ns = 8, reads = 1 } })
    assert.same({ "http_4xx", "HTTP 429: slow down" }, { refused.outcome, refused.error_text })
    local never = row.make({ index = 3, due_ns = 4 }, { status = 0, headers = {}, marks = { queued_ns = 5 },
      error = { kind = "cancelled", text = "cancelled" } })
    assert.same({ "cancelled", 5, 4 }, { never.outcome, never.start_ns, never.due_ns })
  end)
end)

describe("a reply that did not stream", function()
  local function whole(body) return { status = 200, body = json.encode(body), headers = {}, marks = { queued_ns = f.ns(0),
    start_ns = f.ns(0),
    first_byte_ns = f.ns(90), last_byte_ns = f.ns(91), reads = 1 } } end

  it("has counts and no events", function()
    local one = row.make({ index = 1 }, whole { choices = json.array { { message = { content = "你好" }, finish_reason = "stop" } },
      usage = { prompt_tokens = 3, completion_tokens = 2 } }, { keep_text = true })
    assert.same({ "ok", false, "", 2, "usage", 2, "你好" },
      { one.outcome, one.streamed, one.events, one.completion_tokens, one.count_source, one.text_chars, one.text })
  end)

  it("without usage has no count", function()
    local one = row.make({ index = 1 }, whole { choices = json.array { { text = "a" } } })
    assert.is_nil(one.completion_tokens)
    assert.is_nil(one.count_source)
  end)

  it("without choices is not what the API promises", function()
    assert.equal("protocol", row.make({ index = 1 }, whole { id = "x" }).outcome)
  end)
end)
