// SPDX-License-Identifier: Apache-2.0
// lua_http_events: the events of a reply as tables, from the reply itself or from its stored bytes and stamps.
// qlua.core.http has it all; as a module of its own it is only there because every binding is one.

#include "lua_http.h"
#include "sse.h"

#include <string.h>

int ql_open_http_events(lua_State *L);

#define SPLITTER "qlua.http.splitter"

void ql_http_set_time(lua_State *L, const char *name, uint64_t value) {
  if (!value)
    return;
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

void ql_http_set_flag(lua_State *L, const char *name, bool value) {
  if (!value)
    return;
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, name);
}

// One event with what every event has; what few have is added by the caller.
void ql_http_push_event(lua_State *L, const char *data, size_t len, uint64_t at_ns, uint64_t bytes) {
  lua_createtable(L, 0, 3);
  lua_pushlstring(L, data, len);
  lua_setfield(L, -2, "data");
  ql_http_set_time(L, "at_ns", at_ns);
  lua_pushinteger(L, (lua_Integer)bytes);
  lua_setfield(L, -2, "bytes");
}

// ---- a stored stream, split again -------------------------------------------------------------------------

// Lives in a userdata: the callback below raises when memory ends, and then the collector frees the parser.
struct splitter {
  struct ql_sse sse;
  lua_State *L;
  const char *stamps;
  size_t stamp_count;
  lua_Integer count;
  uint64_t before;
};

static int splitter_gc(lua_State *L) {
  struct splitter *splitter = luaL_checkudata(L, 1, SPLITTER);
  ql_sse_free(&splitter->sse);
  return 0;
}

static uint64_t read_stamp(const char *stamp) {
  uint64_t at_ns = 0;
  for (unsigned byte = 0; byte < 8; byte++)
    at_ns |= (uint64_t)(unsigned char)stamp[4 + byte] << (8 * byte);
  return at_ns;
}

// A body that was no event stream when it came has no stamps, and so no events now.
static void on_split_event(void *arg, const struct ql_sse_event *event) {
  struct splitter *splitter = arg;
  lua_State *L = splitter->L;
  if ((size_t)splitter->count >= splitter->stamp_count)
    return;
  ql_http_push_event(L, event->data, event->data_len, read_stamp(splitter->stamps + QL_HTTP_STAMP_BYTES * splitter->count),
             event->end_offset - splitter->before);
  ql_http_set_flag(L, "done", event->kind == QL_SSE_DONE);
  ql_http_set_flag(L, "incomplete", event->incomplete);
  if (event->name_len) {
    lua_pushlstring(L, event->name, event->name_len);
    lua_setfield(L, -2, "name");
  }
  splitter->before = event->end_offset;
  lua_rawseti(L, -2, ++splitter->count);
}

// split_events(body, stamps) → events, as they were in the reply
int ql_http_split_events(lua_State *L) {
  size_t len, stamps_len;
  const char *body = luaL_checklstring(L, 1, &len);
  const char *stamps = luaL_checklstring(L, 2, &stamps_len);
  luaL_argcheck(L, stamps_len % QL_HTTP_STAMP_BYTES == 0, 2, "want 12 bytes per event");
  struct splitter *splitter = lua_newuserdatauv(L, sizeof *splitter, 0);
  *splitter = (struct splitter){.L = L, .stamps = stamps, .stamp_count = stamps_len / QL_HTTP_STAMP_BYTES};
  ql_sse_init(&splitter->sse, 0);
  if (luaL_newmetatable(L, SPLITTER)) {
    lua_pushcfunction(L, splitter_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  lua_createtable(L, (int)splitter->stamp_count, 0);
  ql_sse_feed(&splitter->sse, body, len, 0, on_split_event, splitter, NULL);
  ql_sse_end(&splitter->sse, on_split_event, splitter, NULL);
  return 1;
}

int ql_open_http_events(lua_State *L) {
  static const luaL_Reg functions[] = {{"split_events", ql_http_split_events}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
