-- SPDX-License-Identifier: Apache-2.0
--- 中文应用题，形式与 CMATH 相同：模板由人手写，数字随机抽取，标准答案由计算得出。
--- Chinese word problems in the form of CMATH: templates by hand, numbers drawn, golds computed.

local names = { "小明", "小红", "小刚", "小丽", "小华", "芳芳", "乐乐", "小军", "婷婷", "小宇" }

local function one_of(r, list)
  return list[r:integer(#list)]
end

local function between(r, low, high, step)
  step = step or 1
  return low + step * (r:integer((high - low) // step + 1) - 1)
end

-- Each returns grade, number of steps, question, gold.
local templates = {
  function(r)
    local a, b = between(r, 35, 95), between(r, 8, 30)
    return 1, 1, ("%s有%d张邮票，送给同学%d张，还剩多少张？"):format(one_of(r, names), a, b), a - b
  end,
  function(r)
    local a, b, c = between(r, 12, 40), between(r, 5, 30), between(r, 5, 20)
    return 1, 2, ("停车场里原来有%d辆车，开来了%d辆，又开走了%d辆，现在有多少辆车？"):format(a, b, math.min(c, a)), a + b - math.min(c, a)
  end,
  function(r)
    local each, boxes, eaten = between(r, 4, 9), between(r, 3, 9), between(r, 2, 11)
    return 2, 2, ("一盒月饼有%d块，妈妈买了%d盒，一家人吃了%d块，还剩多少块？"):format(each, boxes, eaten), each * boxes - eaten
  end,
  function(r)
    local each, children, rest = between(r, 3, 8), between(r, 5, 9), between(r, 1, 4)
    return 2, 2, ("老师有%d支铅笔，平均分给%d个小朋友后还剩%d支，每个小朋友分到多少支？"):format(each * children + rest, children, rest), each
  end,
  function(r)
    local speed, hours, more = between(r, 45, 90, 5), between(r, 2, 6), between(r, 20, 120, 10)
    return 3, 2, ("一辆汽车每小时行%d千米，行了%d小时后，离目的地还有%d千米。全程多少千米？"):format(speed, hours, more), speed * hours + more
  end,
  function(r)
    local long, wide = between(r, 20, 60), between(r, 8, 19)
    return 3, 2, ("一个长方形花坛长%d米，宽%d米，绕花坛走一圈要走多少米？"):format(long, wide), 2 * (long + wide)
  end,
  function(r)
    local price, count = between(r, 6, 18), between(r, 3, 8)
    local paid = math.ceil(price * count / 50) * 50
    return 3, 2, ("一本故事书%d元，%s买了%d本，付给售货员%d元，应找回多少元？"):format(price, one_of(r, names), count, paid),
      paid - price * count
  end,
  function(r)
    local daily, days, rest = between(r, 35, 80, 5), between(r, 4, 12), between(r, 3, 8)
    local faster = daily + between(r, 5, 30, 5)
    return 4, 3, ("修路队要修一条路，前%d天每天修%d米，后来每天修%d米，又修了%d天才修完。这条路长多少米？")
      :format(days, daily, faster, rest), daily * days + faster * rest
  end,
  function(r)
    local hens, more, times = between(r, 24, 60), between(r, 6, 20), between(r, 2, 5)
    return 4, 2, ("养殖场有公鸡%d只，母鸡的只数比公鸡的%d倍还多%d只，母鸡有多少只？"):format(hens, times, more), hens * times + more
  end,
  function(r)
    local chickens, rabbits = between(r, 5, 20), between(r, 4, 15)
    return 4, 3, ("鸡和兔关在同一个笼子里，共有%d个头、%d只脚，兔有多少只？")
      :format(chickens + rabbits, 2 * chickens + 4 * rabbits), rabbits
  end,
  function(r)
    local litres, use = between(r, 12, 40), one_of(r, { 0.4, 0.6, 0.8, 1.2, 1.5 })
    local gold = litres * use
    return 5, 1, ("一种油漆每平方米墙面要用%s千克，粉刷%d平方米的墙面要用多少千克油漆？"):format(use, litres), gold
  end,
  function(r)
    local v1, v2, hours = between(r, 50, 75, 5), between(r, 60, 95, 5), between(r, 2, 6)
    return 5, 2, ("甲、乙两车同时从两地相对开出，甲车每小时行%d千米，乙车每小时行%d千米，%d小时后两车相遇。两地相距多少千米？")
      :format(v1, v2, hours), (v1 + v2) * hours
  end,
  function(r)
    local price, fold, count = between(r, 40, 200, 20), one_of(r, { 5, 6, 7, 8, 9 }), between(r, 2, 5)
    local digits = { [5] = "五", [6] = "六", [7] = "七", [8] = "八", [9] = "九" }
    return 6, 2, ("一件衬衫原价%d元，现在打%s折出售，买%d件一共要付多少元？"):format(price, digits[fold], count),
      price * fold // 10 * count
  end,
  function(r)
    local total, part = between(r, 120, 600, 20), one_of(r, { 10, 20, 25, 40, 60, 75 })
    while total * part % 100 ~= 0 do
      total = total + 20
    end
    return 6, 2, ("学校图书馆有图书%d本，其中科技书占%d%%，其余的是文艺书。文艺书有多少本？"):format(total, part), total - total * part // 100
  end,
}

local function digits_of(text)
  local most = 1
  for number in text:gmatch "%d+" do
    most = math.max(most, #number)
  end
  return most
end

-- 12.0 is written 12, 9.6 stays 9.6.
local function written(number)
  return ("%.10g"):format(number)
end

--- One row.
-- @param r a generator of qlua.random
-- @tparam integer index chooses the template
return function(r, index)
  local grade, steps, question, gold = templates[index % #templates + 1](r)
  return { grade = grade, input = question, golden = written(gold), reasoning_step = steps, num_digits = digits_of(question) }
end
