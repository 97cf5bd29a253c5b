// SPDX-License-Identifier: Apache-2.0
// lua_http: what the two files of the HTTP binding share.
#ifndef QL_LUA_HTTP_H
#define QL_LUA_HTTP_H

#include "http.h"

#include <lauxlib.h>
#include <lua.h>

#define QL_HTTP_STAMP_BYTES 12 // per event: end_offset in 4, at_ns in 8, little-endian

void ql_http_set_time(lua_State *L, const char *name, uint64_t value); // into the table at the top; not a 0
void ql_http_set_flag(lua_State *L, const char *name, bool value);     // not a false
// One event with what every event has; what few have is added by the caller.
void ql_http_push_event(lua_State *L, const char *data, size_t len, uint64_t at_ns, uint64_t bytes);
int ql_http_split_events(lua_State *L); // (body, stamps) → events

#endif
