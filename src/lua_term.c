// SPDX-License-Identifier: Apache-2.0
// qlua.core.term: is_tty(fd), width(fd), write(fd, text).
//
// width gives nil, not a guess, where the terminal does not say: the default belongs to the caller.
// write holds the main thread until the reader takes the text; no request waits for that, since they
// live on the I/O threads.
#include "task.h"
#include "term.h"

#include <lauxlib.h>
#include <limits.h>

int ql_open_term(lua_State *L);

static int check_fd(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1);
  luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, 1, "want a file descriptor");
  return (int)fd;
}

static int term_is_tty(lua_State *L) {
  lua_pushboolean(L, ql_term_is_tty(check_fd(L)));
  return 1;
}

static int term_width(lua_State *L) {
  int width = ql_term_width(check_fd(L));
  if (width > 0) {
    lua_pushinteger(L, width);
  } else {
    lua_pushnil(L);
  }
  return 1;
}

// true, or nil and an error of kind "io"
static int term_write(lua_State *L) {
  int fd = check_fd(L);
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  struct ql_err err = {0};
  if (ql_term_write(fd, text, len, &err) != 0) return ql_push_err(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

int ql_open_term(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"is_tty", term_is_tty},
    {"width", term_width},
    {"write", term_write},
    {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
