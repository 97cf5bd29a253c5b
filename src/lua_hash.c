// SPDX-License-Identifier: Apache-2.0
// lua_hash: qlua.core.hash: sha256(text), sha256_raw(text), sha256_file(path).
//
// Owns nothing. sha256_file hashes the bytes as they lie on the disk, so that it agrees with sha256sum;
// what a compressed data file holds is hashed by the reader of qlua.core.file.
#include "sha256.h"
#include "task.h"

#include <ctype.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

int ql_open_hash(lua_State *L);

static int hash_sha256(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  char hex[QL_SHA256_HEX];
  ql_sha256_hex(text, len, hex);
  lua_pushlstring(L, hex, QL_SHA256_HEX - 1);
  return 1;
}

static int hash_sha256_raw(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct ql_sha256 hash;
  uint8_t digest[QL_SHA256_BYTES];
  ql_sha256_init(&hash);
  ql_sha256_feed(&hash, text, len);
  ql_sha256_end(&hash, digest);
  lua_pushlstring(L, (const char *)digest, sizeof digest);
  return 1;
}

static int push_io_error(lua_State *L, const char *path, int error) {
  struct ql_err err = {0};
  char text[128];
  snprintf(text, sizeof text, "%s", strerror(error));
  text[0] = (char)tolower((unsigned char)text[0]);
  ql_fail(&err, QL_E_IO, "%s: %s", path, text);
  return ql_push_err(L, &err);
}

static int hash_sha256_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  FILE *file = fopen(path, "rbe");
  if (!file)
    return push_io_error(L, path, errno);
  struct ql_sha256 hash;
  ql_sha256_init(&hash);
  char chunk[1 << 16];
  size_t got;
  while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
    ql_sha256_feed(&hash, chunk, got);
  int failed = ferror(file) ? errno : 0; // a folder opens, but cannot be read
  fclose(file);
  if (failed)
    return push_io_error(L, path, failed);
  char hex[QL_SHA256_HEX];
  ql_sha256_end_hex(&hash, hex);
  lua_pushlstring(L, hex, QL_SHA256_HEX - 1);
  return 1;
}

int ql_open_hash(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"sha256", hash_sha256}, {"sha256_raw", hash_sha256_raw}, {"sha256_file", hash_sha256_file}, {0, 0}};
  luaL_newlib(L, functions);
  return 1;
}
