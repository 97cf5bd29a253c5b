-- SPDX-License-Identifier: Apache-2.0
--- Writer: a file that grows line by line and takes its name when it is whole; a reader never meets half of one.

local file = require "qlua.core.file"

local writer = {}
writer.__index = writer

local function check(self, ok, message)
  if not ok then error({ kind = "io", text = ("%s: %s"):format(self.path or "standard output", tostring(message)) }, 0) end
end

--- Open for writing.
-- @tparam ?string path nil is standard output
-- @raise err of kind io
function writer.open(path)
  if not path then return setmetatable({ handle = io.stdout }, writer) end
  local folder = path:match "^(.*)/[^/]*$"
  if folder and folder ~= "" and not file.stat(folder) then
    local ok, err = file.make_dir(folder)
    if not ok then error(err, 0) end
  end
  local self = setmetatable({ path = path, part = path .. ".part" }, writer)
  local handle, message = io.open(self.part, "wb")
  check(self, handle, message and message:gsub("^.*: ", ""))
  self.handle = handle
  return self
end

function writer:write(...)
  local ok, message = self.handle:write(...)
  check(self, ok, message)
end

--- All is written: the file takes its name.
function writer:close()
  local ok, message = self.handle:flush()
  check(self, ok, message)
  if not self.path then return end
  ok, message = self.handle:close()
  check(self, ok, message)
  local err
  ok, err = file.rename(self.part, self.path)
  if not ok then error(err, 0) end
end

--- Something went wrong: nothing is left of it.
function writer:abandon()
  if not self.path then return end
  self.handle:close()
  file.remove(self.part)
end

return writer
