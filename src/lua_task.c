// SPDX-License-Identifier: Apache-2.0
// qlua.core.task: spawn, sleep, park and wake, signals: what Lua needs to build waiting of its own.

#include "task.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

int ql_open_task(lua_State *L);

static int spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  ql_task_spawn(L, lua_gettop(L) - 1);
  return 0;
}

// ---- sleep --------------------------------------------------------------------------------------------

static int push_nothing(lua_State *L, void *arg) {
  (void)L;
  (void)arg;
  return 0;
}

static void awake(void *arg) { ql_task_wake(arg, push_nothing, NULL); }

static int sleep_ms(lua_State *L) {
  lua_Number ms = luaL_checknumber(L, 1);
  luaL_argcheck(L, ms >= 0 && ms < 1e12, 1, "want milliseconds, 0 or more");
  struct ql_task *task = ql_task_park(L);
  ql_timer_start(ql_task_loop(L), (uint64_t)(ms + 0.999), awake, task);
  return ql_task_yield(L);
}

// ---- park and wake --------------------------------------------------------------------------------------

struct parcel { // what wake was given: a reference to a table of its arguments
  int ref;
  int count;
};

static int push_parcel(lua_State *L, void *arg) {
  struct parcel *parcel = arg;
  if (!L) {
    free(parcel);
    return 0;
  }
  int ref = parcel->ref, count = parcel->count;
  free(parcel);
  lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
  luaL_unref(L, LUA_REGISTRYINDEX, ref);
  luaL_checkstack(L, count + 1, "too many results");
  for (int i = 1; i <= count; i++)
    lua_rawgeti(L, -i, i);
  return count;
}

// wake(...): upvalue 1 is the task, nil once used. Says whether it woke somebody.
static int wake(lua_State *L) {
  struct ql_task *task = lua_touserdata(L, lua_upvalueindex(1));
  if (!task) {
    lua_pushboolean(L, 0);
    return 1;
  }
  int count = lua_gettop(L);
  lua_createtable(L, count, 0);
  for (int i = 1; i <= count; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, i);
  }
  int ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushnil(L);
  lua_replace(L, lua_upvalueindex(1));
  struct parcel *parcel = ql_malloc(sizeof *parcel);
  *parcel = (struct parcel){ref, count};
  ql_task_wake(task, push_parcel, parcel);
  lua_pushboolean(L, 1);
  return 1;
}

// park(start): calls start(wake), waits for wake(...), returns its arguments.
static int park(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  struct ql_task *task = ql_task_park(L);
  lua_pushlightuserdata(L, task);
  lua_pushcclosure(L, wake, 1);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) { // start may have kept wake: it must not wake a task that went on
    lua_pushnil(L);
    lua_setupvalue(L, 2, 1);
    ql_task_unpark(L, task);
    return lua_error(L);
  }
  return ql_task_yield(L);
}

// ---- signals --------------------------------------------------------------------------------------------

static char signal_key; // registry table: signum → function

static void on_signal(int signum, void *arg) {
  lua_State *L = arg;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &signal_key);
  lua_rawgeti(L, -1, signum);
  lua_remove(L, -2);
  if (lua_isfunction(L, -1)) {
    lua_pushinteger(L, signum);
    ql_task_call(L, 1);
  } else {
    lua_pop(L, 1);
  }
}

static int watch_signal(lua_State *L) {
  int signum = (int)luaL_checkinteger(L, 1);
  bool is_on = !lua_isnoneornil(L, 2);
  if (is_on)
    luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &signal_key);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, signum);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *main = lua_tothread(L, -1); // never the coroutine that happened to ask
  struct ql_err err;
  if (ql_loop_on_signal(ql_task_loop(L), signum, is_on ? on_signal : NULL, main, &err) != 0)
    return ql_push_err(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static int is_mark(lua_State *L) {
  lua_pushboolean(L, ql_task_is_mark(L, 1));
  return 1;
}

// seal(on): see ql_task_seal; calls come in pairs
static int seal(lua_State *L) {
  ql_task_seal(L, lua_toboolean(L, 1));
  return 0;
}

static const luaL_Reg functions[] = {
    {"is_mark", is_mark}, {"seal", seal}, {"spawn", spawn}, {"sleep", sleep_ms}, {"park", park}, {"on_signal", watch_signal}, {NULL, NULL},
};

int ql_open_task(lua_State *L) {
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &signal_key);
  luaL_newlib(L, functions);
  lua_pushinteger(L, SIGINT);
  lua_setfield(L, -2, "SIGINT");
  lua_pushinteger(L, SIGTERM);
  lua_setfield(L, -2, "SIGTERM");
  lua_pushinteger(L, SIGHUP);
  lua_setfield(L, -2, "SIGHUP");
  lua_pushinteger(L, SIGWINCH);
  lua_setfield(L, -2, "SIGWINCH");
  return 1;
}
