// SPDX-License-Identifier: Apache-2.0
// qlua.core.guard: protected calls with limits, and loading a script into an environment.

#include "guard.h"
#include "task.h"

#include <lauxlib.h>

int ql_open_guard(lua_State *L);

static struct ql_guard *guard_of(lua_State *L) {
  void *guard = NULL;
  lua_getallocf(L, &guard);
  return guard;
}

struct limits {
  size_t memory_bytes;
  uint64_t instructions;
};

static struct limits check_limits(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_getfield(L, arg, "memory_bytes");
  lua_getfield(L, arg, "instructions");
  lua_Integer memory = luaL_optinteger(L, -2, 0), instructions = luaL_optinteger(L, -1, 0);
  luaL_argcheck(L, memory >= 0 && instructions >= 0, arg, "limits are 0 or more");
  lua_pop(L, 2);
  return (struct limits){(size_t)memory, (uint64_t)instructions};
}

// call(limits, fn, ...) → true, results… | false, err
static int call(lua_State *L) {
  struct limits limits = check_limits(L, 1);
  luaL_checkany(L, 2);
  lua_pushboolean(L, 1);
  lua_replace(L, 1);
  struct ql_err err;
  if (ql_guard_call(L, guard_of(L), limits.memory_bytes, limits.instructions, lua_gettop(L) - 2, &err) == 0)
    return lua_gettop(L);
  lua_pushboolean(L, 0);
  ql_push_err_table(L, &err);
  return 2;
}

// resume(limits, co, ...) → "yield" or "end", values… | false, err
static int resume(lua_State *L) {
  struct limits limits = check_limits(L, 1);
  lua_State *co = lua_tothread(L, 2);
  luaL_argcheck(L, co, 2, "want a coroutine");
  int nargs = lua_gettop(L) - 2;
  luaL_argcheck(L, lua_checkstack(co, nargs + 1), 3, "too many values");
  struct ql_err err;
  int status = ql_guard_resume(L, co, guard_of(L), limits.memory_bytes, limits.instructions, nargs, &err);
  if (status < 0) {
    lua_pushboolean(L, 0);
    ql_push_err_table(L, &err);
    return 2;
  }
  lua_pushstring(L, status == 1 ? "yield" : "end");
  lua_replace(L, 2);
  return lua_gettop(L) - 1;
}

// load(source, chunk_name, env) → function | nil, err; text only, bytecode is refused
static int load(lua_State *L) {
  size_t len;
  const char *source = luaL_checklstring(L, 1, &len);
  const char *name = luaL_checkstring(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  if (luaL_loadbufferx(L, source, len, name, "t") != LUA_OK) {
    struct ql_err err;
    ql_fail(&err, QL_E_SCRIPT, "%s", lua_tostring(L, -1));
    return ql_push_err(L, &err);
  }
  lua_pushvalue(L, 3);
  lua_setupvalue(L, -2, 1); // a main chunk's only upvalue is _ENV
  return 1;
}

// memory() → bytes in use by the Lua state, bytes at most so far
static int memory(lua_State *L) {
  struct ql_guard *guard = guard_of(L);
  lua_pushinteger(L, (lua_Integer)guard->used_bytes);
  lua_pushinteger(L, (lua_Integer)guard->peak_bytes);
  return 2;
}

static const luaL_Reg functions[] = {
    {"call", call}, {"resume", resume}, {"load", load}, {"memory", memory}, {NULL, NULL},
};

int ql_open_guard(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
