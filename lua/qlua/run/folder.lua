-- SPDX-License-Identifier: Apache-2.0
--- The run's folder: a new one, or the one that is resumed, with its store open and its answers known to fit.

local clock = require "qlua.core.clock"
local file = require "qlua.core.file"
local plan = require "qlua.plan"
local run_store = require "qlua.run_store"

local folder = {}

local function fail(kind, text, hint) return nil, { kind = kind, text = text, hint = hint } end

local function new_folder(out)
  local base = ("%s/%s"):format(out, clock.stamp())
  local dir, suffix = base, 1
  while file.stat(dir) do
    suffix = suffix + 1
    dir = ("%s-%d"):format(base, suffix)
  end
  local ok, err = file.make_dir(dir .. "/logs")
  if not ok then return nil, err end
  return dir
end

local function refuse_mixing(dir, differences)
  return fail("config", ("%s: cannot be resumed, since answers of two different runs would be mixed: %s"):format(dir,
    table.concat(differences, "; ")), "start a new run, or restore what has changed")
end

--- Open the folder and the store of a run.
-- @tparam table made a plan
-- @tparam table options out, resume, max_pages
-- @treturn ?string dir, and the store; or nil and err
function folder.open(made, options)
  local dir, err = options.resume
  if dir then
    dir = dir:gsub("/+$", "")
    if not file.stat(dir .. "/run.db") then
      return fail("usage", ("--resume %s: no run.db there"):format(dir), "want the folder of a run, e.g. results/20261123_101500")
    end
  else
    dir, err = new_folder(options.out or "results")
    if not dir then return nil, err end
  end
  local store
  store, err = run_store.open(dir, { max_pages = options.max_pages })
  if not store then return nil, err end
  local fingerprint = plan.fingerprint(made)
  local old = store:meta "fingerprint"
  if old then
    local differences = plan.differences(old, fingerprint)
    if #differences > 0 then
      store:close()
      return refuse_mixing(dir, differences)
    end
  end
  store:meta("fingerprint", fingerprint)
  return dir, store
end

return folder
