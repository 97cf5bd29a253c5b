-- SPDX-License-Identifier: Apache-2.0
--- JSON: `decode(text)` → value or nil, err; `encode(value [, indent])` canonical; `null`; `array(t)`.
-- @see src/lua_json.c for the exact form.
return require "qlua.core.json"
