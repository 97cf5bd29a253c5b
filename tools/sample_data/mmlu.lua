-- SPDX-License-Identifier: Apache-2.0
--- Questions with four choices in the form of MMLU: common knowledge by hand, arithmetic and code computed.
-- A subject is a list of questions { text, right, wrong1, wrong2, wrong3 } or a table of pairs from which wrong choices
-- are drawn among the other answers. Dev and test take different questions.

local subjects = {}

-- Pairs { what, answer } become questions; the wrong choices are other answers of the list.
local function from_pairs(pattern, list)
  return function(r)
    local questions = {}
    for i, pair in ipairs(list) do
      local others = {}
      for _, other in ipairs(list) do
        local is_new = other[2] ~= pair[2]
        for _, seen in ipairs(others) do is_new = is_new and seen ~= other[2] end
        if is_new then others[#others + 1] = other[2] end
      end
      local wrong = r:sample(others, 3)
      questions[i] = { (pair[3] or pattern):format(pair[1]), pair[2], wrong[1], wrong[2], wrong[3] }
    end
    return r:shuffle(questions)
  end
end

subjects.high_school_geography = from_pairs("Which city is the capital of %s?", {
  { "France", "Paris" }, { "Japan", "Tokyo" }, { "Egypt", "Cairo" }, { "Kenya", "Nairobi" }, { "Canada", "Ottawa" },
  { "Peru", "Lima" }, { "Norway", "Oslo" }, { "Portugal", "Lisbon" }, { "Poland", "Warsaw" }, { "Greece", "Athens" },
  { "Hungary", "Budapest" }, { "Austria", "Vienna" }, { "Cuba", "Havana" }, { "Chile", "Santiago" },
  { "Thailand", "Bangkok" }, { "Finland", "Helsinki" }, { "Vietnam", "Hanoi" }, { "Ireland", "Dublin" },
  { "Mongolia", "Ulaanbaatar" }, { "New Zealand", "Wellington" }, { "Argentina", "Buenos Aires" }, { "Morocco", "Rabat" },
})

subjects.high_school_chemistry = from_pairs("What is the chemical symbol of %s?", {
  { "gold", "Au" }, { "silver", "Ag" }, { "iron", "Fe" }, { "lead", "Pb" }, { "tin", "Sn" }, { "sodium", "Na" },
  { "potassium", "K" }, { "mercury", "Hg" }, { "copper", "Cu" }, { "tungsten", "W" }, { "antimony", "Sb" },
  { "helium", "He" }, { "oxygen", "O" }, { "nitrogen", "N" }, { "carbon", "C" }, { "chlorine", "Cl" }, { "calcium", "Ca" },
  { "zinc", "Zn" }, { "magnesium", "Mg" }, { "sulfur", "S" }, { "phosphorus", "P" }, { "manganese", "Mn" },
})

subjects.astronomy = from_pairs("Which planet %s?", {
  { "is closest to the Sun", "Mercury" }, { "is the largest of the solar system", "Jupiter" },
  { "is called the red planet", "Mars" }, { "has the hottest surface, because of its dense atmosphere", "Venus" },
  { "rolls around the Sun with its axis tipped by about 98 degrees", "Uranus" }, { "is farthest from the Sun", "Neptune" },
  { "has the Great Red Spot", "Jupiter" }, { "has the moons Phobos and Deimos", "Mars" }, { "has the moon Titan", "Saturn" },
  { "has the moon Triton", "Neptune" }, { "has the moons Io and Europa", "Jupiter" },
  { "has Olympus Mons, the highest volcano known in the solar system", "Mars" },
  { "takes longer to turn once on its axis than to go once around the Sun", "Venus" },
  { "has oceans of liquid water on its surface", "Earth" }, { "has the smallest diameter", "Mercury" },
  { "was discovered by William Herschel in 1781", "Uranus" },
  { "was found in 1846 where calculations had placed it", "Neptune" }, { "has the moon Ganymede", "Jupiter" },
  { "has the moon Enceladus", "Saturn" }, { "has the moons Titania and Oberon", "Uranus" },
  { "has a mean density lower than that of water", "Saturn" }, { "has exactly one natural moon", "Earth" },
})

subjects.philosophy = from_pairs('Who wrote "%s"?', {
  { "The Republic", "Plato" }, { "Nicomachean Ethics", "Aristotle" }, { "Critique of Pure Reason", "Immanuel Kant" },
  { "Leviathan", "Thomas Hobbes" }, { "Meditations on First Philosophy", "René Descartes" },
  { "A Treatise of Human Nature", "David Hume" }, { "On Liberty", "John Stuart Mill" },
  { "Being and Time", "Martin Heidegger" }, { "Being and Nothingness", "Jean-Paul Sartre" },
  { "The Second Sex", "Simone de Beauvoir" }, { "Thus Spoke Zarathustra", "Friedrich Nietzsche" },
  { "Tractatus Logico-Philosophicus", "Ludwig Wittgenstein" }, { "The Social Contract", "Jean-Jacques Rousseau" },
  { "Ethics, Demonstrated in Geometrical Order", "Baruch Spinoza" }, { "Monadology", "Gottfried Wilhelm Leibniz" },
  { "An Essay Concerning Human Understanding", "John Locke" }, { "A Theory of Justice", "John Rawls" },
  { "Phenomenology of Spirit", "Georg Wilhelm Friedrich Hegel" },
  { "The World as Will and Representation", "Arthur Schopenhauer" }, { "Fear and Trembling", "Søren Kierkegaard" },
  { "The Human Condition", "Hannah Arendt" }, { "Candide", "Voltaire" },
})

subjects.nutrition = from_pairs("%s", {
  { "A lack of which nutrient causes scurvy?", "Vitamin C" }, { "A lack of which nutrient causes beriberi?", "Vitamin B1" },
  { "A lack of which nutrient causes pellagra?", "Vitamin B3" }, { "A lack of which nutrient causes rickets?", "Vitamin D" },
  { "A lack of which nutrient first shows itself as night blindness?", "Vitamin A" },
  { "A lack of which mineral makes the thyroid swell to a goitre?", "Iodine" },
  { "A lack of which mineral is the most common cause of anaemia?", "Iron" },
  { "Which vitamin does the liver need to make clotting factors?", "Vitamin K" },
  { "Which vitamin is hardly found in foods from plants?", "Vitamin B12" },
  { "Which vitamin is advised in early pregnancy against neural tube defects?", "Folate" },
  { "Which mineral makes up most of the mineral mass of bones, together with phosphate?", "Calcium" },
  { "Which vitamin is made in the skin under sunlight?", "Vitamin D" },
  { "Which mineral is the haem of red blood cells built around?", "Iron" },
  { "Which mineral, added to table salt in many countries, protects the thyroid?", "Iodine" },
  { "Which vitamin is also called ascorbic acid?", "Vitamin C" }, { "Which vitamin is also called cobalamin?", "Vitamin B12" },
  { "Which vitamin is also called thiamine?", "Vitamin B1" }, { "Which vitamin is also called niacin?", "Vitamin B3" },
  { "Which vitamin does the body make from beta-carotene?", "Vitamin A" },
  { "Which mineral do dairy products supply in the largest amount?", "Calcium" },
  { "Which vitamin does the drug warfarin work against?", "Vitamin K" },
})

subjects.logical_fallacies = from_pairs("%s\nWhich fallacy is this?", {
  { "\"You cannot trust her view on taxes; she was rude to a waiter.\"", "Ad hominem" },
  { "\"He says we should eat less meat. So he wants to forbid all farming!\"", "Straw man" },
  { "\"Either you buy this car or you do not care about your family.\"", "False dilemma" },
  { "\"If we allow one late homework, soon nobody will come to school at all.\"", "Slippery slope" },
  { "\"The book is true because it says so itself.\"", "Circular reasoning" },
  { "\"A famous singer says this diet works, so it must.\"", "Appeal to authority" },
  { "\"I met two people from that town and both were late. They are all unpunctual there.\"", "Hasty generalization" },
  { "\"I wore my lucky socks and then we won. The socks made us win.\"", "Post hoc" },
  { "\"Why worry about my speeding when there are burglars about?\"", "Red herring" },
  { "\"Nobody has proved that ghosts do not exist, so they do.\"", "Appeal to ignorance" },
  { "\"Millions use this cream, so it must be good.\"", "Bandwagon" },
  { "\"A feather is light. What is light cannot be dark. So a feather cannot be dark.\"", "Equivocation" },
  { "\"His argument about the budget is worthless, for he has been divorced twice.\"", "Ad hominem" },
  { "\"She wants a smaller army. In other words, she would leave us with no defence whatever.\"", "Straw man" },
  { "\"You are with us or you are against us.\"", "False dilemma" },
  { "\"Give them an inch on noise and by next year there will be concerts every night.\"", "Slippery slope" },
  { "\"I am right because I am never wrong.\"", "Circular reasoning" },
  { "\"My dentist says the bridge is safe, so there is no need to ask an engineer.\"", "Appeal to authority" },
  { "\"The cock crows and then the sun rises; the cock brings up the sun.\"", "Post hoc" },
  { "\"No one has shown that the tablets are harmful, therefore they are safe.\"", "Appeal to ignorance" },
  { "\"Everyone in class copies the homework, so it cannot be wrong.\"", "Bandwagon" },
})

local function numbers_around(r, right)
  local wrong, seen = {}, { [right] = true }
  while #wrong < 3 do
    local other = right + (r:integer(2) == 1 and 1 or -1) * r:integer(math.max(4, right // 5))
    if other >= 0 and not seen[other] then
      seen[other] = true
      wrong[#wrong + 1] = other
    end
  end
  return wrong
end

-- makers: functions of the generator that return a text and a non-negative integer.
local function from_makers(makers)
  return function(r)
    local questions, seen = {}, {}
    while #questions < 21 do
      local text, right = makers[#questions % #makers + 1](r)
      if not seen[text] then
        seen[text] = true
        local wrong = numbers_around(r, right)
        questions[#questions + 1] = { text, tostring(right), tostring(wrong[1]), tostring(wrong[2]), tostring(wrong[3]) }
      end
    end
    return questions
  end
end

subjects.elementary_mathematics = from_makers {
  function(r)
    local a, b = r:integer(80) + 11, r:integer(8) + 2
    return ("What is %d × %d?"):format(a, b), a * b
  end,
  function(r)
    local a, b = r:integer(400) + 100, r:integer(7) + 3
    return ("What is the remainder when %d is divided by %d?"):format(a, b), a % b
  end,
  function(r)
    local long, wide = r:integer(20) + 10, r:integer(8) + 2
    return ("A rectangle is %d cm long and %d cm wide. What is its area in square centimetres?"):format(long, wide), long * wide
  end,
  function(r)
    local side = r:integer(40) + 3
    return ("What is the perimeter, in metres, of a square whose sides are %d m long?"):format(side), side * 4
  end,
  function(r)
    local a, b, c = r:integer(30), r:integer(30), r:integer(9)
    return ("What is the value of %d + %d × %d?"):format(a, b, c), a + b * c
  end,
  function(r)
    local x, b, c = r:integer(20), r:integer(30), r:integer(7) + 1
    return ("If %d × n + %d = %d, what is n?"):format(c, b, c * x + b), x
  end,
}

subjects.high_school_computer_science = from_makers {
  function(r)
    local value, digits = r:integer(55) + 8, ""
    local rest = value
    repeat
      digits, rest = rest % 2 .. digits, rest // 2
    until rest == 0
    return ("What is the decimal value of the binary number %s?"):format(digits), value
  end,
  function(r)
    local value = r:integer(220) + 30
    return ("What is the decimal value of the hexadecimal number %X?"):format(value), value
  end,
  function(r)
    local first, count = r:integer(9), r:integer(6) + 3
    return ("What does this Python program print?\n\ntotal = 0\nfor i in range(%d, %d):\n    total = total + i\nprint(total)")
      :format(first, first + count), count * first + count * (count - 1) // 2
  end,
  function(r)
    local a, b = r:integer(90) + 10, r:integer(8) + 2
    return ("What does this Python program print?\n\na, b = %d, %d\nprint(a // b + a %% b)"):format(a, b), a // b + a % b
  end,
  function(r)
    local bits = r:integer(7) + 2
    return ("How many different values can %d bits take?"):format(bits), 1 << bits
  end,
  function(r)
    local list, at = {}, r:integer(5) - 1
    for i = 1, 6 do list[i] = r:integer(90) end
    return ("In Python, x = [%s]. What is x[%d]?"):format(table.concat(list, ", "), at), list[at + 1]
  end,
}

local function in_order(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- All subjects, sorted: `{ {name, dev = rows, test = rows}… }`, a row being six cells.
-- @tparam function random `q.random`
-- @param seed of the whole set
return function(random, seed)
  local result = {}
  for _, name in ipairs(in_order(subjects)) do
    local r = random(seed, "mmlu/" .. name)
    local subject = { name = name, dev = {}, test = {} }
    for i, question in ipairs(subjects[name](r)) do
      local choices = r:shuffle { question[2], question[3], question[4], question[5] }
      local letter
      for k, choice in ipairs(choices) do
        letter = choice == question[2] and ("ABCD"):sub(k, k) or letter
      end
      local row = { question[1], choices[1], choices[2], choices[3], choices[4], letter }
      table.insert(i <= 5 and subject.dev or subject.test, row)
    end
    result[#result + 1] = subject
  end
  return result
end
