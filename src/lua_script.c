// SPDX-License-Identifier: Apache-2.0
// qlua.core.script: the scripts that came with this build: embedded, or in a debug build the source tree.

#include "host.h"

#include <lauxlib.h>
#include <string.h>

int ql_open_script(lua_State *L);

// embedded(path) → source or nil; path from the repository root, e.g. "lua/datasets/gsm8k.lua"
static int embedded(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  for (const struct ql_embedded *file = ql_embedded; file->path; file++)
    if (strcmp(file->path, path) == 0) {
      lua_pushlstring(L, file->source, file->len);
      return 1;
    }
  return 0;
}

// list(prefix) → sorted paths of embedded files that begin with it
static int list(lua_State *L) {
  const char *prefix = luaL_optstring(L, 1, "");
  lua_newtable(L);
  lua_Integer count = 0;
  for (const struct ql_embedded *file = ql_embedded; file->path; file++)
    if (strncmp(file->path, prefix, strlen(prefix)) == 0) {
      lua_pushstring(L, file->path);
      lua_rawseti(L, -2, ++count);
    }
  return 1;
}

// source_root() → the tree this was built from, where scripts are read in a debug build; nil in a release
static int source_root(lua_State *L) {
#if QL_EMBED
  lua_pushnil(L);
#else
  lua_pushliteral(L, QL_SOURCE_ROOT);
#endif
  return 1;
}

static const luaL_Reg functions[] = {
    {"embedded", embedded}, {"list", list}, {"source_root", source_root}, {NULL, NULL},
};

int ql_open_script(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
