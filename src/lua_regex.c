// SPDX-License-Identifier: Apache-2.0
// lua_regex: qlua.core.regex over regex.h.
//
// compile(pattern, flags) → a pattern object, or nil, err. Positions are 1-based bytes, both ends
// included, as Lua's own string.find has them; an empty match ends one before it begins. A group that
// took no part in the match is false, so that lists have no holes.
#include "regex.h"
#include "task.h"

#include <lauxlib.h>
#include <lua.h>

static const char regex_type[] = "qlua.regex";

static struct ql_regex *check_regex(lua_State *L) {
  struct ql_regex **slot = luaL_checkudata(L, 1, regex_type);
  luaL_argcheck(L, *slot, 1, "the pattern is closed");
  return *slot;
}

static int regex_gc(lua_State *L) {
  struct ql_regex **slot = luaL_checkudata(L, 1, regex_type);
  ql_regex_free(*slot);
  *slot = NULL;
  return 0;
}

static int regex_compile(lua_State *L) {
  size_t len;
  const char *pattern = luaL_checklstring(L, 1, &len);
  const char *flags = luaL_optstring(L, 2, "");
  struct ql_regex **slot = lua_newuserdatauv(L, sizeof(struct ql_regex *), 0);
  *slot = NULL;
  luaL_setmetatable(L, regex_type);
  struct ql_err err;
  *slot = ql_regex_new(pattern, len, flags, &err);
  return *slot ? 1 : ql_push_err(L, &err);
}

static void push_group(lua_State *L, const struct ql_regex *regex, unsigned group, const char *text) {
  size_t from, to;
  if (ql_regex_span(regex, group, &from, &to))
    lua_pushlstring(L, text + from, to - from);
  else
    lua_pushboolean(L, 0);
}

// pattern:find(text [, init]) → from, to, group 1, …; nil when there is none; nil, err at a limit
static int regex_find(lua_State *L) {
  struct ql_regex *regex = check_regex(L);
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  lua_Integer init = luaL_optinteger(L, 3, 1);
  luaL_argcheck(L, init >= 1, 3, "want a position from 1");
  if ((lua_Unsigned)init > len + 1)
    return lua_pushnil(L), 1;
  struct ql_regex_walk walk;
  struct ql_err err;
  ql_regex_walk(&walk, text, len, (size_t)init - 1);
  int rc = ql_regex_next(regex, &walk, &err);
  if (rc < 0)
    return ql_push_err(L, &err);
  if (rc == 0)
    return lua_pushnil(L), 1;
  unsigned groups = ql_regex_groups(regex);
  luaL_checkstack(L, (int)groups + 2, "too many groups");
  size_t from = 0, to = 0;
  ql_regex_span(regex, 0, &from, &to);
  lua_pushinteger(L, (lua_Integer)from + 1);
  lua_pushinteger(L, (lua_Integer)to);
  for (unsigned group = 1; group <= groups; group++)
    push_group(L, regex, group, text);
  return (int)groups + 2;
}

static void push_match(lua_State *L, const struct ql_regex *regex, const char *text) {
  unsigned groups = ql_regex_groups(regex);
  size_t from = 0, to = 0;
  ql_regex_span(regex, 0, &from, &to);
  lua_createtable(L, (int)groups + 2, 0);
  lua_pushinteger(L, (lua_Integer)from + 1);
  lua_rawseti(L, -2, 1);
  lua_pushinteger(L, (lua_Integer)to);
  lua_rawseti(L, -2, 2);
  for (unsigned group = 1; group <= groups; group++) {
    push_group(L, regex, group, text);
    lua_rawseti(L, -2, (lua_Integer)group + 2);
  }
}

// pattern:find_all(text) → { { from, to, group 1, … }, … } or nil, err at a limit
static int regex_find_all(lua_State *L) {
  struct ql_regex *regex = check_regex(L);
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  struct ql_regex_walk walk;
  struct ql_err err;
  ql_regex_walk(&walk, text, len, 0);
  lua_newtable(L);
  lua_Integer count = 0;
  int rc;
  while ((rc = ql_regex_next(regex, &walk, &err)) > 0) {
    push_match(L, regex, text);
    lua_rawseti(L, -2, ++count);
  }
  return rc < 0 ? ql_push_err(L, &err) : 1;
}

// pattern:replace(text, by) → text with every match replaced by the literal `by`, and how many
static int regex_replace(lua_State *L) {
  struct ql_regex *regex = check_regex(L);
  size_t len, by_len;
  const char *text = luaL_checklstring(L, 2, &len);
  const char *by = luaL_checklstring(L, 3, &by_len);
  struct ql_regex_walk walk;
  struct ql_err err;
  ql_regex_walk(&walk, text, len, 0);
  luaL_Buffer buffer; // Lua's memory, so nothing leaks when it raises
  luaL_buffinit(L, &buffer);
  size_t done = 0, from = 0, to = 0;
  lua_Integer count = 0;
  int rc;
  while ((rc = ql_regex_next(regex, &walk, &err)) > 0) {
    ql_regex_span(regex, 0, &from, &to);
    luaL_addlstring(&buffer, text + done, from - done);
    luaL_addlstring(&buffer, by, by_len);
    done = to;
    count++;
  }
  luaL_addlstring(&buffer, text + done, len - done);
  luaL_pushresult(&buffer);
  if (rc < 0)
    return ql_push_err(L, &err);
  lua_pushinteger(L, count);
  return 2;
}

static int regex_groups(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ql_regex_groups(check_regex(L)));
  return 1;
}

int ql_open_regex(lua_State *L);
int ql_open_regex(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"find", regex_find}, {"find_all", regex_find_all}, {"replace", regex_replace}, {"groups", regex_groups},
      {NULL, NULL},
  };
  static const luaL_Reg functions[] = {{"compile", regex_compile}, {NULL, NULL}};
  if (luaL_newmetatable(L, regex_type)) {
    lua_pushcfunction(L, regex_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "qlua.regex");
    lua_setfield(L, -2, "__metatable");
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
