// SPDX-License-Identifier: Apache-2.0
// lua_json: what the files of the JSON binding share.
#ifndef QL_LUA_JSON_H
#define QL_LUA_JSON_H

#include "base.h"

#include <lua.h>

#define QL_JSON_MAX_DEPTH 200
#define QL_JSON_TWO_53 9007199254740992.0

// Pushes the value of a text that is strict JSON, integers as integers. False, with nothing pushed, for any other text,
// and for what is rare in JSON: the general decoder knows what it is worth. `scratch` is for texts with escapes.
bool ql_json_read(lua_State *L, const char *text, size_t len, struct ql_buf *scratch);

#endif
