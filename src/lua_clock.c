// SPDX-License-Identifier: Apache-2.0
// qlua.core.clock: the two clocks, and how people write the second one.

#include "task.h"

#include <lauxlib.h>
#include <time.h>

int ql_open_clock(lua_State *L);

static int now_ns(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ql_now_ns());
  return 1;
}

static int wall_ns(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ql_wall_ns());
  return 1;
}

static int format(lua_State *L, const char *pattern, struct tm *(*split)(const time_t *, struct tm *)) {
  lua_Integer wall = luaL_optinteger(L, 1, (lua_Integer)ql_wall_ns());
  time_t seconds = (time_t)(wall / 1000000000);
  struct tm parts;
  char text[64];
  split(&seconds, &parts);
  lua_pushlstring(L, text, strftime(text, sizeof text, pattern, &parts));
  return 1;
}

static int iso(lua_State *L) { return format(L, "%Y-%m-%dT%H:%M:%SZ", gmtime_r); }
static int stamp(lua_State *L) { return format(L, "%Y%m%d_%H%M%S", localtime_r); }

// http_date(text): seconds since 1970 of an RFC 9110 date (IMF-fixdate, the only form servers may send), or nil.
static int http_date(lua_State *L) {
  struct tm parts = {0};
  const char *rest = strptime(luaL_checkstring(L, 1), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (!rest || *rest)
    return 0;
  lua_pushinteger(L, (lua_Integer)timegm(&parts));
  return 1;
}

static const luaL_Reg functions[] = {
    {"now_ns", now_ns}, {"wall_ns", wall_ns}, {"iso", iso}, {"stamp", stamp}, {"http_date", http_date}, {NULL, NULL},
};

int ql_open_clock(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
