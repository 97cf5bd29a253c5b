-- SPDX-License-Identifier: Apache-2.0
local choices = require "qlua.choices"
local json = require "qlua.core.json"

-- An echoed prompt: pieces with their log-probabilities, offsets in code points as the servers give them.
local function echoed(pieces, fields)
  local logprobs = { tokens = {}, token_logprobs = {}, text_offset = {}, top = {} }
  local at = 0
  for i, piece in ipairs(pieces) do
    logprobs.tokens[i], logprobs.token_logprobs[i], logprobs.text_offset[i] = piece[1], piece[2], at
    logprobs.top[i] = piece[3] or (type(piece[2]) == "number" and { [piece[1]] = piece[2] } or json.null)
    at = at + utf8.len(piece[1])
  end
  local response = { logprobs = logprobs, usage = { prompt_tokens = #pieces } }
  for key, value in pairs(fields or {}) do response[key] = value end
  return response
end

local plain = { { "Answer", json.null }, { ":", -2.5 }, { " the", -1.0 }, { " cat", -0.5 } }

describe("choices.sum", function()
  it("adds up the tokens of the choice alone", function()
    assert.same({ sum = -1.5, tokens = 2, greedy = true }, choices.sum(echoed(plain), "Answer:", " the cat"))
    assert.same({ sum = -0.5, tokens = 1, greedy = true }, choices.sum(echoed(plain), "Answer: the", " cat"))
  end)

  it("does not count the token that max_tokens 1 generates", function()
    local response = echoed { plain[1], plain[2], plain[3], plain[4], { " sat", -9 } }
    for _, prompt_tokens in ipairs { 4, false } do -- with usage, and by the offsets alone
      response.usage.prompt_tokens = prompt_tokens or nil
      assert.equal(-1.5, choices.sum(response, "Answer:", " the cat").sum)
    end
  end)

  it("counts text_offset in code points", function()
    local response = echoed { { "答案", json.null }, { "：", -2 }, { "“é", -1 }, { "🙂", -0.25 } }
    assert.same({ sum = -1.25, tokens = 2, greedy = true }, choices.sum(response, "答案：", "“é🙂"))
  end)

  it("says whether each token was the likeliest", function()
    local response = echoed { plain[1], plain[2], { " the", -1, { [" the"] = -1, [" a"] = -0.3 } }, plain[4] }
    assert.is_false(choices.sum(response, "Answer:", " the cat").greedy)
    assert.is_true(choices.sum(response, "Answer: the", " cat").greedy)
  end)

  it("accepts what is -9999 for minus infinity", function()
    assert.equal(-9999, choices.sum(echoed { plain[1], plain[2], { " A", -9999.0 } }, "Answer:", " A").sum)
  end)

  local function refused(response, pattern, context, continuation)
    local result, err = choices.sum(response, context or "Answer:", continuation or " the cat")
    assert.is_nil(result)
    assert.equal("protocol", err.kind)
    assert.matches(pattern, err.text)
  end

  it("refuses a server that ignores echo", function()
    refused({ usage = { prompt_tokens = 4 } }, "does the server support echo")
    refused({ usage = {}, logprobs = { tokens = { "x" } } }, "does the server support echo")
    -- the shape of chat on the completions endpoint: one generated token, no offsets
    refused({ usage = { prompt_tokens = 4 }, logprobs = { tokens = { " B" }, token_logprobs = { -8.5 }, top = { {} } } },
      "echo gave 1 entries for 4 prompt tokens")
    refused({ usage = {}, logprobs = { tokens = { " B" }, token_logprobs = { -8.5 }, top = { {} } } }, "no text_offset")
  end)

  it("refuses fewer entries than the prompt has tokens", function()
    refused(echoed(plain, { usage = { prompt_tokens = 5 } }), "echo gave 4 entries for 5 prompt tokens")
  end)

  it("refuses lists of different lengths", function()
    local response = echoed(plain)
    table.remove(response.logprobs.tokens)
    refused(response, "3 tokens but 4 log%-probabilities")
  end)

  it("refuses offsets that say nothing", function()
    local response = echoed(plain)
    response.logprobs.text_offset = { -1, -1, -1, -1 }
    refused(response, "no token of the choice")
    response.logprobs.text_offset = { 0, 6, json.null, 11 }
    refused(response, "token 3 has no text_offset")
  end)

  it("refuses constant values", function()
    for _, value in ipairs { 0.0, -1.5 } do
      refused(echoed { { "Answer", json.null }, { ":", value }, { " the", value }, { " cat", value }, { " sat", value } },
        "all 5 prompt tokens have the same log%-probability", "Answer:", " the cat sat")
    end
  end)

  it("refuses a boundary inside a token", function()
    refused(echoed { { "Answer", json.null }, { ":A", -1 }, { "bc", -2 } }, "spans the boundary", "Answer:", "Abc")
    refused(echoed { { "Answer", json.null }, { ":A", -1 } }, "no token of the choice", "Answer:", "A")
  end)

  it("refuses a null, a NaN and a positive value in the choice", function()
    for _, value in ipairs { json.null, 0 / 0, 0.5, "x" } do
      refused(echoed { plain[1], plain[2], { " the", value }, plain[4] }, "token 3 has no log%-probability")
    end
  end)

  it("does not mind a null in the context", function()
    local response = echoed { plain[1], { ":", json.null }, plain[3], plain[4] }
    assert.equal(-1.5, choices.sum(response, "Answer:", " the cat").sum)
  end)

  it("refuses tokens that do not spell the choice: a server put one in front", function()
    -- by the offsets alone "def" would be taken for "XYZ"
    local response = echoed { { "<s>", json.null }, { "abc", -3 }, { "def", -2.5 }, { "XYZ", -1.0 } }
    refused(response, "are not the choice", "abcdef", "XYZ")
  end)

  it("trusts the offsets where a token is part of a character", function()
    local response = echoed { plain[1], plain[2], { " \u{FFFD}", -1 }, { "x", -2 } }
    assert.equal(-3, choices.sum(response, "Answer:", " 🙂x").sum)
  end)
end)

describe("choices.labels", function()
  local function candidates(top) return { logprobs = { top = { top } } } end

  it("gives each label its own", function()
    assert.same({ { logprob = -0.1, bounded = false }, { logprob = -3, bounded = false } },
      choices.labels(candidates { [" A"] = -0.1, [" B"] = -3, [" C"] = -9 }, { " A", " B" }))
  end)

  it("bounds a label that is not listed by the least that is", function()
    assert.same({ { logprob = -0.1, bounded = false }, { logprob = -9, bounded = true } },
      choices.labels(candidates { [" A"] = -0.1, ["x"] = -9 }, { " A", " B" }))
  end)

  it("bounds all where none is listed", function()
    local labels = choices.labels(candidates { The = -0.5, x = -4 }, { " A", " B" })
    assert.same({ { logprob = -4, bounded = true }, { logprob = -4, bounded = true } }, labels)
  end)

  it("keeps ' A' and 'A' apart", function()
    local labels = choices.labels(candidates { A = -0.1, [" A"] = -5 }, { "A" })
    assert.equal(-0.1, labels[1].logprob)
  end)

  it("refuses a reply without candidates", function()
    for _, response in ipairs { {}, { logprobs = {} }, { logprobs = { top = {} } }, candidates {}, candidates(json.null),
      candidates { A = json.null } } do
      local labels, err = choices.labels(response, { " A" })
      assert.is_nil(labels)
      assert.equal("protocol", err.kind)
    end
  end)
end)

describe("choices.candidates", function()
  local function of(top) return choices.candidates { logprobs = { top = { top } } } end

  it("keeps the twenty likeliest, with the digits of a 32-bit number", function()
    local top = {}
    for i = 1, 25 do top[("t%02d"):format(i)] = -i - 0.123456789 end
    local kept, count = of(top), 0
    for _ in pairs(kept) do count = count + 1 end
    assert.same({ 20, -1.123457, -20.12346 }, { count, kept.t01, kept.t20 })
    assert.is_nil(kept.t21)
  end)

  it("of equally likely ones keeps the first in byte order", function()
    local top = {}
    for i = 1, 21 do top[("t%02d"):format(i)] = -4 end
    local kept = of(top)
    assert.equal(-4, kept.t20)
    assert.is_nil(kept.t21)
  end)

  it("leaves parts of characters and what is no number to the rest", function()
    assert.same({ A = -0.1 }, of { A = -0.1, ["\u{FFFD}"] = -3, B = json.null, C = -math.huge })
  end)

  it("has none where nothing can be compared", function()
    for _, top in ipairs { {}, json.null, { A = json.null }, { ["\u{FFFD}"] = -0.1, A = -3 }, { A = 0.5 }, { A = -0.1, B = -0.1 },
      { A = 0 / 0 } } do
      assert.is_nil(of(top))
    end
    assert.is_nil(choices.candidates {})
  end)
end)
