-- SPDX-License-Identifier: Apache-2.0
--- A server that does something else than it was asked, with status 200, is refused before its first question: the cause and
-- what works instead are named. Where another way of scoring holds, the run goes that way and says so.
local json = require "qlua.core.json"
local support = require "support"

local function meta(dir, key)
  local rows = support.rows(dir, "SELECT value FROM meta WHERE key = ?", key)
  return rows[1] and json.decode(rows[1].value)
end

local function scoring_of(dir, dataset) return support.results(dir).variants.one.datasets[dataset].scoring end

local MODES = { hellaswag = "loglikelihood", mmlu = "letter", gsm8k = "generate" }

local function asked(dataset, quirk, options)
  options = options or {}
  local path = support.config(support.folder(), { sim = quirk and ("quirks: [%s]"):format(quirk), server = options.server,
    benchmark = options.benchmark, variants = options.variants })
  local folder = support.folder()
  local words = { dataset, "--config", path, "--limit", "12" }
  for _, word in ipairs(options.words or {}) do words[#words + 1] = word end
  return support.run(folder, words)
end

-- What each is refused with: the cause, and what the hint offers.
local REFUSED = {
  { "hellaswag", "ignore_echo", "mode loglikelihood cannot be had from this server: echo_text: echo gave 1 entries",
    "what works here: mode letter %(by top_logprobs%)" },
  { "hellaswag", "constant_logprobs", "have the same log%-probability", "what works here: mode generate" },
  { "mmlu", "constant_logprobs", "mode letter cannot be had from this server: top_logprobs: all %d+ candidates",
    "what works here: mode generate" },
  { "hellaswag", "shift_echo, no_text_offset", "", nil, is_fine = true }, -- by token ids it can be scored
  { "hellaswag", "shift_echo", "score %-?%d+%.%d+ as part of a prompt and scored", "mode letter",
    server = "scoring: { loglikelihood: echo_text }" },
  { "hellaswag", "no_text_offset", "echo_text: no token of the choice was echoed", "mode letter",
    server = "scoring: { loglikelihood: echo_text }" },
  { "gsm8k", "other_model", "'simulated[^']*' was asked for and 'somebody%-elses%-model' replied", "is another server listening" },
  { "gsm8k", "truncate", "the server cuts prompts off without a word", "raise the server's context" },
  { "gsm8k", "ignore_choice", "structured_outputs is ignored: asked for one of zq7xv", "remove the field",
    server = "extra_body: { structured_outputs: { choice: [A, B] } }" },
}

describe("a server that", function()
  for _, case in ipairs(REFUSED) do
    local dataset, quirk, cause, hint = table.unpack(case, 1, 4)
    if not case.is_fine then
      it(("is asked %s with quirk %s is refused before its first question"):format(MODES[dataset], quirk), function()
        local result = asked(dataset, quirk, { server = case.server })
        assert.equal(4, result.code)
        assert.matches(cause, result.err)
        assert.matches(hint, result.err)
        assert.equal(0, #support.rows(result.dir, "SELECT sample FROM answer"))
        assert.equal(0, #support.rows(result.dir, "SELECT id FROM request WHERE sample <> ''"))
        local record = meta(result.dir, "qualification").one
        local failed = 0
        for _, step in ipairs(record.steps) do failed = failed + (step.status == "failed" and 1 or 0) end
        assert.is_true(failed > 0)
        support.clean()
      end)
    end
  end

  it("echoes wrongly is scored by token ids, with the same answers, and the report says so", function()
    local right, bent = asked("hellaswag"), asked("hellaswag", "shift_echo, no_text_offset")
    assert.same({ 0, 0 }, { right.code, bent.code })
    assert.same({ { by_echo_text = 12 }, { by_prompt_logprobs = 12 } },
      { scoring_of(right.dir, "hellaswag"), scoring_of(bent.dir, "hellaswag") })
    local values = "SELECT sample, outcome, value FROM answer ORDER BY sample"
    assert.same(support.rows(right.dir, values), support.rows(bent.dir, values))
    assert.matches("prompt_logprobs", support.read(bent.dir .. "/reports/evaluation_report_en.md"))
    support.clean()
  end)

  it("lists two candidates has its cut labels asked for exactly, counted, and the answers are the same", function()
    local right, bent = asked("mmlu"), asked("mmlu", "few_logprobs")
    assert.same({ 0, 0 }, { right.code, bent.code })
    local counts = scoring_of(bent.dir, "mmlu")
    assert.equal(12, counts.bounded)
    assert.equal(12, (counts.by_top_logprobs or 0) + (counts.by_logprob_token_ids or 0))
    local values = "SELECT sample, outcome, value FROM answer ORDER BY sample"
    assert.same(support.rows(right.dir, values), support.rows(bent.dir, values))
    support.clean()
  end)

  it("takes any model's name is asked, and that its name proves nothing is kept", function()
    local result = asked("gsm8k", "any_model")
    assert.equal(0, result.code)
    assert.equal("accepted", meta(result.dir, "qualification").one.unknown_model)
    support.clean()
  end)

  it("does nothing wrong passes all eight steps", function()
    local result = asked("hellaswag", nil, { benchmark = "qualify: full" })
    assert.equal(0, result.code)
    local seen = {}
    for _, step in ipairs(meta(result.dir, "qualification").one.steps) do
      assert.equal("passed", step.status)
      seen[step.step] = true
    end
    assert.same({ tokenizer = true, choices = true, labels = true, constraint = true, model = true, too_long = true, noise = true }, seen)
    support.clean()
  end)

  it("is not probed on demand, and the report says loudly that it was not", function()
    local result = asked("hellaswag", "other_model", { benchmark = "qualify: off" })
    assert.equal(0, result.code)
    assert.equal(1, #support.rows(result.dir, "SELECT id FROM event WHERE kind = 'not_qualified'"))
    assert.matches("not probed", support.read(result.dir .. "/reports/evaluation_report_en.md"))
    support.clean()
  end)

  it("is resumed and judged again by the means it was asked by", function()
    local result = asked("mmlu", "few_logprobs")
    local before = support.rows(result.dir, "SELECT sample, outcome, value FROM answer ORDER BY sample")
    assert.equal(0, support.qlua({ "rescore", result.dir }).code)
    assert.same(before, support.rows(result.dir, "SELECT sample, outcome, value FROM answer ORDER BY sample"))
    support.clean()
  end)
end)
