// SPDX-License-Identifier: Apache-2.0
// host: see host.h. One Lua state, its module searcher, the first task.
//
// Owns the state and the guard that its allocator counts in. Modules named qlua.* come from the build's
// embedded table, or in a debug build from the source tree, so that an edited script needs no build.
// package.path and package.cpath are empty: what a user's script may require is the registry's business.

#include "host.h"
#include "guard.h"
#include "task.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ql_host {
  lua_State *L;
  struct ql_loop *loop;
  struct ql_guard guard;
  int exit_code;
};

#define QL_BINDING(name) int ql_open_##name(lua_State *L);
#include "bindings.inc"
#undef QL_BINDING

static const luaL_Reg bindings[] = {
#define QL_BINDING(name) {"qlua.core." #name, ql_open_##name},
#include "bindings.inc"
#undef QL_BINDING
    {NULL, NULL},
};

static const struct ql_embedded *find_embedded(const char *path) {
  for (const struct ql_embedded *file = ql_embedded; file->path; file++)
    if (strcmp(file->path, path) == 0)
      return file;
  return NULL;
}

// Loads lua/<path> as a chunk named after it; leaves nothing and returns false when there is none.
static bool load_module(lua_State *L, const char *path) {
  const struct ql_embedded *file = find_embedded(path);
  if (file) {
    const char *chunk = lua_pushfstring(L, "@%s", path);
    if (luaL_loadbufferx(L, file->source, file->len, chunk, "t") != LUA_OK)
      lua_error(L);
    lua_remove(L, -2);
    return true;
  }
#if !QL_EMBED
  const char *disk = lua_pushfstring(L, "%s/%s", QL_SOURCE_ROOT, path);
  FILE *probe = fopen(disk, "rb");
  if (probe) {
    fclose(probe);
    if (luaL_loadfilex(L, disk, "t") != LUA_OK)
      lua_error(L);
    lua_remove(L, -2);
    return true;
  }
  lua_pop(L, 1);
#endif
  return false;
}

// package.searchers entry: "qlua" → lua/qlua/init.lua, "qlua.a.b" → lua/qlua/a/b.lua.
static int search(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (strncmp(name, "qlua", 4) != 0 || (name[4] && name[4] != '.')) {
    lua_pushfstring(L, "no module '%s' of the runtime", name);
    return 1;
  }
  luaL_gsub(L, name, ".", "/");
  const char *path = lua_pushfstring(L, name[4] ? "lua/%s.lua" : "lua/%s/init.lua", lua_tostring(L, -1));
  if (load_module(L, path)) {
    lua_pushstring(L, path);
    return 2;
  }
  lua_pushfstring(L, "no file '%s'", path);
  return 1;
}

static int err_tostring(lua_State *L) {
  lua_getfield(L, 1, "text");
  return 1;
}

static int setup(lua_State *L) {
  luaL_openlibs(L);
  luaL_newmetatable(L, "qlua.err");
  lua_pushcfunction(L, err_tostring);
  lua_setfield(L, -2, "__tostring");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (const luaL_Reg *binding = bindings; binding->name; binding++) {
    lua_pushcfunction(L, binding->func);
    lua_setfield(L, -2, binding->name);
  }
  lua_getglobal(L, "package");
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "path");
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "cpath");
  lua_getfield(L, -1, "searchers");
  lua_pushcfunction(L, search);
  lua_rawseti(L, -2, 2); // after preload, in place of the one for package.path
  return 0;
}

struct ql_host *ql_host_open(struct ql_loop *loop, struct ql_err *err) {
  struct ql_host *host = ql_calloc(1, sizeof *host);
  host->loop = loop;
  host->L = lua_newstate(ql_guard_alloc, &host->guard);
  if (!host->L) {
    free(host);
    ql_fail(err, QL_E_INTERNAL, "cannot make a Lua state");
    return NULL;
  }
  ql_task_setup(host->L, loop);
  lua_pushcfunction(host->L, setup);
  if (lua_pcall(host->L, 0, 0, 0) != LUA_OK) {
    ql_fail(err, QL_E_INTERNAL, "%s", lua_tostring(host->L, -1));
    ql_host_close(host);
    return NULL;
  }
  lua_gc(host->L, LUA_GCGEN, 0, 0); // most of what a sample makes dies with it; task.c sets its pace
  return host;
}

void ql_host_close(struct ql_host *host) {
  if (!host)
    return;
  void *memory = ql_task_memory(host->L);
  ql_task_teardown(host->L);
  lua_close(host->L);
  ql_loop_turn(host->loop, 0); // close callbacks of handles that finalizers closed
  ql_task_release(memory);
  ql_pool_free(&host->guard.pool);
  free(host);
}

static int finish(lua_State *L, int status, lua_KContext context) {
  struct ql_host *host = (struct ql_host *)context;
  if (status == LUA_OK || status == LUA_YIELD) {
    host->exit_code = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : 0;
  } else {
    fprintf(stderr, "qlua: internal error: %s\n", luaL_tolstring(L, -1, NULL));
    host->exit_code = 5;
  }
  ql_loop_stop(host->loop);
  return 0;
}

static int traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

// The first task: require "qlua.main" and call it with argv.
static int run_main(lua_State *L) {
  lua_KContext context = (lua_KContext)lua_touserdata(L, 1);
  lua_pushcfunction(L, traceback);
  lua_insert(L, 2);
  int status = LUA_OK;
  lua_getglobal(L, "require");
  lua_pushliteral(L, "qlua.main");
  status = lua_pcall(L, 1, 1, 2);
  if (status != LUA_OK)
    return finish(L, status, context);
  lua_pushvalue(L, 3); // argv
  return finish(L, lua_pcallk(L, 1, 1, 2, context, finish), context);
}

static int spawn_main(lua_State *L) {
  lua_pushcfunction(L, run_main);
  lua_insert(L, 1);
  ql_task_spawn(L, 2);
  return 0;
}

int ql_host_run(struct ql_host *host, int argc, char **argv) {
  lua_State *L = host->L;
  host->exit_code = 5;
  lua_pushcfunction(L, spawn_main);
  lua_pushlightuserdata(L, host);
  lua_createtable(L, argc, 0);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i); // argv[0] is the program, argv[1] the command
  }
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
    fprintf(stderr, "qlua: internal error: %s\n", lua_tostring(L, -1));
    return 5;
  }
  ql_loop_run(host->loop);
  return host->exit_code;
}
