-- SPDX-License-Identifier: Apache-2.0
--- Writes docs/qlua.1, the manual page: `qlua lua tools/man.lua`, from the root.
-- Commands and options come from the same tables that parse them; tests/spec/man_spec.lua fails when the page is old.

local args = require "qlua.cli.args"
local commands = require "qlua.cli.commands"

-- A line that begins with a dot or a quote would be a request; a hyphen in an option must stay a minus.
local function roff(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n([.'])", "\n\\&%1"):gsub("^([.'])", "\\&%1"))
end

local function option_lines(out, options)
  for _, option in ipairs(options) do
    out[#out + 1] = ".TP"
    out[#out + 1] = (option.short and ("\\fB\\-%s\\fR, "):format(option.short) or "") .. "\\fB" .. roff("--" .. option.long)
      .. "\\fR" .. (option.arg and " \\fI" .. roff(option.arg) .. "\\fR" or "")
    out[#out + 1] = roff(option.summary.en .. (option.repeated and "; may be repeated" or "") .. ".")
  end
end

local function command_lines(out, command)
  out[#out + 1] = ".SS " .. roff(command.name)
  out[#out + 1] = "\\fB" .. roff(command.usage) .. "\\fR"
  out[#out + 1] = ".PP"
  out[#out + 1] = roff(command.summary.en:gsub("^%l", string.upper) .. ".")
  if command.details then out[#out + 1] = roff(command.details.en) end
  option_lines(out, command.options or {})
end

local HEAD = [[
.\" SPDX-License-Identifier: Apache-2.0
.\" written by tools/man.lua from the commands' own tables; do not edit
.TH QLUA 1 "" qlua "User commands"
.SH NAME
qlua \- find out which quantized variant of a language model may be shipped
.SH SYNOPSIS
\fBqlua\fR \fICOMMAND\fR [\fIOPTIONS\fR]
.SH DESCRIPTION
qlua launches a server for each variant of a model, asks every variant the same questions, measures what comes back, and
reports, in English and in Chinese, what the figures allow one to say. Datasets, scorers, server dialects, report layouts and
suites are Lua scripts; a new one needs no recompilation.
.PP
Words that name a script are a name (\fBgsm8k\fR) or a path (\fB./mine.lua\fR). Scripts are found by name in
\fB\-\-lua\fR \fIDIR\fR, the folder of the suite, \fBQLUA_PATH\fR, the share folder of the installation, and inside the program.
.SH OPTIONS OF EVERY COMMAND
]]

local TAIL = [[
.SH EXIT STATUS
.TP
\fB0\fR
done
.TP
\fB1\fR
done, but a gate failed: the error rate, an example of a script
.TP
\fB2\fR
the command line was wrong
.TP
\fB3\fR
a script, a configuration or data was wrong
.TP
\fB4\fR
a server failed
.TP
\fB5\fR
internal error
.TP
\fB130\fR
interrupted; a run says how to go on
.SH ENVIRONMENT
.TP
\fBLC_ALL\fR, \fBLC_MESSAGES\fR, \fBLANG\fR
a locale that begins with zh makes help Chinese
.TP
\fBQLUA_PATH\fR
folders of further scripts, separated by colons
.TP
\fBQLUA_DATA\fR
folders of the datasets' files, separated by colons
.TP
\fBQLUA_DEBUG\fR
1 adds tracebacks to errors
.TP
\fBNO_COLOR\fR
no colours on the terminal
.SH EXAMPLES
.nf
qlua run suites/full.lua \-\-config configs/demo.yaml
qlua run suites/full.lua \-\-config configs/model_config.yaml \-\-data DIR
qlua run gsm8k \-\-url http://host:8000/v1 \-\-model NAME \-\-limit 100
qlua config model_config \-\-set server.port=8001
qlua show gsm8k \-\-sample 0 \-\-reply "#### 18"
qlua new dataset mine && qlua test mine.lua
.fi
.SH SEE ALSO
docs/configuration.md, docs/scripting.md
]]

local out = {}
option_lines(out, args.common)
out[#out + 1] = ".SH COMMANDS"
for _, name in ipairs(commands.names()) do
  local command = commands.load(name)
  if command then command_lines(out, command) end
end
local page = HEAD .. table.concat(out, "\n") .. "\n" .. TAIL
if ... == "print" then return page end
local handle = assert(io.open("docs/qlua.1", "w"))
handle:write(page)
handle:close()
return 0
