// SPDX-License-Identifier: Apache-2.0
// lua_file: qlua.core.file: read, write, append, list, stat, make_dir, remove, rename, real, read_all, lines, lock.
//
// Owns the userdata of `lines`, which closes its file at the end, when collected, or by :close().
// May touch file.h. The one thing not obvious: buffers live in userdata, since pushing a string may raise
// and would leak what C holds.
#include "file.h"
#include "task.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <unistd.h>

int ql_open_file(lua_State *L);

static const char buffer_type[] = "qlua.file.buffer";
static const char lines_type[] = "qlua.file.lines";
static const char lock_type[] = "qlua.file.lock";

// ---- whole files ------------------------------------------------------------------------------------

static int buffer_gc(lua_State *L) {
  ql_buf_free(lua_touserdata(L, 1));
  return 0;
}

static struct ql_buf *push_buffer(lua_State *L) {
  struct ql_buf *buf = lua_newuserdatauv(L, sizeof *buf, 0);
  ql_buf_init(buf, (size_t)4 << 30);
  luaL_setmetatable(L, buffer_type);
  return buf;
}

static int push_contents(lua_State *L, struct ql_buf *buf) {
  lua_pushlstring(L, buf->data ? buf->data : "", buf->len);
  ql_buf_free(buf);
  return 1;
}

static int file_read(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct ql_err err = {0};
  struct ql_buf *buf = push_buffer(L);
  return ql_file_read(path, buf, &err) < 0 ? ql_push_err(L, &err) : push_contents(L, buf);
}

static int file_read_all(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct ql_err err = {0};
  struct ql_buf *buf = push_buffer(L);
  struct ql_file_stream *stream = ql_file_stream_open(path, &err);
  if (!stream)
    return ql_push_err(L, &err);
  char chunk[1 << 16];
  int64_t got;
  while ((got = ql_file_stream_take(stream, chunk, sizeof chunk, &err)) > 0)
    if (!ql_buf_add(buf, chunk, (size_t)got)) {
      got = ql_fail(&err, QL_E_LIMIT, "%s: want at most %zu bytes, got more", path, buf->limit_bytes);
      break;
    }
  ql_file_stream_close(stream);
  return got < 0 ? ql_push_err(L, &err) : push_contents(L, buf);
}

static int push_done(lua_State *L, int result, const struct ql_err *err) {
  if (result < 0)
    return ql_push_err(L, err);
  lua_pushboolean(L, 1);
  return 1;
}

static int file_write(lua_State *L) {
  size_t len;
  const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &len);
  struct ql_err err = {0};
  return push_done(L, ql_file_write(path, text, len, &err), &err);
}

static int file_append(lua_State *L) {
  size_t len;
  const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &len);
  struct ql_err err = {0};
  return push_done(L, ql_file_append(path, text, len, &err), &err);
}

// ---- folders ------------------------------------------------------------------------------------------

static int push_names(lua_State *L) {
  const struct ql_file_names *names = lua_touserdata(L, 1);
  lua_createtable(L, (int)names->count, 0);
  for (size_t i = 0; i < names->count; i++) {
    lua_pushstring(L, names->names[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int file_list(lua_State *L) {
  const char *dir = luaL_checkstring(L, 1);
  struct ql_err err = {0};
  struct ql_file_names names;
  luaL_checkstack(L, 4, NULL);
  if (ql_file_list(dir, &names, &err) < 0)
    return ql_push_err(L, &err);
  lua_pushcfunction(L, push_names);
  lua_pushlightuserdata(L, &names);
  int status = lua_pcall(L, 1, 1, 0);
  ql_file_names_free(&names);
  return status == LUA_OK ? 1 : lua_error(L);
}

static int file_stat(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct ql_err err = {0};
  struct ql_file_stat info;
  if (ql_file_stat(path, &info, &err) < 0)
    return ql_push_err(L, &err);
  lua_createtable(L, 0, 3);
  lua_pushstring(L, info.is_dir ? "dir" : "file");
  lua_setfield(L, -2, "kind");
  lua_pushinteger(L, (lua_Integer)info.bytes);
  lua_setfield(L, -2, "bytes");
  lua_pushinteger(L, (lua_Integer)info.changed_ns);
  lua_setfield(L, -2, "changed_ns");
  return 1;
}

static int file_make_dir(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct ql_err err = {0};
  return push_done(L, ql_file_make_dir(path, &err), &err);
}

static int file_remove(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct ql_err err = {0};
  return push_done(L, ql_file_remove(path, &err), &err);
}

static int file_rename(lua_State *L) {
  const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
  struct ql_err err = {0};
  return push_done(L, ql_file_rename(from, to, &err), &err);
}

static int file_real(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct ql_err err = {0};
  struct ql_buf *buf = push_buffer(L);
  char *real = ql_file_real(path, &err);
  if (!real)
    return ql_push_err(L, &err);
  ql_buf_adds(buf, real);
  free(real);
  return push_contents(L, buf);
}

// ---- lines --------------------------------------------------------------------------------------------

struct lines {
  struct ql_file_lines *of; // NULL once closed
  char sha256[QL_SHA256_HEX];
  uint64_t bytes;
};

static void lines_end(struct lines *lines) {
  if (!lines->of)
    return;
  ql_file_lines_sha256(lines->of, lines->sha256);
  lines->bytes = ql_file_lines_bytes(lines->of);
  ql_file_lines_close(lines->of);
  lines->of = NULL;
}

static int lines_close(lua_State *L) {
  lines_end(luaL_checkudata(L, 1, lines_type));
  return 0;
}

// lines() → line, or nil at the end, or nil and an error.
static int lines_next(lua_State *L) {
  struct lines *lines = luaL_checkudata(L, 1, lines_type);
  struct ql_err err = {0};
  const char *line;
  size_t len;
  if (!lines->of) {
    lua_pushnil(L);
    return 1;
  }
  int got = ql_file_lines_next(lines->of, &line, &len, &err);
  if (got > 0) {
    lua_pushlstring(L, line, len);
    return 1;
  }
  lines_end(lines);
  if (got < 0)
    return ql_push_err(L, &err);
  lua_pushnil(L);
  return 1;
}

static int lines_sha256(lua_State *L) {
  struct lines *lines = luaL_checkudata(L, 1, lines_type);
  luaL_argcheck(L, !lines->of, 1, "want lines read to the end or closed");
  lua_pushstring(L, lines->sha256);
  return 1;
}

static int lines_bytes(lua_State *L) {
  struct lines *lines = luaL_checkudata(L, 1, lines_type);
  lua_pushinteger(L, (lua_Integer)(lines->of ? ql_file_lines_bytes(lines->of) : lines->bytes));
  return 1;
}

static int file_lines(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct ql_err err = {0};
  struct lines *lines = lua_newuserdatauv(L, sizeof *lines, 0);
  *lines = (struct lines){0};
  luaL_setmetatable(L, lines_type);
  lines->of = ql_file_lines_open(path, &err);
  return lines->of ? 1 : ql_push_err(L, &err);
}

// ---- locks --------------------------------------------------------------------------------------------

static int lock_close(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, lock_type);
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
  return 0;
}

// lock(path, holder) -> lock, held until lock:close(); or nil, err: of kind limit, and the text is the holder's
static int file_lock(lua_State *L) {
  const char *path = luaL_checkstring(L, 1), *holder = luaL_checkstring(L, 2);
  int *fd = lua_newuserdatauv(L, sizeof *fd, 0);
  *fd = -1;
  luaL_setmetatable(L, lock_type);
  struct ql_err err = {0};
  *fd = ql_file_lock(path, holder, &err);
  return *fd < 0 ? ql_push_err(L, &err) : 1;
}

int ql_open_file(lua_State *L) {
  static const luaL_Reg methods[] = {{"sha256", lines_sha256}, {"bytes", lines_bytes}, {"close", lines_close}, {0, 0}};
  static const luaL_Reg functions[] = {{"read", file_read},     {"read_all", file_read_all}, {"write", file_write},
                                       {"append", file_append}, {"list", file_list},         {"stat", file_stat},
                                       {"remove", file_remove}, {"make_dir", file_make_dir}, {"rename", file_rename},
                                       {"real", file_real},     {"lines", file_lines},       {"lock", file_lock},
                                       {0, 0}};
  luaL_newmetatable(L, buffer_type);
  lua_pushcfunction(L, buffer_gc);
  lua_setfield(L, -2, "__gc");
  luaL_newmetatable(L, lines_type);
  lua_pushcfunction(L, lines_close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, lines_close);
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, lines_next);
  lua_setfield(L, -2, "__call");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  static const luaL_Reg lock_meta[] = {{"__gc", lock_close}, {"__close", lock_close}, {0, 0}};
  static const luaL_Reg lock_methods[] = {{"close", lock_close}, {0, 0}};
  luaL_newmetatable(L, lock_type);
  luaL_setfuncs(L, lock_meta, 0);
  luaL_newlib(L, lock_methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 3);
  luaL_newlib(L, functions);
  return 1;
}
