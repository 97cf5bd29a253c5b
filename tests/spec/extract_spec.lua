-- SPDX-License-Identifier: Apache-2.0
--- q.extract: traps of real replies for numbers and letters, spans, broken and huge input.
local q = require "qlua"

local function number(response)
  local answer, reason = q.extract.final_number(response)
  return answer and answer.value or reason
end

local function letter(response, labels)
  local answer, reason = q.extract.letter(response, labels)
  return answer and answer.value or reason
end

local NUMBERS = {
  -- authority
  { "We get 12.\n#### 18\n\nThe answer is 20.", "18" }, { "\\boxed{12} is the first part. So \\boxed{18}.", "18" },
  { "A: 18", "18" }, { "**Answer:** 18 eggs", "18" }, { "Final Answer:\n\n18", "18" }, { "### Final Answer\n**18**",
    "18" },
  { "The answer is 2 * 9 = 18.", "18" }, { "The answer is not 5. The answer is 18.", "18" }, { "#### 2 * 9 = 18",
    "18" },
  { "The final answer is: $\\boxed{18}$", "18" }, { "Step 1: 5\n**Total: 18 dollars**", "18" },
  { "Answer: 18\n\nExplanation: 16 - 3 - 4 = 9 and 9 * 2 = 18", "18" },
  { "#### 1. First part\nfoo\n#### 2. Second part\nso she has 18 eggs", "18" },
  { "She makes 9 * 2 = $18 every day at the market.", "18" }, { "5 + 13 = 18 dollars in 3 days", "18" },
  -- contradictions
  { "#### 18\n#### 20", "ambiguous" }, { "#### 18\nWait, that is a mistake.\n#### 20", "20" },
  { "\\boxed{18}\n#### 20", "ambiguous" }, { "either \\boxed{18} or \\boxed{20}", "ambiguous" }, { "\\boxed{18, 20}",
    "ambiguous" },
  { "The price is 18,00", "ambiguous" }, { "The price is 18,00 €", "18" },
  -- spellings
  { "\\boxed{\\frac{1}{2}}", "0.5" }, { "\\boxed{\\dfrac{3}{4}}", "0.75" }, { "\\boxed{-\\frac{1}{2}}", "-0.5" },
  { "\\boxed{3\\frac{1}{2}}", "3.5" }, { "\\boxed{18\\text{ dollars}}", "18" }, { "\\boxed{\\$18}", "18" },
    { "\\boxed{60\\%}", "60" },
  { "\\boxed{x = 18}", "18" }, { "\\boxed{1\\,000\\,000}", "1000000" }, { "The total is 1\u{202F}234\u{2009}567.",
    "1234567" },
  { "答案：１，０２４", "1024" }, { "故答案为18", "18" }, { "【答案】18", "18" }, { "答：小明一共有18个苹果。", "18" },
  { "所以一共有 5+13=18（个）苹果。", "18" }, { "It is ½.", "0.5" }, { "The temperature is –5 degrees", "-5" },
  -- what is no answer
  { "\\boxed{3\\sqrt{2}}", "no_answer" }, { "\\boxed{x^2}", "no_answer" }, { "no idea", "no_answer" },
  { "The area is 18 m² in total", "18" }, { "COVID-19 is a disease.", "no_answer" }, { "At 10:30 he left.",
    "no_answer" },
  { "She has 18 eggs (that is step 3 of 4).", "18" }, { "1. Count eggs\n2. She has 18 eggs\n3. Done", "18" },
  { "She has 18.\nP.S. I used 3 steps", "18" }, { "```python\nx = 3\n```", "no_answer" }, { "```output\n18\n```",
    "18" },
  -- run-on
  { "The answer is 18.\n\nQuestion: Tom has 5 cats\nAnswer: 5", "18" }, { "18<|im_end|>\n7", "18" },
  { "Question: how many?\nThe answer is 18.", "18" }, { "A: 18\nQ: Tom has 5\nA: 5", "18" },
  -- reasoning and refusal
  { "<think>5</think>The answer is 18", "18" }, { "5 or 6</think>\n18", "18" }, { "<think>5", "truncated_reasoning" },
  { "<think>5</think>  ", "empty" }, { "I'm sorry, but I can't answer 3 questions.", "refused" },
  { "抱歉，我无法回答这2个问题。", "refused" }, { "As an AI language model, I have 2 views.", "refused" },
  { "I'm sorry for the mistake. The answer is 18.", "18" },
}

describe("final_number", function()
  for _, case in ipairs(NUMBERS) do
    it(("%s → %s"):format(case[1]:gsub("\n", "⏎"), case[2]), function() assert.are.equal(case[2], number(case[1])) end)
  end

  it("knows a reply that was cut", function()
    assert.are.equal("truncated", number { text = "She has 16 - 3", finish = "length" })
    assert.are.equal("truncated", number { text = "The answer is 1", finish = "length" })
    assert.are.equal("18", number { text = "#### 18\n\nQuestion: Tom", finish = "length" })
    assert.are.equal("truncated", number { text = " ", finish = "length" })
    assert.are.equal("truncated_reasoning", number { text = "", reasoning = "let me", finish = "length" })
    assert.are.equal("18", number { text = "<think> is a tag. #### 18", reasoning = "thoughts", finish = "stop" })
  end)

  it("gives the bytes the number came from", function()
    for _, case in ipairs { { "x</think>答案是１８。", "１８" }, { "\\boxed{1{,}000}", "1{,}000" }, { "It is −5.", "−5" },
                            { "so \\boxed{\\frac{1}{2}}", "\\frac{1}{2}" } } do
      local answer = assert(q.extract.final_number(case[1]))
      assert.are.equal(case[2], case[1]:sub(answer.span.from, answer.span.to))
    end
  end)
end)

local LETTERS = {
  { "B", "B" }, { "(B)", "B" }, { "**B**", "B" }, { "B. Paris", "B" }, { "A)36", "A" }, { "b", "B" },
    { "The answer is (B).", "B" },
  { "the answer is b.", "B" }, { "The answer is a dog.", "no_answer" }, { "The answer is A dog, surely", "no_answer" },
  { "The answer is A because dogs bark", "A" }, { "I think A is plausible but so is life", "no_answer" },
  { "A dog barks. I think so.", "no_answer" }, { "答案：Ｂ", "B" }, { "答案是（Ｂ）。", "B" }, { "故选C。", "C" }, { "选A", "A" },
  { "选择A类材料更好", "no_answer" }, { "【答案】D<eoa>", "D" }, { "【答案】B，C", "ambiguous" }, { "\\boxed{\\text{D}}", "D" },
  { "$\\boxed{\\textbf{(D)}}$", "D" }, { "The answer is A or B.", "ambiguous" }, { "Answer: AB", "ambiguous" },
  { "ANSWER: C", "C" }, { "**Answer: C**", "C" }, { "Options:\nA. x\nB. y\nC. z\nD. w", "no_answer" },
  { "Options:\nA. x\nB. y\nC. z\nD. w\nThe best answer is D.", "D" }, { "Some reasoning.\n\nB", "B" },
  { "Some reasoning.\n**B) yes**", "B" }, { "I'm sorry, but I cannot determine the answer.", "refused" },
  { "Either (A) or (B).", "ambiguous" }, { "The answer is not A. The answer is B.", "B" },
  { "The answer is (A).\n\nNow all together: the answer is (B).", "ambiguous" },
  { "The answer is (A). Wait, I made a mistake. The answer is (B).", "B" },
  { "Perhaps the answer is A. Checking again. Therefore, the answer is B.", "B" },
  { "Option (C) is the most accurate answer.", "C" }, { "Option (C) is not the correct answer.", "no_answer" },
  { "It rises with heat. (D)", "D" }, { "The correct answer is (D) None of the above.", "D" },
  { "None of the options is right. Answer: (E) None of the above.", "no_answer" }, { "By symmetry P(D) is small.",
    "no_answer" },
  { "<think>A", "truncated_reasoning" }, { "<think>A</think>B", "B" }, { " ", "empty" },
}

describe("letter", function()
  for _, case in ipairs(LETTERS) do
    it(("%s → %s"):format(case[1]:gsub("\n", "⏎"), case[2]), function() assert.are.equal(case[2], letter(case[1])) end)
  end

  it("knows the labels it is given", function()
    assert.are.equal("J", letter("The answer is (J).", { "A", "J" }))
    assert.are.equal("no_answer", letter("The answer is (J)."))
    assert.are.equal("no_answer", letter("The answer is I think so", { "A", "I" }))
    assert.are.equal("truncated", letter { text = "Let us see. Option", finish = "length" })
  end)

  it("gives the bytes the letter came from", function()
    local text = "想一想</think>答案是（Ｂ）。"
    local answer = assert(q.extract.letter(text))
    assert.are.equal("Ｂ", text:sub(answer.span.from, answer.span.to))
  end)
end)

describe("boxed, after and regex", function()
  it("count braces and trim", function()
    local answer = q.extract.boxed "a \\boxed{1} b \\boxed{ \\frac{1}{2} }"
    assert.are.equal("\\frac{1}{2}", answer.value)
    assert.are.same({ nil, "no_answer" }, { q.extract.boxed "\\boxed{1" })
    assert.are.equal("18 eggs", q.extract.after("x #### 5\n####  18 eggs \nbye", "####").value)
    assert.are.same({ nil, "no_answer" }, { q.extract.after("x", "####") })
    assert.are.equal("2", q.extract.regex("x=1 x=2", "x=(\\d)", { pick = "last" }).value)
    assert.are.equal("b", q.extract.regex("ab", "(x)?(b)").value)
    assert.are.equal("a", q.extract.regex("ab", "(a)(b)", { group = 1 }).value)
  end)
end)

-- 64 KiB of each, and 1 MiB of some; a quadratic step would go far over the limit on instructions.
local HUGE = { "1", "1 ", "a. ", "\n", "1\n", "(", "( a", "**", "#### ", "#### 1 ", "\\boxed{", "\\boxed{1} ",
  "\\frac{", "answer ",
               "The answer is ", "答案是", "1,", "=", "1+", "<think>", "\xFF", "１", "(A) ", "A. ", "the answer is A\n",
                 "\nQuestion:", "- ",
               "``` \n", "<<", "option ", " " }

describe("a long reply", function()
  local guard = require "qlua.core.guard"
  local function reads(piece, bytes)
    it(("of %d times %q is read in linear time and raises nothing"):format(bytes // #piece, piece), function()
      local limits = { memory_bytes = 1 << 30, instructions = 400 * bytes }
      local text = piece:rep(bytes // #piece)
      for _, fn in ipairs { q.extract.final_number, q.extract.letter, q.extract.boxed } do
        local ok, answer, reason = guard.call(limits, fn, text)
        assert.is_true(ok, type(answer) == "table" and answer.text or nil)
        assert.is_true(answer == nil and type(reason) == "string" or type(answer) == "table")
      end
    end)
  end
  for _, piece in ipairs(HUGE) do reads(piece, 1 << 16) end
  reads("#### 1 ", 1 << 20)
  reads("1", 1 << 20)
end)

describe("random bytes", function()
  it("never raise", function()
    local random = q.random(7, "bytes")
    local alphabet = { "\xFF", "\xE4\xB8", "1", ".", ",", "A", "(", ")", "\\boxed{", "}", "####", "answer is", "答案",
      "１", "\n", " ", "-" }
    for _ = 1, 300 do
      local parts = {}
      for index = 1, 40 do parts[index] = alphabet[random:integer(#alphabet)] or "" end
      local text = table.concat(parts)
      for _, fn in ipairs { q.extract.final_number, q.extract.letter } do
        local answer = fn(text)
        if answer then assert.is_true(answer.span.from >= 1 and answer.span.to <= #text) end
      end
    end
  end)
end)
