// SPDX-License-Identifier: Apache-2.0
// qlua.core.pack: pack(text) → bytes; unpack(bytes) → text | nil, err

#include "pack.h"
#include "task.h"

#include <lauxlib.h>

int ql_open_pack(lua_State *L);

enum { MAX_UNPACKED = 1 << 30 };

static int pack(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct ql_buf *out = lua_touserdata(L, lua_upvalueindex(1));
  ql_buf_clear(out);
  ql_pack(text, len, out);
  lua_pushlstring(L, out->data, out->len);
  return 1;
}

static int unpack(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  struct ql_buf *out = lua_touserdata(L, lua_upvalueindex(1));
  ql_buf_clear(out);
  struct ql_err err;
  if (ql_unpack(bytes, len, out, &err) != 0)
    return ql_push_err(L, &err);
  lua_pushlstring(L, out->data ? out->data : "", out->len);
  return 1;
}

static int free_buffer(lua_State *L) {
  ql_buf_free(lua_touserdata(L, 1));
  return 0;
}

static const luaL_Reg functions[] = {{"pack", pack}, {"unpack", unpack}, {NULL, NULL}};

int ql_open_pack(lua_State *L) {
  luaL_newlibtable(L, functions);
  struct ql_buf *out = lua_newuserdatauv(L, sizeof *out, 0); // reused, and freed with the module
  ql_buf_init(out, MAX_UNPACKED);
  lua_newtable(L);
  lua_pushcfunction(L, free_buffer);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  luaL_setfuncs(L, functions, 1);
  return 1;
}
