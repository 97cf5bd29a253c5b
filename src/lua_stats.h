// SPDX-License-Identifier: Apache-2.0
// lua_stats: what the two files of the statistics binding share.
#ifndef QL_LUA_STATS_H
#define QL_LUA_STATS_H

#include "stats.h"

#include <lauxlib.h>
#include <lua.h>

extern const luaL_Reg ql_stats_samples_functions[]; // lua_stats_samples.c

void ql_stats_push(lua_State *L, double value); // NaN becomes nil, a whole number an integer where asked below
void ql_stats_set(lua_State *L, const char *field, double value);
void ql_stats_set_count(lua_State *L, const char *field, double value); // an integer when it is whole
void ql_stats_set_range(lua_State *L, const char *field, struct ql_stats_range range); // { lo=, hi= }
void ql_stats_set_t(lua_State *L, const struct ql_stats_t *t);
double ql_stats_check_level(lua_State *L, int arg); // 0.95 when absent
double ql_stats_check_number(lua_State *L, int arg, const char *name); // a number that is not NaN
// A private copy of the numbers at arg, left as a userdata on top of the stack.
double *ql_stats_check_numbers(lua_State *L, int arg, const char *name, size_t *count);

#endif
