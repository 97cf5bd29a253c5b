-- SPDX-License-Identifier: Apache-2.0
--- Main: the first task. Finds the command, parses its arguments, runs it, turns what came back into an exit code.
-- Only the command that was asked for is loaded, so that `qlua version` costs milliseconds. Every error a user
-- sees leaves through here: the text, a `hint:` line, and a traceback only under QLUA_DEBUG=1.

local args = require "qlua.cli.args"
local commands = require "qlua.cli.commands"
local nearest = require "qlua.nearest"
local say = require "qlua.cli.say"

-- err.kind → exit code. 1 is a run that went well and whose verdict or error rate did not.
local EXIT = {
  gate = 1, usage = 2,
  config = 3, script = 3, limit = 3, data = 3, io = 3,
  server = 4, connect = 4, timeout = 4, http = 4, protocol = 4,
  store = 5, internal = 5, cancelled = 130,
}

local EPIPE = 32

local function report(err)
  local hide = require("qlua.secrets").hide
  say.error(hide(err.text), hide(err.hint))
  for _, other in ipairs(err.others or {}) do say.error(hide(other.text), hide(other.hint)) end
  if say.is_debug() and err.traceback then io.stderr:write(err.traceback, "\n") end
  return EXIT[err.kind] or EXIT.internal
end

-- Whatever was raised becomes an error of the usual shape; a bare string is a bug of ours.
local function caught(raised)
  if type(raised) ~= "table" then raised = { kind = "internal", text = "internal error: " .. tostring(raised) } end
  if raised.kind == "internal" and not raised.hint then
    raised.hint = "QLUA_DEBUG=1 shows where"
  end
  if say.is_debug() then raised.traceback = debug.traceback(raised.text, 2) end
  return raised
end

-- What was printed may not have arrived: a full disk must not look like success. A reader that has gone is no error.
local function check_output()
  local is_flushed, message, number = io.stdout:flush()
  if is_flushed or number == EPIPE then return nil end
  return report { kind = "io", text = "standard output: " .. message }
end

local function unknown_command(name)
  return report { kind = "usage", text = ("qlua: unknown command '%s'"):format(name),
    hint = nearest.hint(name, commands.names()) or "'qlua help' lists the commands" }
end

local function run_command(command, argv)
  local opts, given = args.parse(command, argv)
  if not opts then return nil, given end
  say.set_language(opts.language)
  if opts.help then
    require("qlua.cli.help").command(command)
    return 0
  end
  if opts.lua then require("qlua.registry").configure { lua_dir = opts.lua } end
  return command.run(opts, given, argv)
end

-- `qlua --version`, `qlua -h` and `qlua` alone are what everybody tries first.
local ALIAS = { ["--version"] = "version", ["-V"] = "version", ["--help"] = "help", ["-h"] = "help" }

return function(argv)
  local name = argv[1]
  if not name then
    say.on_stderr(require("qlua.cli.help").overview)
    return EXIT.usage
  end
  name = ALIAS[name] or name
  if name:sub(1, 1) == "-" then
    return report { kind = "usage", text = ("qlua: unknown option '%s'"):format(name),
      hint = "usage: qlua COMMAND [options]; 'qlua help' lists the commands" }
  end
  local command, load_err = commands.load(name)
  if not command then
    if load_err then return report(caught(load_err)) end
    return unknown_command(name)
  end
  local rest = table.move(argv, 2, #argv, 1, {})
  local is_done, code, err = xpcall(run_command, caught, command, rest)
  if not is_done then return report(code) end
  if code == nil and err then return report(type(err) == "table" and err or caught(err)) end
  local is_written = check_output()
  return is_written or code or 0
end
