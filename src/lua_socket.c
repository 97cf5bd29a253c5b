// SPDX-License-Identifier: Apache-2.0
// lua_socket: qlua.core.socket: a port held for a server that is about to start, and whose the listening sockets are,
// and our own connections ended.
//
// A held port is a userdata that owns one descriptor: closed by :close(), or when it is collected.

#include "proc_socket.h"
#include "task.h"

#include <lauxlib.h>
#include <unistd.h>

#define HELD "qlua.socket.held"

int ql_open_socket(lua_State *L);

struct held {
  int fd, port;
};

static int held_close(lua_State *L) {
  struct held *held = luaL_checkudata(L, 1, HELD);
  if (held->fd >= 0)
    close(held->fd);
  held->fd = -1;
  return 0;
}

static int held_port(lua_State *L) {
  lua_pushinteger(L, ((struct held *)luaL_checkudata(L, 1, HELD))->port);
  return 1;
}

// hold(host, port) -> held; or nil, err
static int hold(lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  lua_Integer port = luaL_optinteger(L, 2, 0);
  luaL_argcheck(L, port >= 0 && port <= 65535, 2, "want a port from 0 to 65535");
  struct held *held = lua_newuserdatauv(L, sizeof *held, 0);
  *held = (struct held){.fd = -1, .port = (int)port};
  luaL_setmetatable(L, HELD);
  struct ql_err err = {0};
  held->fd = ql_port_hold(host, &held->port, &err);
  return held->fd < 0 ? ql_push_err(L, &err) : 1;
}

// listeners(pids, { host=, port= } or { path= }) -> { ours=, others=, blind= }
static int listeners(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_getfield(L, 2, "host");
  lua_getfield(L, 2, "port");
  lua_getfield(L, 2, "path");
  const char *host = luaL_optstring(L, 3, NULL), *path = luaL_optstring(L, 5, NULL);
  lua_Integer port = luaL_optinteger(L, 4, 0);
  size_t count = lua_rawlen(L, 1);
  pid_t *pids = lua_newuserdatauv(L, (count + 1) * sizeof *pids, 0);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i + 1);
    pids[i] = (pid_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
  }
  struct ql_listeners found = ql_listeners_find(pids, count, host, (int)port, path);
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, found.ours);
  lua_setfield(L, -2, "ours");
  lua_pushinteger(L, found.others);
  lua_setfield(L, -2, "others");
  lua_pushboolean(L, found.is_blind);
  lua_setfield(L, -2, "blind");
  return 1;
}

// clear(path) -> true; or nil, err
static int clear(lua_State *L) {
  struct ql_err err = {0};
  if (ql_socket_clear(luaL_checkstring(L, 1), &err) != 0)
    return ql_push_err(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

// shut{ host=, port= } or { path= } -> how many connections of ours to it were ended
static int shut(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "host");
  lua_getfield(L, 1, "port");
  lua_getfield(L, 1, "path");
  const char *host = luaL_optstring(L, 2, "127.0.0.1"), *path = luaL_optstring(L, 4, NULL);
  lua_pushinteger(L, ql_connections_shut(host, (int)luaL_optinteger(L, 3, 0), path));
  return 1;
}

int ql_open_socket(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", held_close}, {"__close", held_close}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"close", held_close}, {"port", held_port}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"hold", hold}, {"listeners", listeners}, {"shut", shut}, {"clear", clear}, {NULL, NULL}};
  luaL_newmetatable(L, HELD);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
