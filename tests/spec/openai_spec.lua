-- SPDX-License-Identifier: Apache-2.0
local json = require "qlua.core.json"
local openai = require "qlua.openai"

local function reply_of(body, status)
  return { status = status or 200, headers = {}, body = type(body) == "table" and json.encode(body) or body,
    marks = { start_ns = 1000, last_byte_ns = 9000 } }
end

-- Events 1000 ns apart, the first 2000 ns after the start.
local function stream_of(...)
  local reply = reply_of ""
  reply.events = {}
  for i, data in ipairs { ... } do
    reply.events[i] = { data = type(data) == "table" and json.encode(data) or data, at_ns = 2000 + 1000 * i }
  end
  reply.marks.last_byte_ns = 2000 + 1000 * #reply.events
  return reply
end

local function chat(delta, more)
  local value = { choices = json.array { { index = 0, delta = delta } } }
  for key, field in pairs(more or {}) do value[key] = field end
  return value
end

local function finish(reason) return { choices = json.array { { index = 0, delta = {}, finish_reason = reason or "stop" } } } end

local streamed, whole = { sse = true }, { sse = false }

local function ask(fields)
  local made = { mode = "generate", endpoint = "completions", model = "m", prompt = { text = "Q:" },
    sampling = { temperature = 0, top_p = 1, seed = 42, top_k = 5, max_tokens = 16 } }
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

describe("openai request", function()
  it("asks for text and for chat", function()
    local request = openai.request(ask())
    assert.equal("/completions", request.path)
    assert.same({ model = "m", prompt = "Q:", temperature = 0, top_p = 1, seed = 42, max_tokens = 16 }, request.body)
    assert.is_false(request.sse)
    request = openai.request(ask { endpoint = "chat" })
    assert.equal("/chat/completions", request.path)
    assert.same({ { role = "user", content = "Q:" } }, request.body.messages)
    assert.is_nil(request.body.prompt)
  end)

  it("sends messages as they are", function()
    local messages = { { role = "system", content = "s" }, { role = "user", content = "u" } }
    assert.same(messages, openai.request(ask { endpoint = "chat", prompt = { messages = messages } }).body.messages)
  end)

  it("sends only the sampling fields the server knows", function()
    assert.is_nil(openai.request(ask()).body.top_k)
    assert.equal(5, openai.request(ask(), openai.extended_sampling).body.top_k)
  end)

  it("takes its options as a list or by name", function()
    local body = openai.request(ask { sampling = { top_k = 5, repetition_penalty = 1.1, max_tokens = 3, stop = { "a", "b", "c",
      "d", "e" } } },
      { sampling = { "top_k", repetition_penalty = "repeat_penalty" }, max_stops = 5 }).body
    assert.same({ 5, 1.1, 5 }, { body.top_k, body.repeat_penalty, #body.stop })
    assert.equal(4, #openai.request(ask { sampling = { max_tokens = 3, stop = { "a", "b", "c", "d", "e" } } }).body.stop)
  end)

  it("sends no stop string to a model that thinks: it may think it", function()
    assert.is_nil(openai.request(ask { sampling = { max_tokens = 3, stop = { "a" }, reasoning = "tagged" } }).body.stop)
  end)

  it("puts the variant's system prompt before the dataset's own, as one message", function()
    local sampling = { max_tokens = 3, system_prompt = "Be brief." }
    local function messages(prompt) return openai.request(ask { endpoint = "chat", prompt = prompt, sampling = sampling }).body.messages end
    assert.same({ { role = "system", content = "Be brief." }, { role = "user", content = "Q" } }, messages { text = "Q" })
    local own = { { role = "system", content = "About physics." }, { role = "user", content = "Q" } }
    assert.same({ { role = "system", content = "Be brief.\n\nAbout physics." }, { role = "user", content = "Q" } },
      messages { messages = own })
    assert.equal("About physics.", own[1].content) -- the dataset's prompt is as it was
    assert.is_nil(openai.request(ask { sampling = sampling }).body.messages)
  end)

  it("passes the template's arguments on over chat, and goes on with a message that was begun", function()
    local sampling = { max_tokens = 3, chat_template_kwargs = { enable_thinking = false } }
    local body = openai.request(ask { endpoint = "chat", sampling = sampling }).body
    assert.same({ enable_thinking = false }, body.chat_template_kwargs)
    assert.is_nil(body.continue_final_message)
    assert.is_nil(openai.request(ask { sampling = sampling }).body.chat_template_kwargs)
    assert.is_nil(openai.request(ask { endpoint = "chat", sampling = { max_tokens = 3,
      chat_template_kwargs = {} } }).body.chat_template_kwargs)
    local begun = { messages = { { role = "user", content = "Q" }, { role = "assistant", content = "Answer:" } },
      continue_final_message = true }
    body = openai.request(ask { endpoint = "chat", prompt = begun }).body
    assert.same({ true, false }, { body.continue_final_message, body.add_generation_prompt })
    body = openai.request(ask { endpoint = "chat", prompt = begun }, { continues = "always" }).body
    assert.is_nil(body.continue_final_message) -- a server that does so by itself knows no such field
  end)

  it("names the token limit over chat as the server does, also for a letter", function()
    local options = { max_tokens_field = "max_completion_tokens" }
    local body = openai.request(ask { endpoint = "chat", mode = "letter" }, options).body
    assert.equal(1, body.max_completion_tokens)
    assert.is_nil(body.max_tokens)
    assert.equal(1, openai.request(ask { mode = "letter" }, options).body.max_tokens)
    body = openai.request(ask { endpoint = "chat", server = { max_tokens_field = "max_tokens" } }, options).body
    assert.same({ 16 }, { body.max_tokens, body.max_completion_tokens })
  end)

  it("takes a field away that the configuration sets to null", function()
    local body = openai.request(ask { extra_body = { temperature = json.null, top_k = 9 } }).body
    assert.is_nil(body.temperature)
    assert.equal(9, body.top_k)
  end)

  it("asks for usage in a stream", function()
    local request = openai.request(ask { stream = true })
    assert.is_true(request.sse)
    assert.same({ include_usage = true }, request.body.stream_options)
  end)

  it("sends at most four stops and leaves the caller's list alone", function()
    local sampling = { stop = { "a", "b", "c", "d", "e" }, max_tokens = 4 }
    assert.same({ "a", "b", "c", "d" }, openai.request(ask { sampling = sampling }).body.stop)
    assert.equal(5, #sampling.stop)
    assert.equal('["a"]', json.encode(openai.request(ask { sampling = { stop = { "a" } } }).body.stop))
    assert.is_nil(openai.request(ask { sampling = { stop = {} } }).body.stop)
  end)

  it("asks for the log-probabilities of a choice by echo", function()
    local body = openai.request(ask { mode = "loglikelihood", continuation = " A" }).body
    assert.equal("Q: A", body.prompt)
    assert.same({ true, 1, 1, 0 }, { body.echo, body.logprobs, body.max_tokens, body.temperature })
  end)

  it("asks for the log-probabilities of letters on both endpoints", function()
    local body = openai.request(ask { mode = "letter" }).body
    assert.same({ 20, 1 }, { body.logprobs, body.max_tokens })
    body = openai.request(ask { mode = "letter", endpoint = "chat" }).body
    assert.same({ true, 20, 1 }, { body.logprobs, body.top_logprobs, body.max_tokens })
  end)

  it("lets extra_body have the last word", function()
    local request = openai.request(ask { stream = true, extra_body = { stream = false, min_p = 0.1 } })
    assert.is_false(request.sse)
    assert.equal(0.1, request.body.min_p)
  end)
end)

describe("openai errors", function()
  for body, want in pairs {
    ['{"error":{"message":"no such model","type":"NotFoundError","code":404}}'] = { "no such model", 404 },
    ['{"error":"Unauthorized"}'] = { "Unauthorized" },
    ['{"object":"error","message":"too long","code":400}'] = { "too long", 400 },
    ['{"error":{"message":"m","code":"invalid_api_key"}}'] = { "m", 0 },
    ['{"error":{"message":"m","code":null}}'] = { "m", 0 },
    ['{"error":{"detail":1}}'] = { '{"detail":1}', 0 },
  } do
    it("finds the sentence in " .. body, function() assert.same(want, { openai.error_of((json.decode(body))) }) end)
  end

  it("finds none where there is none", function()
    for _, body in ipairs { '{"error":null,"choices":[]}', "{}", "[]", "3", "null", '"error"' } do
      assert.is_nil((openai.error_of((json.decode(body)))), body)
    end
    assert.is_nil(openai.error_of(nil))
  end)

  it("tells too long prompts from other refusals", function()
    for _, message in ipairs {
      "You passed 9000 input tokens and requested 16 output tokens. However, the model's context length is only 8192 tokens, "
        .. "resulting in a maximum input length of 8176 tokens. Please reduce the length of the input prompt.",
      "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
      "the request exceeds the available context size, try increasing it",
      "request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it",
      '{"code":400,"type":"exceed_context_size_error","n_prompt_tokens":9000}',
      "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
    } do
      assert.is_true(openai.is_too_long(message), message)
    end
    for _, message in ipairs { "temperature must be at most 2", "Unauthorized", "",
      "Requested sample logprobs of 21, which is greater than max allowed: 20" } do
      assert.is_false(openai.is_too_long(message), message)
    end
  end)
end)

describe("openai whole reply", function()
  it("reads text, finish, usage and time", function()
    local response = openai.read(reply_of {
      model = "m", system_fingerprint = "fp", choices = json.array { { text = " 4", finish_reason = "stop" } },
      usage = { prompt_tokens = 5, completion_tokens = 2 } }, whole)
    assert.same({ " 4", "stop", "m", "fp" }, { response.text, response.finish, response.model, response.fingerprint })
    assert.same({ prompt_tokens = 5, completion_tokens = 2, source = "usage" }, response.usage)
    assert.equal(8000, response.timing.total_ns)
    assert.is_nil(response.timing.ttft_ns)
  end)

  it("takes null content as empty text and keeps the reasoning by either name", function()
    for _, name in ipairs { "reasoning", "reasoning_content" } do
      local response = openai.read(reply_of { choices = json.array {
        { message = { role = "assistant", content = json.null, [name] = "hm" }, finish_reason = "length" } } }, whole)
      assert.equal("", response.text)
      assert.equal("hm", response.reasoning)
    end
  end)

  it("says that usage is unknown rather than none", function()
    for _, usage in ipairs { json.null, { x = 1 }, 7 } do
      local response = openai.read(reply_of { choices = json.array { { text = "x" } }, usage = usage }, whole)
      assert.same({}, response.usage)
    end
  end)

  for what, body in pairs {
    ["garbage"] = "<html>502</html>", ["nothing"] = "", ["half of it"] = '{"choices":[{"text":"x', ["an array"] = "[]", ["null"] = "null",
    ["choices empty"] = '{"choices":[]}', ["choices null"] = '{"choices":null}', ["choices of numbers"] = '{"choices":[1]}',
    ["a choice without text"] = '{"choices":[{"finish_reason":"stop"}]}', ["text that is a number"] = '{"choices":[{"text":1}]}',
  } do
    it("refuses " .. what, function()
      local response, err = openai.read(reply_of(body), whole)
      assert.is_nil(response)
      assert.equal("protocol", err.kind)
    end)
  end

  it("takes an error inside a 200 for an error, with the code it gives", function()
    local _, err = openai.read(reply_of '{"error":{"message":"queue is full","code":503}}', whole)
    assert.same({ "http", 503, "the server says: queue is full" }, { err.kind, err.status, err.text })
    _, err = openai.read(reply_of '{"error":"broken"}', whole)
    assert.same({ "http", 500 }, { err.kind, err.status })
  end)

  it("keeps going through invalid UTF-8", function()
    local response = openai.read(reply_of '{"choices":[{"text":"a\xFFb","finish_reason":"stop"}]}', whole)
    assert.equal("a\xFFb", response.text)
  end)

  it("turns chat log-probabilities into the legacy lists", function()
    local response = openai.read(reply_of { choices = json.array { { message = { content = "A" }, logprobs = { content = json.array {
      { token = "A", logprob = -0.5, top_logprobs = json.array { { token = "A", logprob = -0.5 }, { token = "B", logprob = -1 },
        { token = "A", logprob = -7 } } } } } } } }, whole)
    assert.same({ "A" }, response.logprobs.tokens)
    assert.same({ -0.5 }, response.logprobs.token_logprobs)
    assert.same({ { A = -0.5, B = -1 } }, response.logprobs.top)
  end)

  it("survives log-probabilities that are garbage", function()
    for _, content in ipairs { "[null]", "[1]", '[{"token":null,"logprob":null,"top_logprobs":[null,{"logprob":-1},{"token":"A"}]}]' } do
      local response = openai.read(reply_of('{"choices":[{"message":{"content":"A"},"logprobs":{"content":' .. content .. "}}]}"), whole)
      assert.same({ {} }, response.logprobs.top)
    end
  end)
end)

describe("openai stream", function()
  it("adds up content and times the first and each later event", function()
    local response = openai.read(stream_of(chat { role = "assistant", content = "" }, chat { content = "4" }, chat { content = "2" },
      finish(), { choices = json.array {}, usage = { prompt_tokens = 3, completion_tokens = 2 } }, "[DONE]"), streamed)
    assert.equal("42", response.text)
    assert.equal("stop", response.finish)
    assert.equal(3000, response.timing.ttft_ns) -- of "4", not of the role
    assert.equal(4000, response.timing.last_token_ns)
    assert.same({ 1000 }, response.timing.gaps_ns)
    assert.equal(7000, response.timing.total_ns)
    assert.same({ prompt_tokens = 3, completion_tokens = 2, source = "usage" }, response.usage)
  end)

  it("takes reasoning by either name for a first token", function()
    for _, name in ipairs { "reasoning", "reasoning_content" } do
      local response = openai.read(stream_of(chat { role = "assistant", content = json.null }, chat { [name] = "hm" },
        chat { content = "4" }, finish(), "[DONE]"), streamed)
      assert.same({ "4", "hm", 3000 }, { response.text, response.reasoning, response.timing.ttft_ns })
    end
  end)

  it("counts events only where usage is absent, and says so", function()
    local response = openai.read(stream_of(chat { content = "a b c" }, chat { content = "d" }, finish(), "[DONE]"), streamed)
    assert.same({ completion_tokens = 2, source = "events" }, response.usage)
    response = openai.read(stream_of(chat({ content = "a b c" }, { usage = json.null }), finish(),
      { choices = json.array {}, usage = { prompt_tokens = 1, completion_tokens = 3 } }, "[DONE]"), streamed)
    assert.same({ prompt_tokens = 1, completion_tokens = 3, source = "usage" }, response.usage)
  end)

  it("takes the last of continuous usage", function()
    local function usage(n) return { usage = { prompt_tokens = 9, completion_tokens = n } } end
    local response = openai.read(stream_of(chat({ content = "a" }, usage(1)), chat({ content = "b c" }, usage(3)), finish(), "[DONE]"),
      streamed)
    assert.equal(3, response.usage.completion_tokens)
  end)

  it("reads text completions", function()
    local response = openai.read(stream_of('{"choices":[{"text":" 4","finish_reason":null}]}',
      '{"choices":[{"text":"","finish_reason":"length"}]}', "[DONE]"), streamed)
    assert.same({ " 4", "length", 2000 }, { response.text, response.finish, response.timing.ttft_ns })
  end)

  it("accepts an end without [DONE] after a finish_reason, and not without both", function()
    assert.equal("a", openai.read(stream_of(chat { content = "a" }, finish()), streamed).text)
    local response, err = openai.read(stream_of(chat { content = "a" }), streamed)
    assert.is_nil(response)
    assert.same({ "protocol", "the stream ended without finish_reason and [DONE]" }, { err.kind, err.text })
  end)

  it("fails at an error event, also before [DONE]", function()
    local _, err = openai.read(stream_of(chat { content = "a" }, '{"error":{"message":"engine died","code":500}}', "[DONE]"), streamed)
    assert.same({ "http", 500, "the server says: engine died" }, { err.kind, err.status, err.text })
  end)

  it("fails at events that are no objects", function()
    for _, data in ipairs { "garbage", "", '{"choices":[', "3", '"x"' } do
      local _, err = openai.read(stream_of(chat { content = "a" }, data, finish(), "[DONE]"), streamed)
      assert.equal("protocol", err and err.kind, data)
    end
  end)

  it("has no first token where nothing was said", function()
    local response = openai.read(stream_of(chat { role = "assistant", content = "" }, finish "length", "[DONE]"), streamed)
    assert.equal("", response.text)
    assert.is_nil(response.timing.ttft_ns)
    assert.same({}, response.timing.gaps_ns)
  end)

  it("reads a reply that is whole although a stream was asked for", function()
    local reply = reply_of { choices = json.array { { text = "x", finish_reason = "stop" } } }
    reply.events = {}
    assert.equal("x", openai.read(reply, streamed).text)
  end)
end)

describe("what gateways and servers put into a reply of status 200", function()
  local function failed(reply, request)
    local response, err = openai.read(reply, request or whole)
    assert.is_nil(response)
    return err
  end

  it("is an error in whatever place it stands", function()
    for _, case in ipairs {
      { { error = "Unauthorized" }, "Unauthorized" },
      { { error = { message = "overloaded", code = 503 } }, "overloaded", 503 },
      { { error = { message = "filtered", code = "content_filter" } }, "filtered" },
      { { object = "error", message = "no", code = 400 }, "no", 400 },
      { { detail = "Not Found" }, "Not Found" },
      { { statusCode = 404, message = "Resource not found" }, "Resource not found", 404 },
      { { choices = json.array {}, prompt_filter_results = json.array {} }, "filtered", 400 },
      { { choices = json.array { { index = 0, error = { message = "upstream", code = 502 }, message = { content = "" } } } },
        "upstream", 502 },
      { { choices = json.array { { index = 0, finish_reason = "error", text = "so f" } } }, "finish_reason 'error'", 500 },
    } do
      local err = failed(reply_of(case[1]))
      assert.equal("http", err.kind, case[2])
      assert.is_truthy(err.text:find(case[2], 1, true), err.text)
      if case[3] then assert.equal(case[3], err.status) end
    end
  end)

  it("is an error in the middle of a stream, also inside a choice", function()
    local reply = stream_of(chat { content = "so" }, { choices = json.array { { index = 0, delta = {}, finish_reason = "error",
      error = { message = "gone", code = 502 } } } }, "[DONE]")
    assert.same({ "http", 502 }, { failed(reply, streamed).kind, failed(reply, streamed).status })
    assert.equal("http", failed(stream_of(chat { content = "so" }, finish "abort", "[DONE]"), streamed).kind)
  end)

  it("names the provider and the model that answered", function()
    local choice = { index = 0, finish_reason = "stop", message = { content = "4" } }
    local response = assert(openai.read(reply_of { model = "m2", provider = "P", choices = json.array { choice } }, whole))
    assert.same({ "m2", "P" }, { response.model, response.provider })
    response = assert(openai.read(stream_of(chat({ content = "4" }, { model = "m2", provider = "P" }), finish(), "[DONE]"), streamed))
    assert.same({ "m2", "P" }, { response.model, response.provider })
  end)
end)
