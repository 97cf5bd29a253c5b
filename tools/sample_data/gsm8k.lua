-- SPDX-License-Identifier: Apache-2.0
--- Word problems in the form of GSM8K: templates with numbers drawn, solutions and golds computed from them.
-- A template gets the generator and returns the question and the lines of the solution; the last computed value is
-- the gold. `calc("3*4", 12)` writes the "<<3*4=12>>12" that upstream's solutions carry.

local people = {
  { "Mia", "she", "her" }, { "Leo", "he", "his" }, { "Hannah", "she", "her" }, { "Omar", "he", "his" },
  { "Priya", "she", "her" }, { "Jonas", "he", "his" }, { "Wei", "he", "his" }, { "Clara", "she", "her" },
  { "Diego", "he", "his" }, { "Aisha", "she", "her" }, { "Tom", "he", "his" }, { "Nora", "she", "her" },
  { "Kenji", "he", "his" }, { "Elena", "she", "her" }, { "Samuel", "he", "his" }, { "Ruth", "she", "her" },
}

local function calc(expression, value)
  return ("<<%s=%d>>%d"):format(expression, value, value)
end

local function one_of(r, list)
  return list[r:integer(#list)]
end

local function between(r, low, high, step)
  step = step or 1
  return low + step * (r:integer((high - low) // step + 1) - 1)
end

local function cap(word)
  return word:sub(1, 1):upper() .. word:sub(2)
end

local function person(r)
  local found = one_of(r, people)
  return found[1], found[2], found[3]
end

local templates = {}

local function template(make)
  templates[#templates + 1] = make
end

template(function(r)
  local who, she = person(r)
  local trays, each, price = between(r, 4, 9), between(r, 12, 24, 2), between(r, 2, 4)
  local sold = between(r, 15, trays * each // 2)
  local total, left = trays * each, trays * each - sold
  return ("%s bakes %d trays of rolls with %d rolls on each tray. In the morning %s gives %d rolls to a school. "
      .. "%s sells all the others for $%d each. How many dollars does %s take in?")
    :format(who, trays, each, she, sold, cap(she), price, she),
    { ("%s bakes %d * %d = %s rolls."):format(who, trays, each, calc(trays .. "*" .. each, total)),
      ("After the school there are %d - %d = %s rolls left."):format(total, sold, calc(total .. "-" .. sold, left)),
      ("They bring %d * %d = $%s."):format(left, price, calc(left .. "*" .. price, left * price)) }, left * price
end)

template(function(r)
  local who, she, her = person(r)
  local weekly, spent, weeks = between(r, 12, 30), between(r, 2, 9), between(r, 6, 14)
  local net = weekly - spent
  local thing, cost = one_of(r, { "a bicycle", "a guitar", "a tent", "a pair of skates", "a camera" }), net * weeks
  return ("%s earns $%d a week by walking dogs and spends $%d of it on snacks. %s saves the rest for %s that costs $%d. "
      .. "How many weeks does it take until %s savings are enough?"):format(who, weekly, spent, cap(she), thing, cost, her),
    { ("Each week %s saves %d - %d = $%s."):format(she, weekly, spent, calc(weekly .. "-" .. spent, net)),
      ("It takes %d / %d = %s weeks."):format(cost, net, calc(cost .. "/" .. net, weeks)) }, weeks
end)

template(function(r)
  local who, she = person(r)
  local daily, days, rest = between(r, 14, 32), between(r, 4, 9), between(r, 3, 6)
  local faster = daily + between(r, 4, 12)
  local pages = daily * days + faster * rest
  return ("A novel has %d pages. %s reads %d pages a day for %d days and then %d pages a day. How many more days does %s "
      .. "need to finish it?"):format(pages, who, daily, days, faster, she),
    { ("In the first days %s reads %d * %d = %s pages."):format(who, daily, days, calc(daily .. "*" .. days, daily * days)),
      ("That leaves %d - %d = %s pages."):format(pages, daily * days, calc(pages .. "-" .. daily * days, faster * rest)),
      ("At the faster pace they take %d / %d = %s days."):format(faster * rest, faster,
        calc(faster * rest .. "/" .. faster, rest)) }, rest
end)

template(function(r)
  local part = one_of(r, { 3, 4, 5 })
  local rows, each = between(r, 6, 12), part * between(r, 3, 6)
  local plant = one_of(r, { "tomato", "pepper", "bean", "strawberry", "cabbage" })
  local all, lost = rows * each, rows * each // part
  return ("A farmer sets out %d rows of %s plants with %d plants in each row. A late frost kills one out of every %d plants. "
      .. "How many plants survive?"):format(rows, plant, each, part),
    { ("The farmer sets out %d * %d = %s plants."):format(rows, each, calc(rows .. "*" .. each, all)),
      ("The frost kills %d / %d = %s of them."):format(all, part, calc(all .. "/" .. part, lost)),
      ("So %d - %d = %s plants survive."):format(all, lost, calc(all .. "-" .. lost, all - lost)) }, all - lost
end)

template(function(r)
  local start, off1, on1, on2 = between(r, 24, 45), between(r, 5, 12), between(r, 3, 15), between(r, 2, 10)
  local after = start - off1 + on1
  local off2 = between(r, 4, 14)
  local gold = after - off2 + on2
  return ("A bus leaves the station with %d passengers. At the first stop %d people get off and %d get on. At the second stop "
      .. "%d get off and %d get on. How many passengers are on the bus then?"):format(start, off1, on1, off2, on2),
    { ("After the first stop there are %d - %d + %d = %s passengers."):format(start, off1, on1,
        calc(start .. "-" .. off1 .. "+" .. on1, after)),
      ("After the second stop there are %d - %d + %d = %s passengers."):format(after, off2, on2,
        calc(after .. "-" .. off2 .. "+" .. on2, gold)) }, gold
end)

template(function(r)
  local who, she = person(r)
  local price, percent, count = between(r, 20, 80, 10), one_of(r, { 10, 20, 30, 40, 50 }), between(r, 2, 6)
  local off = price * percent // 100
  local thing = one_of(r, { "sweaters", "lamps", "chairs", "backpacks", "frying pans", "board games" })
  return ("The price of %s is $%d each. In the sale they are %d%% cheaper. What does %s pay in dollars if %s buys %d of them "
      .. "in the sale?"):format(thing, price, percent, who, she, count),
    { ("The discount is %d * %d / 100 = $%s."):format(price, percent, calc(price .. "*" .. percent .. "/100", off)),
      ("One costs %d - %d = $%s in the sale."):format(price, off, calc(price .. "-" .. off, price - off)),
      ("%d of them cost %d * %d = $%s."):format(count, count, price - off,
        calc(count .. "*" .. price - off, count * (price - off))) }, count * (price - off)
end)

template(function(r)
  local who, _, her = person(r)
  local use, hundreds, price = between(r, 5, 9), between(r, 3, 8), between(r, 2, 3)
  local litres = use * hundreds
  return ("%s drives %d km to visit %s grandparents. The car uses %d litres of fuel for every 100 km, and a litre costs $%d. "
      .. "How many dollars does the fuel cost for the way there and back?"):format(who, hundreds * 100, her, use, price),
    { ("One way takes %d / 100 * %d = %s litres."):format(hundreds * 100, use,
        calc(hundreds * 100 .. "/100*" .. use, litres)),
      ("There and back it is %d * 2 = %s litres."):format(litres, calc(litres .. "*2", litres * 2)),
      ("They cost %d * %d = $%s."):format(litres * 2, price, calc(litres * 2 .. "*" .. price, litres * 2 * price)) },
    litres * 2 * price
end)

template(function(r)
  local a = one_of(r, people)
  local b
  repeat b = one_of(r, people) until b[1] ~= a[1]
  local young, more, years = between(r, 7, 15), between(r, 2, 9), between(r, 3, 12)
  local old = young + more
  return ("%s is %d years older than %s, who is %d. How old will the two be together in %d years?")
    :format(a[1], more, b[1], young, years),
    { ("%s is %d + %d = %s years old."):format(a[1], young, more, calc(young .. "+" .. more, old)),
      ("Today they are %d + %d = %s together."):format(old, young, calc(old .. "+" .. young, old + young)),
      ("In %d years each is %d older, so they are %d + 2 * %d = %s together."):format(years, years, old + young, years,
        calc(old + young .. "+2*" .. years, old + young + 2 * years)) }, old + young + 2 * years
end)

template(function(r)
  local a, b, hours, broken = between(r, 60, 140, 10), between(r, 40, 120, 5), between(r, 5, 9), between(r, 8, 40)
  local thing = one_of(r, { "bottles", "candles", "bolts", "notebooks", "light bulbs" })
  local both = a + b
  return ("One machine makes %d %s an hour and another makes %d. They run side by side for %d hours, and %d of the %s turn out "
      .. "to be faulty. How many good ones are there?"):format(a, thing, b, hours, broken, thing),
    { ("Together they make %d + %d = %s an hour."):format(a, b, calc(a .. "+" .. b, both)),
      ("In %d hours that is %d * %d = %s."):format(hours, both, hours, calc(both .. "*" .. hours, both * hours)),
      ("Of these %d - %d = %s are good."):format(both * hours, broken,
        calc(both * hours .. "-" .. broken, both * hours - broken)) }, both * hours - broken
end)

template(function(r)
  local who, she, her = person(r)
  local friends, each, eaten = between(r, 4, 9), between(r, 5, 12), between(r, 3, 10)
  local bags, rest = between(r, 3, 6), 0
  local total = friends * each + eaten
  while total % bags ~= 0 do
    total, rest = total + 1, rest + 1
  end
  return ("%s has %d bags with %d marbles in each. %s loses %d marbles and shares the others among %d friends so that each gets "
      .. "as many as possible and all get the same. How many marbles does %s keep after %s friends have theirs?")
    :format(who, bags, total // bags, cap(she), eaten, friends, she, her),
    { ("%s has %d * %d = %s marbles."):format(who, bags, total // bags, calc(bags .. "*" .. total // bags, total)),
      ("After the loss there are %d - %d = %s."):format(total, eaten, calc(total .. "-" .. eaten, total - eaten)),
      ("Each of the %d friends gets %d, which is %d * %d = %s in all."):format(friends, (total - eaten) // friends, friends,
        (total - eaten) // friends, calc(friends .. "*" .. (total - eaten) // friends,
          friends * ((total - eaten) // friends))),
      ("So %d - %d = %s are kept."):format(total - eaten, friends * ((total - eaten) // friends),
        calc(total - eaten .. "-" .. friends * ((total - eaten) // friends), (total - eaten) % friends)) },
    (total - eaten) % friends
end)

template(function(r)
  local who, she = person(r)
  local serves, grams, times = between(r, 2, 4), between(r, 80, 240, 20), between(r, 3, 6)
  local dish = one_of(r, { "pancakes", "risotto", "lentil soup", "fried rice", "porridge" })
  local stuff = dish == "pancakes" and "flour" or dish == "porridge" and "oats" or dish == "lentil soup" and "lentils" or "rice"
  return ("A recipe for %s serves %d people and needs %d grams of %s. %s cooks for %d people. How many grams of %s does %s need?")
    :format(dish, serves, grams, stuff, who, serves * times, stuff, she),
    { ("%d people are %d / %d = %s times as many."):format(serves * times, serves * times, serves,
        calc(serves * times .. "/" .. serves, times)),
      ("%s needs %d * %d = %s grams."):format(who, times, grams, calc(times .. "*" .. grams, times * grams)) }, times * grams
end)

template(function(r)
  local v1, h1, v2, h2 = between(r, 60, 110, 10), between(r, 2, 4), between(r, 120, 200, 10), between(r, 1, 4)
  return ("A train travels for %d hours at %d km per hour through the hills and then for %d hours at %d km per hour across the "
      .. "plain. How many kilometres does it travel?"):format(h1, v1, h2, v2),
    { ("In the hills it covers %d * %d = %s km."):format(h1, v1, calc(h1 .. "*" .. v1, h1 * v1)),
      ("On the plain it covers %d * %d = %s km."):format(h2, v2, calc(h2 .. "*" .. v2, h2 * v2)),
      ("In all it is %d + %d = %s km."):format(h1 * v1, h2 * v2, calc(h1 * v1 .. "+" .. h2 * v2, h1 * v1 + h2 * v2)) },
    h1 * v1 + h2 * v2
end)

template(function(r)
  local who, she = person(r)
  local first, more, hours = between(r, 3, 6), between(r, 2, 4), between(r, 3, 9)
  return ("A car park takes $%d for the first hour and $%d for each further hour. %s parks for %d hours. How many dollars does "
      .. "%s pay?"):format(first, more, who, hours, she),
    { ("After the first hour there are %d - 1 = %s hours."):format(hours, calc(hours .. "-1", hours - 1)),
      ("They cost %d * %d = $%s."):format(hours - 1, more, calc(hours - 1 .. "*" .. more, (hours - 1) * more)),
      ("With the first hour it is %d + %d = $%s."):format((hours - 1) * more, first,
        calc((hours - 1) * more .. "+" .. first, (hours - 1) * more + first)) }, (hours - 1) * more + first
end)

template(function(r)
  local inflow, leak, minutes = between(r, 12, 30), between(r, 2, 6), between(r, 8, 40)
  local full = (inflow - leak) * minutes
  return ("A pump fills an empty tank with %d litres a minute while %d litres a minute leak out. The tank holds %d litres. After "
      .. "how many minutes is it full?"):format(inflow, leak, full),
    { ("Each minute the tank gains %d - %d = %s litres."):format(inflow, leak, calc(inflow .. "-" .. leak, inflow - leak)),
      ("It is full after %d / %d = %s minutes."):format(full, inflow - leak, calc(full .. "/" .. inflow - leak, minutes)) },
    minutes
end)

template(function(r)
  local classes, each, teachers, seats = between(r, 4, 8), between(r, 21, 29), between(r, 6, 14), between(r, 38, 52, 2)
  local all = classes * each + teachers
  local buses = (all + seats - 1) // seats
  return ("%d classes of %d children each and %d teachers go on a trip. A bus has %d seats. How many buses are needed so that "
      .. "everyone has a seat?"):format(classes, each, teachers, seats),
    { ("There are %d * %d = %s children."):format(classes, each, calc(classes .. "*" .. each, classes * each)),
      ("With the teachers it is %d + %d = %s people."):format(classes * each, teachers,
        calc(classes * each .. "+" .. teachers, all)),
      ("%d buses seat %d people, which is enough, and %d buses seat only %d."):format(buses, buses * seats, buses - 1,
        (buses - 1) * seats) }, buses
end)

template(function(r)
  local adult, child, adults, children = between(r, 12, 20), between(r, 5, 9), between(r, 60, 140, 5), between(r, 40, 120, 5)
  local total = adult * adults + child * children
  return ("Tickets for a play cost $%d for adults and $%d for children. One evening %d adults and %d children come. How many "
      .. "dollars do the tickets bring in?"):format(adult, child, adults, children),
    { ("The adults pay %d * %d = $%s."):format(adult, adults, calc(adult .. "*" .. adults, adult * adults)),
      ("The children pay %d * %d = $%s."):format(child, children, calc(child .. "*" .. children, child * children)),
      ("Together it is %d + %d = $%s."):format(adult * adults, child * children,
        calc(adult * adults .. "+" .. child * children, total)) }, total
end)

template(function(r)
  local noon, drop, hours, rise = between(r, 2, 9), between(r, 2, 4), between(r, 4, 7), between(r, 1, 5)
  local night = noon - drop * hours
  return ("At noon it is %d degrees. Then the temperature falls by %d degrees every hour for %d hours. By midnight it has risen "
      .. "by %d degrees again. What is the temperature at midnight, in degrees?"):format(noon, drop, hours, rise),
    { ("The temperature falls by %d * %d = %s degrees."):format(drop, hours, calc(drop .. "*" .. hours, drop * hours)),
      ("That brings it to %d - %d = %s degrees."):format(noon, drop * hours, calc(noon .. "-" .. drop * hours, night)),
      ("At midnight it is %d + %d = %s degrees."):format(night, rise, calc(night .. "+" .. rise, night + rise)) }, night + rise
end)

local function commas(number)
  local text = tostring(number)
  return #text > 4 and text:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "") or #text == 4
    and text:find "^%d" and text:sub(1, 1) .. "," .. text:sub(2) or text
end

--- One row.
-- @param r a generator of qlua.random
-- @tparam integer index chooses the template, so that all of them come in turn
return function(r, index)
  local question, steps, gold = templates[index % #templates + 1](r)
  steps[#steps + 1] = "#### " .. (index % 3 == 0 and commas(gold) or gold)
  return { question = question, answer = table.concat(steps, "\n") }
end
