// SPDX-License-Identifier: Apache-2.0
// qlua.core.sim: the simulated server's transport. serve(options, on_request) → server.
//
// on_request(request) gets { method, path, query, headers, body } and returns a plan (docs/sim.md), all inside
// one protected call; it must not wait. An error in it is logged and answered with a 500. Not obvious: while a
// plan is read from its table it belongs to a userdata, so that a malformed table leaks nothing.

#include "sim.h"
#include "task.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

int ql_open_sim(lua_State *L);

#define SERVER_TYPE "qlua.sim.server"
#define PLAN_TYPE "qlua.sim.plan"

struct server {
  struct ql_sim *sim;
  lua_State *L; // the main state: the transport calls back outside of any task
  int handler, self; // references; self keeps the server alive while it is open
};

// ---- a plan from its table ------------------------------------------------------------------------------

static int collect_plan(lua_State *L) {
  struct ql_sim_plan **held = lua_touserdata(L, 1);
  ql_sim_plan_free(*held);
  *held = NULL;
  return 0;
}

static double number_field(lua_State *L, int table, const char *name, double least, double most) {
  double value = 0;
  if (lua_getfield(L, table, name) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TNUMBER)
      luaL_error(L, "plan: field '%s' is a %s (want a number)", name, luaL_typename(L, -1));
    value = lua_tonumber(L, -1);
    if (!(value >= least && value <= most))
      luaL_error(L, "plan: field '%s' is %f (want %f to %f)", name, value, least, most);
  }
  lua_pop(L, 1);
  return value;
}

static uint64_t ns_field(lua_State *L, int table, const char *name) {
  return (uint64_t)(number_field(L, table, name, 0, 1e9) * 1e6);
}

static size_t count_field(lua_State *L, int table, const char *name) {
  return (size_t)number_field(L, table, name, 0, 1e12);
}

static bool flag_field(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

static void read_headers(lua_State *L, int table, struct ql_sim_plan *plan) {
  if (lua_getfield(L, table, "headers") == LUA_TTABLE) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
        luaL_error(L, "plan: headers want names and values that are text");
      ql_sim_plan_header(plan, lua_tostring(L, -2), lua_tostring(L, -1));
    }
  }
  lua_pop(L, 1);
}

// One event: text, or { data= | bytes=, after_ms= }. pause_ns is for those that bring none.
static void read_event(lua_State *L, struct ql_sim_plan *plan, lua_Integer index, uint64_t pause_ns) {
  size_t len;
  if (lua_type(L, -1) == LUA_TSTRING) {
    const char *data = lua_tolstring(L, -1, &len);
    ql_sim_plan_event(plan, data, len, pause_ns);
    return;
  }
  if (!lua_istable(L, -1))
    luaL_error(L, "plan: event %I is a %s (want text or a table)", index, luaL_typename(L, -1));
  int event = lua_gettop(L);
  if (lua_getfield(L, event, "after_ms") != LUA_TNIL)
    pause_ns = ns_field(L, event, "after_ms");
  bool verbatim = lua_getfield(L, event, "bytes") != LUA_TNIL;
  if (!verbatim)
    lua_getfield(L, event, "data");
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "plan: event %I has neither data nor bytes", index);
  const char *text = lua_tolstring(L, -1, &len);
  if (verbatim)
    ql_sim_plan_bytes(plan, text, len, pause_ns);
  else
    ql_sim_plan_event(plan, text, len, pause_ns);
  lua_settop(L, event);
}

// events, with the pauses before them in after_ms: one number for all but the first, or a list.
static void read_events(lua_State *L, int table, struct ql_sim_plan *plan) {
  int events = lua_gettop(L);
  bool listed = lua_getfield(L, table, "after_ms") == LUA_TTABLE;
  uint64_t pause_ns = listed ? 0 : ns_field(L, table, "after_ms");
  int pauses = lua_gettop(L);
  lua_Integer count = luaL_len(L, events);
  for (lua_Integer i = 1; i <= count; i++) {
    if (listed) {
      lua_rawgeti(L, pauses, i);
      pause_ns = (uint64_t)(luaL_optnumber(L, -1, 0) * 1e6);
      lua_pop(L, 1);
    }
    lua_rawgeti(L, events, i);
    read_event(L, plan, i, i > 1 || listed ? pause_ns : 0);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static void read_fault(lua_State *L, int table, struct ql_sim_fault *fault) {
  static const char *const names[] = {"stall", "close", "rst", "hang"}; // in the order of enum ql_sim_end
  if (lua_getfield(L, table, "fault") == LUA_TTABLE) {
    int at = lua_gettop(L);
    lua_getfield(L, at, "kind");
    const char *kind = luaL_optstring(L, -1, "");
    size_t i = 0;
    while (i < QL_LEN(names) && strcmp(kind, names[i]) != 0)
      i++;
    if (i == QL_LEN(names))
      luaL_error(L, "plan: fault kind '%s' is unknown (want stall, close, rst or hang)", kind);
    fault->end = (enum ql_sim_end)i;
    fault->after_bytes = count_field(L, at, "after_bytes");
    fault->after_events = count_field(L, at, "after_events");
    fault->stall_ns = ns_field(L, at, "stall_ms");
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static void read_options(lua_State *L, int table, struct ql_sim_plan *plan) {
  plan->raw = flag_field(L, table, "raw");
  plan->stamp = flag_field(L, table, "stamp");
  plan->crlf = flag_field(L, table, "crlf");
  plan->first_ns = ns_field(L, table, "first_ms");
  plan->split_bytes = count_field(L, table, "split_bytes");
  plan->wire_bytes = count_field(L, table, "wire_bytes");
  plan->coalesce = count_field(L, table, "coalesce");
  plan->comments = count_field(L, table, "comments");
  lua_getfield(L, table, "finish");
  if (lua_isstring(L, -1))
    plan->finish = strcmp(lua_tostring(L, -1), "length") == 0 ? QL_SIM_LENGTH : QL_SIM_STOP;
  lua_pop(L, 1);
  read_fault(L, table, &plan->fault);
}

// Pushes a userdata that owns the plan described by the table.
static struct ql_sim_plan **read_plan(lua_State *L, int table) {
  luaL_checktype(L, table, LUA_TTABLE);
  struct ql_sim_plan **held = lua_newuserdatauv(L, sizeof *held, 0);
  *held = NULL;
  luaL_setmetatable(L, PLAN_TYPE);
  int owner = lua_gettop(L), status = (int)number_field(L, table, "status", 0, 999);
  struct ql_sim_plan *plan = *held = ql_sim_plan_new(status ? status : 200);
  read_options(L, table, plan);
  read_headers(L, table, plan);
  if (lua_getfield(L, table, "events") == LUA_TTABLE) {
    plan->stream = true;
    read_events(L, table, plan);
  } else if (lua_getfield(L, table, "body") == LUA_TSTRING) {
    size_t len;
    const char *body = lua_tolstring(L, -1, &len);
    ql_buf_add(&plan->text, body, len);
  }
  lua_settop(L, owner);
  return held;
}

// ---- requests -------------------------------------------------------------------------------------------

static void push_request(lua_State *L, const struct ql_sim_exchange *exchange) {
  const char *target = ql_sim_target(exchange), *query = strchr(target, '?'), *name, *value;
  size_t len;
  lua_createtable(L, 0, 5);
  lua_pushstring(L, ql_sim_method(exchange));
  lua_setfield(L, -2, "method");
  lua_pushlstring(L, target, query ? (size_t)(query - target) : strlen(target));
  lua_setfield(L, -2, "path");
  lua_pushstring(L, query ? query + 1 : NULL);
  lua_setfield(L, -2, "query");
  const char *body = ql_sim_body(exchange, &len);
  lua_pushlstring(L, body, len);
  lua_setfield(L, -2, "body");
  lua_createtable(L, 0, 8);
  for (size_t i = 0; ql_sim_header(exchange, i, &name, &value); i++) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
  }
  lua_setfield(L, -2, "headers");
}

// Protected by ql_task_call: (server, exchange) as light userdata.
static int answer(lua_State *L) {
  const struct server *server = lua_touserdata(L, 1);
  struct ql_sim_exchange *exchange = lua_touserdata(L, 2);
  lua_rawgeti(L, LUA_REGISTRYINDEX, server->handler);
  push_request(L, exchange);
  lua_call(L, 1, 1);
  struct ql_sim_plan **held = read_plan(L, lua_gettop(L)), *plan = *held;
  *held = NULL;
  ql_sim_answer(exchange, plan);
  return 0;
}

static void on_request(struct ql_sim_exchange *exchange, void *arg) {
  struct server *server = arg;
  lua_State *L = server->L;
  if (!lua_checkstack(L, 8))
    return;
  lua_pushcfunction(L, answer);
  lua_pushlightuserdata(L, server);
  lua_pushlightuserdata(L, exchange);
  ql_task_call(L, 2);
}

// ---- the server -----------------------------------------------------------------------------------------

static struct server *check_server(lua_State *L) {
  struct server *server = luaL_checkudata(L, 1, SERVER_TYPE);
  luaL_argcheck(L, server->sim, 1, "the server is closed");
  return server;
}

static int close_server(lua_State *L) { // also __gc
  struct server *server = luaL_checkudata(L, 1, SERVER_TYPE);
  if (!server->sim)
    return 0;
  ql_sim_close(server->sim);
  server->sim = NULL;
  luaL_unref(L, LUA_REGISTRYINDEX, server->handler);
  luaL_unref(L, LUA_REGISTRYINDEX, server->self);
  return 0;
}

static int port(lua_State *L) {
  lua_pushinteger(L, ql_sim_port(check_server(L)->sim));
  return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t count) {
  lua_pushinteger(L, (lua_Integer)count);
  lua_setfield(L, -2, name);
}

static int stats(lua_State *L) {
  struct ql_sim_stats now;
  ql_sim_read_stats(check_server(L)->sim, &now);
  lua_createtable(L, 0, 12);
  set_count(L, "accepted", now.accepted);
  set_count(L, "requests", now.requests);
  set_count(L, "events", now.events);
  set_count(L, "cancelled", now.cancelled);
  set_count(L, "stopped", now.finished[QL_SIM_STOP]);
  set_count(L, "cut", now.finished[QL_SIM_LENGTH]);
  set_count(L, "open", now.open);
  set_count(L, "running", now.running);
  set_count(L, "waiting", now.waiting);
  set_count(L, "late_max_ns", now.late_max_ns);
  set_count(L, "late_p99_ns", now.late_p99_ns);
  return 1;
}

// serve({ host=, port=, unix_socket=, body_limit_bytes=, max_running=, send_log=, reuse_port= }, on_request)
// → server | nil, err
static int serve(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  struct ql_sim_options options = {.body_limit = count_field(L, 1, "body_limit_bytes"),
                                   .max_running = count_field(L, 1, "max_running"),
                                   .port = (int)number_field(L, 1, "port", 0, 65535),
                                   .on_request = on_request};
  if (!options.body_limit)
    options.body_limit = 64u << 20;
  lua_getfield(L, 1, "reuse_port");
  options.reuse_port = lua_toboolean(L, -1);
  lua_pop(L, 1);
  lua_getfield(L, 1, "host");
  lua_getfield(L, 1, "unix_socket");
  lua_getfield(L, 1, "send_log");
  options.host = luaL_optstring(L, 3, NULL);
  options.unix_socket = luaL_optstring(L, 4, NULL);
  options.send_log = luaL_optstring(L, 5, NULL);
  struct server *server = lua_newuserdatauv(L, sizeof *server, 0);
  *server = (struct server){.handler = LUA_NOREF, .self = LUA_NOREF};
  luaL_setmetatable(L, SERVER_TYPE);
  options.arg = server;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  server->L = lua_tothread(L, -1);
  lua_pop(L, 1);
  struct ql_err err = {0};
  server->sim = ql_sim_open(ql_task_loop(L), &options, &err);
  if (!server->sim)
    return ql_push_err(L, &err);
  lua_pushvalue(L, 2);
  server->handler = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushvalue(L, 6);
  server->self = luaL_ref(L, LUA_REGISTRYINDEX);
  return 1;
}

static const luaL_Reg methods[] = {{"port", port}, {"stats", stats}, {"close", close_server}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"serve", serve}, {NULL, NULL}};

int ql_open_sim(lua_State *L) {
  luaL_newmetatable(L, PLAN_TYPE);
  lua_pushcfunction(L, collect_plan);
  lua_setfield(L, -2, "__gc");
  luaL_newmetatable(L, SERVER_TYPE);
  lua_pushcfunction(L, close_server);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  lua_pushliteral(L, QL_SIM_STAMP);
  lua_setfield(L, -2, "STAMP");
  return 1;
}
