-- SPDX-License-Identifier: Apache-2.0
--- Entry of the program until the command line is merged: `qlua lua FILE [ARGS]`.
return function(argv)
  if argv[1] ~= "lua" or not argv[2] then
    io.stderr:write("usage: qlua lua FILE [ARGS]\n")
    return 2
  end
  _G.arg = table.move(argv, 3, #argv, 1, { [0] = argv[2] })
  local chunk, message = loadfile(argv[2], "t")
  if not chunk then
    io.stderr:write("qlua: ", message, "\n")
    return 3
  end
  return chunk(table.unpack(_G.arg)) or 0
end
