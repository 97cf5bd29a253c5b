-- SPDX-License-Identifier: Apache-2.0
--- Writes the tables of docs/configuration.md from the schema: `qlua lua tools/config_doc.lua`, from the root.
-- The text around them is written by hand and kept; tests/spec/config_doc_spec.lua fails when the tables are old.

local doc = require "qlua.config_doc"

local path = "docs/configuration.md"
local handle = assert(io.open(path))
local text = handle:read "a"
handle:close()
local out = assert(io.open(path, "w"))
out:write(doc.refresh(text))
out:close()
return 0
