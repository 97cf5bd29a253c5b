-- SPDX-License-Identifier: Apache-2.0
local watch = require "qlua.supervisor.watch"

-- A server that is not ours is not watched for its end, so nothing runs beside the test.
local function new() return watch.new({ variant = { server = {} } }, nil, {}) end

local function enter(self, sample) return self:enter("one", { dataset = "d", sample = sample, repeat_index = 0 }) end

local function names(list)
  local made = {}
  for i, seat in ipairs(list) do made[i] = seat.sample end
  table.sort(made)
  return table.concat(made, " ")
end

local reset, refused = { kind = "protocol" }, { kind = "connect" }

describe("the watch over a server", function()
  it("knows who is in flight", function()
    local self = new()
    local a, b, c = enter(self, "a"), enter(self, "b"), enter(self, "c")
    self:sent(a)
    self:sent(b)
    self:came_back(b, nil, true)
    assert.equal("a", names(self:suspects()))
    self:leave(a)
    self:sent(c)
    assert.equal("c", names(self:suspects()))
  end)

  it("suspects what was in flight at the first of a burst of failures, not what was sent into the ruins", function()
    local self = new()
    local a, b, c = enter(self, "a"), enter(self, "b"), enter(self, "c")
    self:sent(a)
    self:sent(b)
    self:came_back(a, reset, true)
    self:sent(c)
    self:came_back(c, refused, true)
    self:came_back(b, reset, true)
    assert.equal("a b", names(self:suspects()))
  end)

  it("takes a 5xx for a sign of death and a 4xx for one of life", function()
    local self = new()
    local a, b = enter(self, "a"), enter(self, "b")
    self:sent(a)
    self:sent(b)
    self:came_back(a, { kind = "http", status = 429 }, true)
    assert.equal("b", names(self:suspects()))
    self:came_back(b, { kind = "http", status = 500 }, true)
    assert.equal("b", names(self:suspects()))
  end)

  it("forgets a burst when a reply comes after all", function()
    local self = new()
    local a, b = enter(self, "a"), enter(self, "b")
    self:sent(a)
    self:sent(b)
    self:came_back(a, reset, true)
    self:came_back(b, nil, true)
    assert.equal("", names(self:suspects()))
  end)

  it("leaves out what had not left the queue, and what was refused", function()
    local self = new()
    local a, b, c = enter(self, "a"), enter(self, "b"), enter(self, "c")
    for _, seat in ipairs { a, b, c } do self:sent(seat) end
    self:came_back(a, reset, true)
    self:came_back(b, { kind = "cancelled" }, false)
    self:came_back(c, refused, true)
    assert.equal("a", names(self:suspects()))
  end)

  it("names a question of several requests once", function()
    local self = new()
    self:sent(enter(self, "a"))
    self:sent(enter(self, "a"))
    assert.equal("a", names(self:suspects()))
  end)
end)
