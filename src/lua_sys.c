// SPDX-License-Identifier: Apache-2.0
// qlua.core.sys: this process, this machine, the libraries it runs with.

#include "sys.h"
#include "task.h"

#include <curl/curl.h>
#include <lauxlib.h>
#include <limits.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <utf8proc.h>
#include <uv.h>
#include <yaml.h>
#include <zlib.h>
#include <zstd.h>

int ql_open_sys(lua_State *L);

extern char **environ;

static int exe(lua_State *L) {
  char path[PATH_MAX];
  if (ql_sys_exe(path, sizeof path) != 0)
    return 0;
  lua_pushstring(L, path);
  return 1;
}

static int pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

static int env(lua_State *L) {
  lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
  return 1;
}

static int all_env(lua_State *L) {
  lua_newtable(L);
  for (char **entry = environ; *entry; entry++) {
    const char *equals = strchr(*entry, '=');
    if (!equals)
      continue;
    lua_pushlstring(L, *entry, (size_t)(equals - *entry));
    lua_pushstring(L, equals + 1);
    lua_rawset(L, -3);
  }
  return 1;
}

static int cwd(lua_State *L) {
  char path[PATH_MAX];
  lua_pushstring(L, getcwd(path, sizeof path));
  return 1;
}

static int rss_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ql_sys_rss_bytes(false));
  lua_pushinteger(L, (lua_Integer)ql_sys_rss_bytes(true));
  return 2;
}

static int find_on_path(lua_State *L) {
  char path[PATH_MAX];
  if (ql_sys_find(luaL_checkstring(L, 1), path, sizeof path) != 0)
    return 0;
  lua_pushstring(L, path);
  return 1;
}

// free_port(host [, port]) → port | nil, err: the port asked for if it is free, else (0) one the kernel chose
static int free_port(lua_State *L) {
  const char *host = luaL_optstring(L, 1, "127.0.0.1");
  int port = (int)luaL_optinteger(L, 2, 0);
  struct ql_err err;
  if (ql_sys_free_port(host, &port, &err) != 0)
    return ql_push_err(L, &err);
  lua_pushinteger(L, port);
  return 1;
}

static void set(lua_State *L, const char *name, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

// host() → { hostname, system, release, machine, cpu, cores, memory_bytes }
static int host(lua_State *L) {
  struct utsname names;
  char cpu[256];
  lua_newtable(L);
  if (uname(&names) == 0) {
    set(L, "hostname", names.nodename);
    set(L, "system", names.sysname);
    set(L, "release", names.release);
    set(L, "machine", names.machine);
  }
  if (ql_sys_cpu_model(cpu, sizeof cpu) == 0)
    set(L, "cpu", cpu);
  lua_pushinteger(L, sysconf(_SC_NPROCESSORS_ONLN));
  lua_setfield(L, -2, "cores");
  lua_pushinteger(L, (lua_Integer)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
  lua_setfield(L, -2, "memory_bytes");
  return 1;
}

// versions() → { name = version } of qlua and every library, as loaded, not as compiled against
static int versions(lua_State *L) {
  lua_newtable(L);
  set(L, "qlua", QL_VERSION);
  set(L, "lua", LUA_RELEASE + 4); // after "Lua "
  set(L, "libcurl", curl_version_info(CURLVERSION_NOW)->version);
  set(L, "libuv", uv_version_string());
  set(L, "sqlite", sqlite3_libversion());
  set(L, "libyaml", yaml_get_version_string());
  set(L, "zlib", zlibVersion());
  set(L, "zstd", ZSTD_versionString());
  set(L, "utf8proc", utf8proc_version());
  char pcre[64] = "";
  pcre2_config(PCRE2_CONFIG_VERSION, pcre);
  pcre[strcspn(pcre, " ")] = '\0';
  set(L, "pcre2", pcre);
  const char *tls = curl_version_info(CURLVERSION_NOW)->ssl_version;
  set(L, "tls", tls ? tls : "none");
  return 1;
}

// exit(code): at once, no clean-up: the second Ctrl-C
static int exit_now(lua_State *L) {
  _exit((int)luaL_optinteger(L, 1, 130));
  return 0;
}

static const luaL_Reg functions[] = {
    {"exe", exe},   {"pid", pid},           {"env", env},     {"environ", all_env},   {"cwd", cwd},
    {"host", host}, {"free_port", free_port}, {"rss_bytes", rss_bytes}, {"find_on_path", find_on_path}, {"versions", versions},
    {"exit", exit_now}, {NULL, NULL},
};

int ql_open_sys(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
