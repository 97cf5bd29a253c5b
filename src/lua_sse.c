// SPDX-License-Identifier: Apache-2.0
// qlua.core.sse: split(body, stamps) → the events of a stored stream, as qlua.core.http gave them when it arrived.
//
// A stored reply is its raw bytes and one stamp per event (12 bytes little-endian: end offset, CLOCK_MONOTONIC
// ns); this puts the two together again. The parser lives in a userdata, since pushing events may raise.

#include "sse.h"
#include "task.h"

#include <lauxlib.h>

int ql_open_sse(lua_State *L);

enum { STAMP_BYTES = 12, MAX_EVENT_BYTES = 64 << 20 };

struct split {
  lua_State *L;
  const unsigned char *stamps;
  size_t stamp_count;
  lua_Integer count;
};

static uint64_t stamp_at(const struct split *split, size_t index) {
  const unsigned char *at = split->stamps + index * STAMP_BYTES + 4;
  uint64_t at_ns = 0;
  for (int byte = 7; byte >= 0; byte--)
    at_ns = at_ns << 8 | at[byte];
  return at_ns;
}

static void on_event(void *arg, const struct ql_sse_event *event) {
  struct split *split = arg;
  lua_State *L = split->L;
  lua_createtable(L, 0, 2);
  lua_pushlstring(L, event->data, event->data_len);
  lua_setfield(L, -2, "data");
  if ((size_t)split->count < split->stamp_count) {
    lua_pushinteger(L, (lua_Integer)stamp_at(split, (size_t)split->count));
    lua_setfield(L, -2, "at_ns");
  }
  lua_rawseti(L, 3, ++split->count); // the list is the function's third value
}

static int free_parser(lua_State *L) {
  ql_sse_free(lua_touserdata(L, 1));
  return 0;
}

static int split(lua_State *L) {
  size_t len, stamp_bytes;
  const char *body = luaL_checklstring(L, 1, &len);
  const char *stamps = luaL_checklstring(L, 2, &stamp_bytes);
  lua_settop(L, 2);
  lua_newtable(L);
  struct ql_sse *sse = lua_newuserdatauv(L, sizeof *sse, 0);
  ql_sse_init(sse, MAX_EVENT_BYTES);
  luaL_setmetatable(L, "qlua.sse");
  struct split state = {L, (const unsigned char *)stamps, stamp_bytes / STAMP_BYTES, 0};
  struct ql_err err;
  if (ql_sse_feed(sse, body, len, 0, on_event, &state, &err) != 0 || ql_sse_end(sse, on_event, &state, &err) != 0)
    return ql_push_err(L, &err);
  lua_settop(L, 3);
  return 1;
}

static const luaL_Reg functions[] = {{"split", split}, {NULL, NULL}};

int ql_open_sse(lua_State *L) {
  luaL_newmetatable(L, "qlua.sse");
  lua_pushcfunction(L, free_parser);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, functions);
  return 1;
}
