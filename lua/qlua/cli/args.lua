-- SPDX-License-Identifier: Apache-2.0
--- Arguments: one command's options and positionals, parsed by its own table of descriptors.
-- A command is `{ name, summary = {en,zh}, usage, options = {…}, positional = {…}, run = function(opts, args) }`.
-- An option is `{ long, short, arg, type, min, max, allowed, repeated, summary }`: without `arg` it is a switch;
-- `type` is string (default), integer or number. A positional is `{ name, required, repeated, summary }`; with
-- `rest = true` everything from it on belongs to it, options included (`qlua lua FILE ARGS`).

local nearest = require "qlua.nearest"

local args = {}

--- Options that every command has.
args.common = {
  { long = "help", short = "h", summary = { en = "show this help", zh = "显示本帮助" } },
  { long = "language", arg = "LANG", allowed = { "en", "zh", "both" },
    summary = { en = "language of help and reports: en, zh or both", zh = "帮助与报告的语言：en、zh 或 both" } },
  { long = "lua", arg = "DIR",
    summary = { en = "folder of further scripts, searched first", zh = "额外的脚本目录，最先查找" } },
}

local function usage_error(command, text, hint)
  return nil, { kind = "usage", text = ("qlua %s: %s"):format(command.name, text),
    hint = hint or ("'qlua help %s' shows what it takes"):format(command.name) }
end

--- All options of a command, its own first.
-- @treturn {table,...} descriptors
function args.options_of(command)
  local all, own = {}, {}
  for _, option in ipairs(command.options or {}) do
    all[#all + 1] = option
    own[option.long] = true
  end
  for _, option in ipairs(args.common) do
    if not own[option.long] then all[#all + 1] = option end
  end
  return all
end

local function range(option)
  if option.min and option.max then return (" from %d to %d"):format(option.min, option.max) end
  if option.min then return (" of at least %d"):format(option.min) end
  return ""
end

local function convert(command, option, text)
  local flag = "--" .. option.long
  if option.allowed then
    for _, word in ipairs(option.allowed) do
      if word == text then return text end
    end
    local words = table.concat(option.allowed, ", ")
    return usage_error(command, ("%s: want one of %s, got \"%s\""):format(flag, words, text),
      nearest.hint(text, option.allowed))
  end
  local kind = option.type or "string"
  if kind == "string" then return text end
  local value = tonumber(text)
  local is_right = value and (kind == "number" or math.type(value) == "integer") and value == value
    and not (option.min and value < option.min) and not (option.max and value > option.max)
  if is_right then return value end
  local noun = kind == "integer" and "an integer" or "a number"
  return usage_error(command, ("%s: want %s%s, got \"%s\""):format(flag, noun, range(option), text))
end

local function store(opts, option, value)
  local key = option.long:gsub("-", "_")
  if option.repeated then
    opts[key] = opts[key] or {}
    table.insert(opts[key], value)
  else
    opts[key] = value
  end
end

local function find_option(options, word)
  local field = word:sub(1, 2) == "--" and "long" or "short"
  local name = word:gsub("^%-+", "")
  for _, option in ipairs(options) do
    if option[field] == name then return option end
  end
end

local function unknown_option(command, options, word)
  local longs = {}
  for i, option in ipairs(options) do longs[i] = option.long end
  local found = nearest.find(word:gsub("^%-+", ""), longs)
  return usage_error(command, ("unknown option '%s'"):format(word), found and ("did you mean --%s?"):format(found))
end

-- One option at argv[at]; returns the index after it.
local function take_option(command, options, opts, argv, at)
  local word, attached = argv[at], nil
  local name, value = word:match("^(%-%-[^=]+)=(.*)$")
  if name then word, attached = name, value end
  local option = find_option(options, word)
  if not option then return unknown_option(command, options, word) end
  if not option.arg then
    if attached then return usage_error(command, ("--%s takes no value"):format(option.long)) end
    store(opts, option, true)
    return at + 1
  end
  local text = attached
  if not text then
    at = at + 1
    text = argv[at]
    if not text then return usage_error(command, ("--%s wants a value (%s)"):format(option.long, option.arg)) end
  end
  local converted, err = convert(command, option, text)
  if converted == nil then return nil, err end
  store(opts, option, converted)
  return at + 1
end

local function check_positionals(command, given)
  local wanted = command.positional or {}
  for i, positional in ipairs(wanted) do
    if positional.required and not given[i] then
      return usage_error(command, ("%s is missing"):format(positional.name),
        "usage: " .. command.usage)
    end
  end
  local last = wanted[#wanted]
  if #given > #wanted and not (last and (last.repeated or last.rest)) then
    return usage_error(command, ("unexpected argument '%s'"):format(given[#wanted + 1]), "usage: " .. command.usage)
  end
  return true
end

--- Parse a command's arguments.
-- @tparam table command
-- @tparam {string,...} argv without the command's name
-- @treturn[1] table opts by long name, with `_` for `-`
-- @treturn[1] {string,...} positionals
-- @treturn[2] nil
-- @treturn[2] table error of kind usage
function args.parse(command, argv)
  local options, opts, given = args.options_of(command), {}, {}
  local rest_from
  for i, positional in ipairs(command.positional or {}) do
    if positional.rest then rest_from = i end
  end
  local at, is_open = 1, true
  while at <= #argv do
    local word = argv[at]
    if rest_from and #given >= rest_from - 1 then is_open = false end
    if is_open and word == "--" then
      is_open, at = false, at + 1
    elseif is_open and word:find("^%-.") then
      local err
      at, err = take_option(command, options, opts, argv, at)
      if not at then return nil, err end
    else
      given[#given + 1], at = word, at + 1
    end
  end
  if opts.help then return opts, given end
  local is_right, err = check_positionals(command, given)
  if not is_right then return nil, err end
  return opts, given
end

return args
