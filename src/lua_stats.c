// SPDX-License-Identifier: Apache-2.0
// lua_stats: the statistics for Lua, `require "qlua.core.stats"`.
//
// Numbers come as a list (a table) or packed (a string of 8-byte native doubles, as string.pack("d…") writes them).
// Misuse raises and names the argument; what is undefined (NaN in C) is nil, so that no NaN wanders into a report.
// The working copy of a list is a userdata on the Lua stack: nothing can leak when a later argument raises.

#include "stats.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <string.h>

int ql_open_stats(lua_State *L);

static void push_number(lua_State *L, double value) {
  if (isnan(value))
    lua_pushnil(L);
  else
    lua_pushnumber(L, value);
}

static double check_level(lua_State *L, int arg) {
  double level = luaL_optnumber(L, arg, 0.95);
  luaL_argcheck(L, level > 0 && level < 1, arg, "level: want a number between 0 and 1");
  return level;
}

static double *unpack_list(lua_State *L, int arg, const char *name, size_t *count) {
  *count = lua_rawlen(L, arg);
  double *values = lua_newuserdatauv(L, (*count ? *count : 1) * sizeof *values, 0);
  for (size_t i = 0; i < *count; i++) {
    int is_number = 0;
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    values[i] = lua_tonumberx(L, -1, &is_number);
    if (!is_number || isnan(values[i]))
      luaL_error(L, "bad argument #%d: %s[%I]: want a number, got %s", arg, name, (LUAI_UACINT)(i + 1),
                 is_number ? "nan" : luaL_typename(L, -1));
    lua_pop(L, 1);
  }
  return values;
}

static double *unpack_string(lua_State *L, int arg, const char *name, size_t *count) {
  size_t bytes = 0;
  const char *packed = lua_tolstring(L, arg, &bytes);
  if (bytes % sizeof(double))
    luaL_error(L, "bad argument #%d: %s: want packed doubles, got %I bytes", arg, name, (LUAI_UACINT)bytes);
  *count = bytes / sizeof(double);
  double *values = lua_newuserdatauv(L, bytes ? bytes : 1, 0);
  memcpy(values, packed, bytes);
  for (size_t i = 0; i < *count; i++)
    if (isnan(values[i]))
      luaL_error(L, "bad argument #%d: %s[%I]: want a number, got nan", arg, name, (LUAI_UACINT)(i + 1));
  return values;
}

// A private copy of the numbers at arg, left as a userdata on top of the stack. Any NaN raises.
static double *check_numbers(lua_State *L, int arg, const char *name, size_t *count) {
  if (lua_type(L, arg) == LUA_TSTRING)
    return unpack_string(L, arg, name, count);
  if (lua_type(L, arg) != LUA_TTABLE)
    luaL_error(L, "bad argument #%d: %s: want a list of numbers or packed doubles, got %s", arg, name,
               luaL_typename(L, arg));
  return unpack_list(L, arg, name, count);
}

// wilson(k, n, level) → lo, hi
static int wilson(lua_State *L) {
  double k = luaL_checknumber(L, 1), n = luaL_checknumber(L, 2), level = check_level(L, 3);
  double lo, hi;
  luaL_argcheck(L, n >= 0 && !isinf(n), 2, "n: want a count");
  luaL_argcheck(L, k >= 0 && k <= n, 1, "k: want a count from 0 to n");
  ql_stats_wilson(k, n, level, &lo, &hi);
  push_number(L, lo);
  push_number(L, hi);
  return 2;
}

static double check_share(lua_State *L, double q) {
  if (!(q >= 0 && q <= 1))
    luaL_error(L, "bad argument #2: q: want a number from 0 to 1, got %f", q);
  return q;
}

// quantile(values, q) → number, or for a list of q a list
static int quantile(lua_State *L) {
  lua_settop(L, 2);
  size_t count = 0, wanted = 0;
  double *values = check_numbers(L, 1, "values", &count);
  ql_stats_sort(values, count);
  if (lua_type(L, 2) != LUA_TTABLE) {
    push_number(L, ql_stats_quantile_sorted(values, count, check_share(L, luaL_checknumber(L, 2))));
    return 1;
  }
  double *shares = check_numbers(L, 2, "q", &wanted);
  lua_createtable(L, (int)wanted, 0);
  for (size_t i = 0; i < wanted; i++) {
    push_number(L, ql_stats_quantile_sorted(values, count, check_share(L, shares[i])));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

int ql_open_stats(lua_State *L) {
  static const luaL_Reg functions[] = {{"wilson", wilson}, {"quantile", quantile}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
