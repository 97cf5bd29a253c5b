# SPDX-License-Identifier: Apache-2.0
# Writes lua/**.lua, suites/*.lua and the layouts' styles and scripts as one C file: a sorted table of {path, source, length}. Source, not
# bytecode: bytecode is neither portable nor readable in a traceback. With EMBED off the table is empty.
set(rows "")
set(bodies "")
if(EMBED)
  file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/lua/*.lua ${ROOT}/suites/*.lua
    ${ROOT}/lua/reports/*.css ${ROOT}/lua/reports/*.js)
  list(SORT files)
  set(index 0)
  foreach(path ${files})
    file(READ ${ROOT}/${path} hex HEX)
    string(LENGTH "${hex}" digits)
    math(EXPR length "${digits} / 2")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
    string(APPEND bodies "static const unsigned char file_${index}[] = {\n${bytes}0};\n")
    string(APPEND rows "    {\"${path}\", (const char *)file_${index}, ${length}},\n")
    math(EXPR index "${index} + 1")
  endforeach()
endif()
file(WRITE ${OUT}.new "// generated from lua/ and suites/ by cmake/embed.cmake\n#include \"host.h\"\n\n${bodies}\nconst struct ql_embedded ql_embedded[] = {\n${rows}    {0, 0, 0}};\n")
file(COPY_FILE ${OUT}.new ${OUT} ONLY_IF_DIFFERENT)
file(TOUCH ${OUT})
