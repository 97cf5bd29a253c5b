-- SPDX-License-Identifier: Apache-2.0
std = "lua54"
max_line_length = 140
exclude_files = { "build", "results" }
files["tests/spec"] = { std = "+busted" }
files["tests/web"] = { std = "+busted" }
files["tests/spec/run.lua"] = { globals = { "package" } }
files["lua/qlua/main.lua"] = { globals = { "arg" } }
