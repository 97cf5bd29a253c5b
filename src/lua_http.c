// SPDX-License-Identifier: Apache-2.0
// lua_http: qlua.core.http. Requests as tables, replies as the Reply record of docs/architecture.md.
// `stamps` holds 12 bytes per event, little-endian ("<I4I8"): the offset in the body just past the event's
// data, and the time of the read that brought its last byte; body and stamps together give the events again.
//
// Owns one ql_http per Lua state, opened by the first client, and a lane per client. A reply waits in a
// box of the registry while it is turned into a table: if that raises for want of memory, the next reply
// or the collector frees it. Misuse of a field raises at the caller; what the world does, and a url it
// gave us, comes back as reply.error.

#include "lua_http.h"
#include "task.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

int ql_open_http(lua_State *L);

#define CLIENT "qlua.http.client"
#define THREAD "qlua.http.thread"
#define BOX "qlua.http.box"

static char thread_key, box_key, count_key; // their addresses are keys of the registry

struct box {
  struct ql_http_reply *reply;
};

// ---- the thread, shared by all clients ------------------------------------------------------------------

static int thread_gc(lua_State *L) {
  struct ql_http **thread = luaL_checkudata(L, 1, THREAD);
  ql_http_close(*thread);
  *thread = NULL;
  return 0;
}

static int box_gc(lua_State *L) {
  struct box *box = luaL_checkudata(L, 1, BOX);
  ql_http_reply_free(box->reply);
  box->reply = NULL;
  return 0;
}

// The number that set_io_threads was told, 0 for none.
static uint32_t asked_threads(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &count_key);
  uint32_t count = (uint32_t)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return count;
}

// set_io_threads(n): before the first client
static int set_io_threads(lua_State *L) {
  lua_Integer count = luaL_checkinteger(L, 1);
  luaL_argcheck(L, count >= 1 && count <= QL_HTTP_MAX_THREADS, 1, "want a number from 1 to 64");
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &thread_key) == LUA_TUSERDATA)
    return luaL_error(L, "set_io_threads: the i/o threads are running already: set their number before the first client");
  lua_pushinteger(L, count);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &count_key);
  return 0;
}

// Finalizers run in reverse order of marking, so each client is closed before the thread.
static struct ql_http *open_thread(lua_State *L, struct ql_err *err) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &thread_key) == LUA_TUSERDATA) {
    struct ql_http *known = *(struct ql_http **)lua_touserdata(L, -1);
    lua_pop(L, 1);
    return known;
  }
  lua_pop(L, 1);
  struct ql_http **thread = lua_newuserdatauv(L, sizeof *thread, 0);
  *thread = NULL;
  luaL_setmetatable(L, THREAD);
  *thread = ql_http_open(ql_task_loop(L), &(struct ql_http_options){.io_threads = asked_threads(L)}, err);
  if (*thread) {
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &thread_key);
  }
  lua_pop(L, 1);
  return lua_rawgetp(L, LUA_REGISTRYINDEX, &thread_key) == LUA_TUSERDATA
             ? *(struct ql_http **)lua_touserdata(L, -1)
             : NULL;
}

// ---- from a table to a request --------------------------------------------------------------------------

enum field_type { TEXT, BYTES, FLAG, U32, SIZE, U64, HEADERS, TRANSPORT };
struct field {
  const char *name;
  size_t len;
  enum field_type type;
  size_t offset;
};
#define FIELD(name, type) {#name, sizeof #name - 1, type, offsetof(struct ql_http_request, name)}
static const struct field fields[] = {
    FIELD(method, TEXT),          FIELD(url, TEXT),             FIELD(headers, HEADERS),
    FIELD(body, BYTES),           FIELD(unix_socket, TEXT),     FIELD(sse, FLAG),
    FIELD(fresh_connection, FLAG), FIELD(insecure, FLAG),       FIELD(ca_file, TEXT),
    FIELD(pin, TEXT),             FIELD(connect_ms, U32),       FIELD(first_byte_ms, U32),
    FIELD(idle_ms, U32),          FIELD(total_ms, U32),         FIELD(max_body_bytes, SIZE),
    FIELD(max_event_bytes, SIZE), FIELD(max_redirects, U32),    FIELD(sink_path, TEXT),
    FIELD(resume_from, U64),      FIELD(start_at_ns, U64),      FIELD(transport, TRANSPORT),
};

static const struct field *find_field(const char *name, size_t len) {
  for (size_t i = 0; i < QL_LEN(fields); i++)
    if (fields[i].len == len && memcmp(fields[i].name, name, len) == 0)
      return &fields[i];
  return NULL;
}

static int compare_names(const void *left, const void *right) {
  return strcmp(*(const char *const *)left, *(const char *const *)right);
}

// "name: value" for one value; the text stays on the stack, and so alive.
static void add_header(lua_State *L, const char **list, size_t *count, size_t max, const char *name) {
  luaL_checkstack(L, 8, "headers");
  if (*count == max)
    luaL_error(L, "headers: want at most %d, got more", (int)max);
  size_t len;
  const char *value = lua_tolstring(L, -1, &len);
  if (!value) {
    luaL_error(L, "headers.%s: want a string, got %s", name, luaL_typename(L, -1));
    return; // never reached; the analyzer does not know that luaL_error leaves
  }
  if (strlen(value) != len || strpbrk(value, "\r\n") || strpbrk(name, "\r\n:"))
    luaL_error(L, "headers.%s: want one line", name);
  list[(*count)++] = lua_pushfstring(L, "%s: %s", name, value);
}

#define MAX_HEADERS 128

// The value at the top, { [name] = value or list of values }, into a list of MAX_HEADERS + 1; its texts stay on the stack.
static const char *const *read_headers(lua_State *L, const char **list) {
  if (!lua_istable(L, -1))
    luaL_error(L, "headers: want a table of names and values, got %s", luaL_typename(L, -1));
  int table = lua_gettop(L);
  size_t count = 0;
  lua_pushnil(L);
  while (luaL_checkstack(L, 8, "headers"), lua_next(L, table)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "headers: want names as keys, got %s", luaL_typename(L, -2));
    const char *name = lua_tostring(L, -2);
    int key = lua_gettop(L) - 1, value = lua_gettop(L);
    if (lua_istable(L, value))
      for (lua_Integer i = 1; lua_rawgeti(L, value, i) != LUA_TNIL; i++)
        add_header(L, list, &count, MAX_HEADERS, name);
    else
      add_header(L, list, &count, MAX_HEADERS, name);
    lua_pushvalue(L, key); // the texts stay below; lua_next takes the key
  }
  // A table's order changes from run to run, and the bytes that are sent should not.
  qsort(list, count, sizeof *list, compare_names);
  list[count] = NULL;
  return list;
}

static enum ql_http_transport read_transport(lua_State *L) {
  static const char *const names[] = {"auto", "plain", "curl"}; // in the order of the enum
  const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1);
  for (size_t i = 0; i < QL_LEN(names); i++)
    if (strcmp(names[i], name) == 0)
      return (enum ql_http_transport)i;
  luaL_error(L, "request: field 'transport': want auto, plain or curl, got %s", name);
  return QL_HTTP_AUTO; // never reached
}

static uint64_t read_number(lua_State *L, const char *name, uint64_t max) {
  int is_whole;
  lua_Integer value = lua_tointegerx(L, -1, &is_whole);
  if (!is_whole || value < 0 || (uint64_t)value > max)
    luaL_error(L, "request: field '%s': want a whole number from 0, got %s", name, luaL_tolstring(L, -1, NULL));
  return (uint64_t)value;
}

static const char *read_text(lua_State *L, const struct field *field, size_t *len) {
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "request: field '%s': want a string, got %s", field->name, luaL_typename(L, -1));
  const char *text = lua_tolstring(L, -1, len);
  if (field->type == TEXT && strlen(text) != *len)
    luaL_error(L, "request: field '%s': want a string without zero bytes", field->name);
  return text;
}

// The value at the top; strings stay alive in the caller's table.
static void read_field(lua_State *L, const struct field *field, struct ql_http_request *request, const char **list) {
  char *place = (char *)request + field->offset;
  size_t len = 0;
  switch (field->type) {
  case BYTES:
    request->body = read_text(L, field, &len);
    request->body_len = len;
    break;
  case TEXT:
    *(const char **)place = read_text(L, field, &len);
    break;
  case FLAG:
    *(bool *)place = lua_toboolean(L, -1);
    break;
  case U32:
    *(uint32_t *)place = (uint32_t)read_number(L, field->name, UINT32_MAX);
    break;
  case SIZE:
    *(size_t *)place = read_number(L, field->name, SIZE_MAX / 4);
    break;
  case U64:
    *(uint64_t *)place = read_number(L, field->name, INT64_MAX);
    break;
  case HEADERS:
    request->headers = read_headers(L, list);
    break;
  case TRANSPORT:
    request->transport = read_transport(L);
    break;
  }
}

// Reads every field of the table; what headers need stays on the stack.
static void read_fields(lua_State *L, int table, struct ql_http_request *request, const char **list) {
  luaL_checkstack(L, 16, "request");
  lua_pushnil(L);
  while (lua_next(L, table)) {
    size_t len = 0;
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &len) : luaL_typename(L, -2);
    int key = lua_gettop(L) - 1;
    const struct field *field = find_field(name, len);
    if (!field) {
      luaL_error(L, "request: unknown field '%s'", name);
      return;
    }
    read_field(L, field, request, list);
    if (field->type == HEADERS) { // its memory is on the stack
      lua_pushvalue(L, key);
      continue;
    }
    lua_settop(L, key);
  }
}

// ---- from a reply to a table ----------------------------------------------------------------------------

static void push_marks(lua_State *L, const struct ql_http_marks *marks) {
  lua_createtable(L, 0, 8);
  ql_http_set_time(L, "queued_ns", marks->queued_ns);
  ql_http_set_time(L, "due_ns", marks->due_ns);
  ql_http_set_time(L, "start_ns", marks->start_ns);
  ql_http_set_time(L, "connect_ns", marks->connect_ns);
  ql_http_set_time(L, "sent_ns", marks->sent_ns);
  ql_http_set_time(L, "first_byte_ns", marks->first_byte_ns);
  ql_http_set_time(L, "last_byte_ns", marks->last_byte_ns);
  lua_pushinteger(L, (lua_Integer)marks->reads);
  lua_setfield(L, -2, "reads");
}

static void push_headers(lua_State *L, const struct ql_buf *headers) {
  int count = 0;
  for (const char *at = headers->data, *end = at + headers->len; at < end && (at = memchr(at, 0, (size_t)(end - at)));
       at++)
    count++;
  lua_createtable(L, 0, count / 2); // names and values
  for (size_t at = 0; at < headers->len;) {
    const char *name = headers->data + at;
    const char *value = name + strlen(name) + 1;
    size_t len = strlen(value);
    lua_pushlstring(L, name, (size_t)(value - name - 1));
    lua_pushlstring(L, value, len);
    lua_rawset(L, -3);
    at = (size_t)(value - headers->data) + len + 1;
  }
}

static void push_events(lua_State *L, const struct ql_http_reply *reply) {
  uint32_t before = 0;
  lua_createtable(L, (int)reply->event_count, 0);
  for (size_t i = 0; i < reply->event_count; i++) {
    const struct ql_http_event *event = &reply->events[i];
    size_t len;
    const char *data = ql_http_event_data(reply, i, &len);
    ql_http_push_event(L, data, len, event->at_ns, event->end_offset - before);
    ql_http_set_flag(L, "done", event->done);
    ql_http_set_flag(L, "incomplete", event->incomplete);
    if (event->name_at != QL_HTTP_IN_BODY) {
      lua_pushstring(L, reply->joined.data + event->name_at);
      lua_setfield(L, -2, "name");
    }
    before = event->end_offset;
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

// "<I4I8" for each event: end_offset, at_ns.
static void push_stamps(lua_State *L, const struct ql_http_reply *reply) {
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  for (size_t i = 0; i < reply->event_count; i++) {
    char *at = luaL_prepbuffsize(&buffer, QL_HTTP_STAMP_BYTES);
    for (unsigned byte = 0; byte < 4; byte++)
      at[byte] = (char)(reply->events[i].end_offset >> (8 * byte) & 0xFF);
    for (unsigned byte = 0; byte < 8; byte++)
      at[4 + byte] = (char)(reply->events[i].at_ns >> (8 * byte) & 0xFF);
    luaL_addsize(&buffer, QL_HTTP_STAMP_BYTES);
  }
  luaL_pushresult(&buffer);
}

// ---- the reply --------------------------------------------------------------------------------------------

static void push_reply_table(lua_State *L, const struct ql_http_reply *reply) {
  lua_createtable(L, 0, 8);
  if (reply->status) {
    lua_pushinteger(L, reply->status);
    lua_setfield(L, -2, "status");
  }
  push_headers(L, &reply->headers);
  lua_setfield(L, -2, "headers");
  lua_pushlstring(L, reply->body.data ? reply->body.data : "", reply->body.len);
  lua_setfield(L, -2, "body");
  push_marks(L, &reply->marks);
  lua_setfield(L, -2, "marks");
  if (reply->stamp_source != QL_HTTP_NO_STAMP) {
    lua_pushstring(L, reply->stamp_source == QL_HTTP_KERNEL_STAMP ? "kernel" : "user");
    lua_setfield(L, -2, "stamp_source");
  }
  if (reply->error) {
    ql_push_err_table(L, reply->error);
    lua_setfield(L, -2, "error");
  }
  if (reply->sink_bytes) {
    lua_pushinteger(L, (lua_Integer)reply->sink_bytes);
    lua_setfield(L, -2, "sink_bytes");
  }
  if (reply->wants_events) {
    push_events(L, reply);
    lua_setfield(L, -2, "events");
    push_stamps(L, reply);
    lua_setfield(L, -2, "stamps");
    lua_pushinteger(L, (lua_Integer)reply->comments);
    lua_setfield(L, -2, "comments");
  }
}

static int push_reply(lua_State *L, void *arg) {
  struct ql_http_reply *reply = arg;
  if (!L) {
    ql_http_reply_free(reply);
    return 0;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &box_key);
  struct box *box = lua_touserdata(L, -1);
  ql_http_reply_free(box->reply); // one whose table could not be made
  box->reply = reply;
  push_reply_table(L, reply);
  ql_http_reply_free(reply);
  box->reply = NULL;
  return 1;
}

static void on_reply(void *arg, struct ql_http_reply *reply) { ql_task_wake(arg, push_reply, reply); }

// ---- the client -----------------------------------------------------------------------------------------

// What `defaults` points to is kept alive by uservalues 1 and 2: the table of defaults, and a list of header texts.
struct client {
  struct ql_http_lane *lane;
  struct ql_http_request defaults;
  const char *headers[MAX_HEADERS + 1];
};

static struct client *check_client(lua_State *L) {
  struct client *client = luaL_checkudata(L, 1, CLIENT);
  if (!client->lane)
    luaL_error(L, "the http client is closed");
  return client;
}

static struct ql_http_lane *check_lane(lua_State *L) { return check_client(L)->lane; }

static int push_refusal(lua_State *L, const struct ql_err *err) {
  lua_createtable(L, 0, 4);
  lua_newtable(L);
  lua_setfield(L, -2, "headers");
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "body");
  lua_createtable(L, 0, 1);
  lua_pushinteger(L, 0);
  lua_setfield(L, -2, "reads");
  lua_setfield(L, -2, "marks");
  ql_push_err_table(L, err);
  lua_setfield(L, -2, "error");
  return 1;
}

// client:send(request) → reply
static int client_send(lua_State *L) {
  struct client *client = check_client(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct ql_http_request request = client->defaults;
  const char *headers[MAX_HEADERS + 1];
  struct ql_err err;
  lua_settop(L, 2);
  read_fields(L, 2, &request, headers);
  struct ql_task *task = ql_task_park(L);
  if (!ql_http_send(client->lane, &request, on_reply, task, &err))
    return push_refusal(L, &err);
  return ql_task_yield(L);
}

static int client_cancel_all(lua_State *L) {
  ql_http_lane_cancel(check_lane(L));
  return 0;
}

static int client_close(lua_State *L) {
  struct client *client = luaL_checkudata(L, 1, CLIENT);
  ql_http_lane_close(client->lane);
  client->lane = NULL;
  return 0;
}

static void set_number(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

// { count, p50_ns, p99_ns, max_ns }, the times absent where nothing was counted
static void set_spread(lua_State *L, const char *name, const struct ql_http_spread *spread) {
  lua_createtable(L, 0, 4);
  set_number(L, "count", spread->count);
  if (spread->count) {
    set_number(L, "p50_ns", spread->p50_ns);
    set_number(L, "p99_ns", spread->p99_ns);
    set_number(L, "max_ns", spread->max_ns);
  }
  lua_setfield(L, -2, name);
}

static void set_threads(lua_State *L, struct ql_http_lane *lane, uint32_t count) {
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 0; i < count; i++) {
    struct ql_http_thread_stats thread;
    ql_http_thread_stats(lane, i, &thread);
    lua_createtable(L, 0, 4);
    set_number(L, "cpu_ns", thread.cpu_ns);
    set_number(L, "idle_ns", thread.idle_ns);
    set_number(L, "wakeups", thread.wakeups);
    set_number(L, "wakeup_events", thread.wakeup_events);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "threads");
}

static int client_stats(lua_State *L) {
  struct ql_http_lane *lane = check_lane(L);
  struct ql_http_stats stats;
  ql_http_lane_stats(lane, &stats);
  lua_createtable(L, 0, 24);
#define SET(field) set_number(L, #field, stats.field)
  SET(queued);
  SET(in_flight);
  SET(done);
  SET(failed);
  SET(connections);
  SET(connect_failures);
  SET(retries);
  SET(received_bytes);
  SET(reads);
  SET(events);
  SET(kernel_reads);
  SET(shared_reads);
  SET(file_bytes);
  SET(file_total_bytes);
  SET(io_threads);
  SET(io_cpu_ns);
  SET(io_idle_ns);
  SET(wakeups);
  SET(wakeup_events);
  SET(clock_error_ns);
  SET(clock_steps);
#undef SET
  set_spread(L, "stamp_delay", &stats.stamp_delay);
  set_spread(L, "dispatch_lag", &stats.dispatch_lag);
  set_threads(L, lane, stats.io_threads);
  return 1;
}

static uint32_t take_option(lua_State *L, const char *name) {
  uint32_t value = 0;
  if (lua_getfield(L, 2, name) != LUA_TNIL) {
    value = (uint32_t)read_number(L, name, 1000000);
    if (!value)
      luaL_error(L, "open: field '%s': want a number from 1, got 0", name);
  }
  lua_pop(L, 1);
  lua_pushnil(L);
  lua_setfield(L, 2, name);
  return value;
}

// open{max_in_flight=, max_queued=, any request field as a default} → client
static int open_client(lua_State *L) {
  luaL_opt(L, luaL_checkany, 1, 0);
  lua_settop(L, 1);
  lua_newtable(L); // a copy: the defaults must not change behind us
  if (!lua_isnil(L, 1)) {
    luaL_checktype(L, 1, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, 2);
    }
  }
  struct ql_http_lane_options options = {.max_in_flight = take_option(L, "max_in_flight"),
                                         .max_queued = take_option(L, "max_queued")};
  struct client *client = lua_newuserdatauv(L, sizeof *client, 2);
  *client = (struct client){.lane = NULL};
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, 1);
  read_fields(L, 2, &client->defaults, client->headers); // raises here rather than at each request
  int texts = lua_gettop(L) - 3;
  lua_createtable(L, texts, 0);
  for (int i = 1; i <= texts; i++) {
    lua_pushvalue(L, 3 + i);
    lua_rawseti(L, -2, i);
  }
  lua_setiuservalue(L, 3, 2);
  lua_settop(L, 3);
  struct ql_err err;
  struct ql_http *http = open_thread(L, &err);
  if (!http)
    return ql_push_err(L, &err);
  lua_settop(L, 3);
  luaL_setmetatable(L, CLIENT); // now, and not before the thread has its own: see open_thread
  client->lane = ql_http_lane_open(http, &options);
  return 1;
}

static int is_loopback(lua_State *L) {
  lua_pushboolean(L, ql_http_is_loopback(luaL_checkstring(L, 1)));
  return 1;
}

static const luaL_Reg client_methods[] = {
    {"send", client_send},   {"cancel_all", client_cancel_all},
    {"close", client_close}, {"stats", client_stats},
    {NULL, NULL},
};

static void make_type(lua_State *L, const char *name, lua_CFunction gc) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
}

int ql_open_http(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open", open_client},         {"split_events", ql_http_split_events},
      {"is_loopback", is_loopback}, {"set_io_threads", set_io_threads},
      {NULL, NULL}};
  make_type(L, THREAD, thread_gc);
  make_type(L, BOX, box_gc);
  make_type(L, CLIENT, client_close);
  lua_pushcfunction(L, client_close);
  lua_setfield(L, -2, "__close");
  luaL_newlib(L, client_methods);
  lua_setfield(L, -2, "__index");
  struct box *box = lua_newuserdatauv(L, sizeof *box, 0);
  box->reply = NULL;
  luaL_setmetatable(L, BOX);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &box_key);
  luaL_newlib(L, functions);
  return 1;
}
