// SPDX-License-Identifier: Apache-2.0
// lua_text: qlua.core.text over text.h.
//
// Results are built in a ql_buf that lives in a userdata, so that a Lua error for want of memory while
// the result string is made frees it through __gc and leaks nothing.
#include "task.h"
#include "text.h"

#include <lauxlib.h>
#include <lua.h>

static const char buf_type[] = "qlua.text.buf";

static int buf_gc(lua_State *L) {
  ql_buf_free(luaL_checkudata(L, 1, buf_type));
  return 0;
}

static struct ql_buf *new_buf(lua_State *L) {
  struct ql_buf *buf = lua_newuserdatauv(L, sizeof *buf, 0);
  ql_buf_init(buf, 0);
  luaL_setmetatable(L, buf_type);
  return buf;
}

// The result as a string; the memory goes at once instead of with the collector.
static int push_buf(lua_State *L, struct ql_buf *buf) {
  lua_pushlstring(L, buf->data ? buf->data : "", buf->len);
  ql_buf_free(buf);
  return 1;
}

static int text_width(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_pushinteger(L, (lua_Integer)ql_text_width(text, len));
  return 1;
}

static int text_chars(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_pushinteger(L, (lua_Integer)ql_text_chars(text, len));
  return 1;
}

static int text_valid(lua_State *L) {
  size_t len, bad_at;
  const char *text = luaL_checklstring(L, 1, &len);
  if (ql_text_valid(text, len, &bad_at)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_pushinteger(L, (lua_Integer)bad_at + 1);
  return 2;
}

static int text_case(lua_State *L, enum ql_case to) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct ql_buf *buf = new_buf(L);
  ql_text_case(text, len, to, buf);
  return push_buf(L, buf);
}

static int text_lower(lua_State *L) { return text_case(L, QL_CASE_LOWER); }
static int text_upper(lua_State *L) { return text_case(L, QL_CASE_UPPER); }
static int text_title_char(lua_State *L) { return text_case(L, QL_CASE_TITLE); }

static int text_repair(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  if (ql_text_valid(text, len, NULL)) {
    lua_settop(L, 1);
    return 1;
  }
  struct ql_buf *buf = new_buf(L);
  ql_text_repair(text, len, buf);
  return push_buf(L, buf);
}

static int text_fold(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct ql_buf *buf = new_buf(L);
  struct ql_err err;
  if (ql_text_fold(text, len, buf, &err) < 0)
    return ql_push_err(L, &err);
  return push_buf(L, buf);
}

int ql_open_text(lua_State *L);
int ql_open_text(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"width", text_width}, {"chars", text_chars},           {"valid", text_valid},   {"lower", text_lower},
      {"upper", text_upper}, {"title_char", text_title_char}, {"repair", text_repair}, {"fold", text_fold},
      {NULL, NULL},
  };
  if (luaL_newmetatable(L, buf_type)) {
    lua_pushcfunction(L, buf_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
