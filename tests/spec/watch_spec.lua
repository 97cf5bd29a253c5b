-- SPDX-License-Identifier: Apache-2.0
local watch = require "qlua.supervisor.watch"

-- A server that is not ours is not watched for its end, so nothing runs beside the test.
local function new(limit) return watch.new({ variant = { server = {} } }, nil, { limit = limit }) end

local function enter(self, sample) return self:enter("one", { dataset = "d", sample = sample, repeat_index = 0 }) end

-- Seats of which a try is under way.
local function send(self, ...)
  local seats = {}
  for i, sample in ipairs { ... } do
    seats[i] = enter(self, sample)
    self:sent(seats[i])
  end
  return table.unpack(seats)
end

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
    local a, b = send(self, "a", "b")
    self:came_back(b, nil)
    assert.equal("a", names(self:suspects()))
    self:leave(a)
    send(self, "c")
    assert.equal("c", names(self:suspects()))
  end)

  it("suspects what was in flight at the first of a burst of failures, not what was sent into the ruins", function()
    local self = new()
    local a, b = send(self, "a", "b")
    self:came_back(a, reset)
    local c = send(self, "c")
    self:came_back(c, refused)
    self:came_back(b, reset)
    assert.equal("a b", names(self:suspects()))
  end)

  it("leaves out what had not left the client's queue", function()
    local self = new(2)
    local a = send(self, "a", "b", "c", "d")
    self:came_back(a, reset)
    assert.equal("a b", names(self:suspects()))
  end)

  it("suspects what was refused when it was sent again by itself", function()
    local self = new()
    local a, b = send(self, "a", "b")
    self:came_back(b, refused)
    self:sent(b)
    self:came_back(b, refused)
    self:came_back(a, refused)
    assert.equal("a b", names(self:suspects()))
  end)

  it("takes a 5xx for a sign of death and a 4xx for one of life", function()
    local self = new()
    local a, b = send(self, "a", "b")
    self:came_back(a, { kind = "http", status = 429 })
    assert.equal("b", names(self:suspects()))
    self:came_back(b, { kind = "http", status = 500 })
    assert.equal("b", names(self:suspects()))
  end)

  it("forgets a burst when what is sent after it is answered, not by a reply that was on its way", function()
    local self = new()
    local a, b = send(self, "a", "b")
    self:came_back(a, reset)
    self:came_back(b, nil)
    assert.equal("a b", names(self:suspects()))
    self:came_back(send(self, "c"), nil)
    assert.equal("", names(self:suspects()))
  end)

  it("names a question of several requests once", function()
    local self = new()
    send(self, "a", "a")
    assert.equal("a", names(self:suspects()))
  end)
end)
