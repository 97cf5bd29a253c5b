// SPDX-License-Identifier: Apache-2.0
// lua_store: qlua.core.store over store.h.
//
// A `db` is a userdata that owns the store; an iterator is a userdata that owns its cursor and keeps its
// db alive. Reading and writing never wait, so nothing here parks. Kind internal (bad SQL, wrong number of
// values) is the caller's mistake and raises; so does a broken read inside `each`, as an iterator that
// ended early would look like the end of the data.

#include "store.h"
#include "task.h"

#include <lauxlib.h>
#include <lua.h>

#define DB "qlua.store"
#define ROWS "qlua.store.rows"
#define BLOB "qlua.store.blob"

enum { MAX_VALUES = 200 };

struct rows {
  struct ql_cursor *cursor;
};

int ql_open_store(lua_State *L);

static struct ql_store *check_db(lua_State *L) {
  struct ql_store **db = luaL_checkudata(L, 1, DB);
  luaL_argcheck(L, *db, 1, "the store is closed");
  return *db;
}

// nil and the error, or a raised error when it is the caller's own.
static int give_err(lua_State *L, const struct ql_err *err) {
  return err->kind == QL_E_INTERNAL ? luaL_error(L, "%s", err->text) : ql_push_err(L, err);
}

static struct ql_cell check_cell(lua_State *L, int at) {
  struct ql_cell cell = {.kind = QL_CELL_NIL};
  switch (lua_type(L, at)) {
  case LUA_TNIL:
    break;
  case LUA_TBOOLEAN:
    cell.kind = QL_CELL_INTEGER;
    cell.integer = lua_toboolean(L, at);
    break;
  case LUA_TNUMBER:
    cell.kind = lua_isinteger(L, at) ? QL_CELL_INTEGER : QL_CELL_REAL;
    if (cell.kind == QL_CELL_INTEGER)
      cell.integer = lua_tointeger(L, at);
    else
      cell.real = lua_tonumber(L, at);
    break;
  case LUA_TSTRING:
    cell.kind = QL_CELL_TEXT;
    cell.bytes.data = lua_tolstring(L, at, &cell.bytes.len);
    break;
  default: // a blob: the string is the userdata's own, so the borrowed pointer outlives the pop
    luaL_argexpected(L, luaL_testudata(L, at, BLOB), at, "nil, boolean, number, string or store.blob");
    lua_getiuservalue(L, at, 1);
    cell.kind = QL_CELL_BLOB;
    cell.bytes.data = lua_tolstring(L, -1, &cell.bytes.len);
    lua_pop(L, 1);
  }
  return cell;
}

// The values after (db, sql).
static size_t check_cells(lua_State *L, struct ql_cell cells[MAX_VALUES]) {
  int count = lua_gettop(L) - 2;
  luaL_argcheck(L, count <= MAX_VALUES, MAX_VALUES + 3, "too many values");
  for (int i = 0; i < count; i++)
    cells[i] = check_cell(L, i + 3);
  return count > 0 ? (size_t)count : 0;
}

static lua_Integer option_integer(lua_State *L, const char *name) {
  lua_getfield(L, 2, name);
  int is_integer = 1;
  lua_Integer value = lua_isnil(L, -1) ? 0 : lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || value < 0 || value > INT32_MAX)
    luaL_error(L, "store.open: option '%s': want a whole number from 0, got %s", name, luaL_tolstring(L, -1, NULL));
  lua_pop(L, 1);
  return value;
}

// open(path, { schema=, version=, read_only=, max_pages= }) -> db, or nil and err
static int store_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  struct ql_store_options options = {
      .version = (int)option_integer(L, "version"),
      .max_pages = option_integer(L, "max_pages"),
      .loop = ql_task_loop(L),
  };
  lua_getfield(L, 2, "read_only");
  options.read_only = lua_toboolean(L, -1);
  lua_getfield(L, 2, "schema"); // stays on the stack, and with it the pointer
  options.schema = luaL_optstring(L, -1, NULL);
  struct ql_store **db = lua_newuserdatauv(L, sizeof *db, 0);
  *db = NULL;
  luaL_setmetatable(L, DB);
  struct ql_err err;
  *db = ql_store_open(path, &options, &err);
  return *db ? 1 : give_err(L, &err);
}

static int store_blob(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_newuserdatauv(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, BLOB);
  return 1;
}

// db:put(sql, ...) -> true, rowid; or nil, err
static int db_put(lua_State *L) {
  struct ql_store *store = check_db(L);
  const char *sql = luaL_checkstring(L, 2);
  struct ql_cell cells[MAX_VALUES];
  size_t count = check_cells(L, cells);
  struct ql_err err;
  if (ql_store_put(store, sql, cells, count, &err) != 0)
    return give_err(L, &err);
  lua_pushboolean(L, true);
  lua_pushinteger(L, ql_store_rowid(store));
  return 2;
}

static int db_commit(lua_State *L) {
  struct ql_err err;
  if (ql_store_commit(check_db(L), &err) != 0)
    return give_err(L, &err);
  lua_pushboolean(L, true);
  return 1;
}

static int db_changes(lua_State *L) {
  lua_pushinteger(L, ql_store_changes(check_db(L)));
  return 1;
}

// Closing twice is fine; only the first can fail.
static int db_close(lua_State *L) {
  struct ql_store **db = luaL_checkudata(L, 1, DB);
  struct ql_store *store = *db;
  *db = NULL;
  struct ql_err err;
  if (ql_store_close(store, &err) != 0)
    return give_err(L, &err);
  lua_pushboolean(L, true);
  return 1;
}

static int db_gc(lua_State *L) {
  struct ql_store **db = luaL_checkudata(L, 1, DB);
  ql_store_close(*db, NULL);
  *db = NULL;
  return 0;
}

// ---- reading ------------------------------------------------------------------------------------------

static void push_cell(lua_State *L, const struct ql_cell *cell) {
  switch (cell->kind) {
  case QL_CELL_INTEGER:
    lua_pushinteger(L, cell->integer);
    break;
  case QL_CELL_REAL:
    lua_pushnumber(L, cell->real);
    break;
  case QL_CELL_TEXT:
  case QL_CELL_BLOB:
    lua_pushlstring(L, cell->bytes.data ? cell->bytes.data : "", cell->bytes.len);
    break;
  case QL_CELL_NIL:
    lua_pushnil(L);
  }
}

static void push_row(lua_State *L, const struct ql_cursor *cursor) {
  int columns = ql_cursor_columns(cursor);
  lua_createtable(L, 0, columns);
  for (int i = 0; i < columns; i++) {
    struct ql_cell cell = ql_cursor_cell(cursor, i);
    push_cell(L, &cell);
    lua_setfield(L, -2, ql_cursor_name(cursor, i));
  }
}

// Leaves the rows userdata on top of the stack; false when err is set instead.
static bool push_cursor(lua_State *L, struct ql_err *err) {
  struct ql_store *store = check_db(L);
  const char *sql = luaL_checkstring(L, 2);
  struct ql_cell cells[MAX_VALUES];
  size_t count = check_cells(L, cells);
  struct rows *rows = lua_newuserdatauv(L, sizeof *rows, 1);
  rows->cursor = NULL;
  luaL_setmetatable(L, ROWS);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  rows->cursor = ql_store_each(store, sql, cells, count, err);
  return rows->cursor != NULL;
}

static int rows_close(lua_State *L) {
  struct rows *rows = luaL_checkudata(L, 1, ROWS);
  struct ql_cursor *cursor = rows->cursor;
  rows->cursor = NULL;
  ql_cursor_close(cursor);
  return 0;
}

static int rows_next(lua_State *L) {
  struct rows *rows = luaL_checkudata(L, 1, ROWS);
  if (!rows->cursor)
    return 0;
  struct ql_err err;
  int got = ql_cursor_next(rows->cursor, &err);
  if (got < 0)
    return luaL_error(L, "%s", err.text);
  if (got == 1)
    push_row(L, rows->cursor);
  else
    rows_close(L);
  return got;
}

// for row in db:each(sql, ...) do … end; the fourth value lets the loop close the cursor on a break
static int db_each(lua_State *L) {
  struct ql_err err;
  if (!push_cursor(L, &err))
    return luaL_error(L, "%s", err.text);
  lua_pushcfunction(L, rows_next);
  lua_pushvalue(L, -2);
  lua_pushnil(L);
  lua_pushvalue(L, -4);
  return 4;
}

// db:rows(sql, ...) -> list of { column = value }; or nil, err
static int db_rows(lua_State *L) {
  struct ql_err err;
  if (!push_cursor(L, &err))
    return give_err(L, &err);
  struct rows *rows = lua_touserdata(L, -1);
  lua_newtable(L);
  int got;
  for (lua_Integer n = 1; (got = ql_cursor_next(rows->cursor, &err)) == 1; n++) {
    push_row(L, rows->cursor);
    lua_rawseti(L, -2, n);
  }
  ql_cursor_close(rows->cursor);
  rows->cursor = NULL;
  return got == 0 ? 1 : give_err(L, &err);
}

static void make_class(lua_State *L, const char *name, const luaL_Reg *meta, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  if (meta)
    luaL_setfuncs(L, meta, 0);
  if (methods) {
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}

int ql_open_store(lua_State *L) {
  static const luaL_Reg db_meta[] = {{"__gc", db_gc}, {"__close", db_gc}, {NULL, NULL}};
  static const luaL_Reg db_methods[] = {{"put", db_put},         {"rows", db_rows},       {"each", db_each},
                                        {"commit", db_commit},   {"changes", db_changes}, {"close", db_close},
                                        {NULL, NULL}};
  static const luaL_Reg rows_meta[] = {{"__gc", rows_close}, {"__close", rows_close}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"open", store_open}, {"blob", store_blob}, {NULL, NULL}};
  make_class(L, DB, db_meta, db_methods);
  make_class(L, ROWS, rows_meta, NULL);
  make_class(L, BLOB, NULL, NULL);
  luaL_newlib(L, functions);
  return 1;
}
