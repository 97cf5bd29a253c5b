// SPDX-License-Identifier: Apache-2.0
// lua_gpu: qlua.core.gpu over gpu.h.
//
// open{hz=, library=} → gpu, or nil and err where the machine has no NVIDIA device that can be asked.
// Nothing parks: a window waits at most for one reading. A figure that is not known is absent, never 0.

#include "gpu.h"
#include "task.h"

#include <lauxlib.h>
#include <stdlib.h>

#define GPU "qlua.gpu"
enum { MAX_SERIES = 1024, MAX_PROCESSES = 256 };

int ql_open_gpu(lua_State *L);

static struct ql_gpu *check_gpu(lua_State *L) {
  struct ql_gpu **gpu = luaL_checkudata(L, 1, GPU);
  luaL_argcheck(L, *gpu, 1, "it is closed");
  return *gpu;
}

static unsigned check_mark(lua_State *L, int at) {
  lua_Integer mark = luaL_checkinteger(L, at);
  luaL_argcheck(L, mark >= 1 && mark <= 1 << 30, at, "want a mark");
  return (unsigned)mark;
}

static void set_integer(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *value) {
  if (value[0] == '\0')
    return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, int value) {
  if (value < 0)
    return;
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

// ---- open ---------------------------------------------------------------------------------------------------

static int gpu_open(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct ql_gpu_options options = {0};
  if (lua_getfield(L, 1, "hz") != LUA_TNIL) {
    options.hz = luaL_checknumber(L, -1);
    luaL_argcheck(L, options.hz > 0 && options.hz <= 1000, 1, "hz: want a number above 0 and at most 1000");
  }
  if (lua_getfield(L, 1, "library") != LUA_TNIL)
    options.library = luaL_checkstring(L, -1);
  struct ql_gpu **gpu = lua_newuserdatauv(L, sizeof *gpu, 0);
  *gpu = NULL;
  luaL_setmetatable(L, GPU);
  struct ql_err err = {0};
  *gpu = ql_gpu_open(&options, &err);
  return *gpu ? 1 : ql_push_err(L, &err);
}

static int gpu_close(lua_State *L) {
  struct ql_gpu **gpu = luaL_checkudata(L, 1, GPU);
  ql_gpu_close(*gpu);
  *gpu = NULL;
  return 0;
}

// ---- what is there ------------------------------------------------------------------------------------------

static int gpu_devices(lua_State *L) {
  struct ql_gpu *gpu = check_gpu(L);
  lua_newtable(L);
  for (size_t i = 0; i < ql_gpu_count(gpu); i++) {
    const struct ql_gpu_device *device = ql_gpu_device(gpu, i);
    lua_createtable(L, 0, 10);
    set_integer(L, "index", i);
    set_text(L, "uuid", device->uuid);
    set_text(L, "name", device->name);
    set_text(L, "driver", device->driver);
    if (device->cuda_version > 0) {
      lua_pushfstring(L, "%d.%d", device->cuda_version / 1000, device->cuda_version % 1000 / 10);
      lua_setfield(L, -2, "cuda");
    }
    if (device->memory_total_bytes > 0)
      set_integer(L, "memory_total_bytes", device->memory_total_bytes);
    if (device->power_limit_mw > 0)
      set_number(L, "power_limit_w", (double)device->power_limit_mw / 1000.0);
    set_flag(L, "persistence", device->is_persistent);
    set_flag(L, "partitioned", device->is_partitioned);
    set_flag(L, "used_has_reserved", device->uses_reserved);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static void push_processes(lua_State *L, const struct ql_gpu_process *list, size_t count) {
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_createtable(L, 0, 2);
    set_integer(L, "pid", list[i].pid);
    if (list[i].memory_bytes != UINT64_MAX)
      set_integer(L, "memory_bytes", list[i].memory_bytes);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

// processes() → for each device, in their order, a list of { pid, memory_bytes }, or false where it cannot be had
static int gpu_processes(lua_State *L) {
  struct ql_gpu *gpu = check_gpu(L);
  struct ql_gpu_process list[MAX_PROCESSES];
  lua_newtable(L);
  for (size_t i = 0; i < ql_gpu_count(gpu); i++) {
    int count = ql_gpu_processes(gpu, i, list, MAX_PROCESSES, NULL);
    if (count >= 0)
      push_processes(L, list, count < MAX_PROCESSES ? (size_t)count : MAX_PROCESSES);
    else
      lua_pushboolean(L, 0);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

// ---- windows --------------------------------------------------------------------------------------------------

static int gpu_mark(lua_State *L) {
  unsigned mark = ql_gpu_mark(check_gpu(L));
  if (mark == 0)
    luaL_error(L, "gpu: too many marks");
  lua_pushinteger(L, mark);
  return 1;
}

static void push_throttle(lua_State *L, const struct ql_gpu_figures *figures) {
  lua_newtable(L);
  for (unsigned bit = 0; bit < QL_GPU_REASONS; bit++)
    if (figures->reasons[bit] > 0)
      set_number(L, ql_gpu_reason(bit), figures->reasons[bit]);
}

static void push_figures(lua_State *L, const struct ql_gpu *gpu, size_t at, const struct ql_gpu_figures *figures) {
  lua_createtable(L, 0, 14);
  set_integer(L, "index", at);
  set_text(L, "uuid", ql_gpu_device(gpu, at)->uuid);
  set_integer(L, "samples", figures->readings);
  set_number(L, "seconds", (double)(figures->to_ns - figures->from_ns) / 1e9);
  if (figures->is_lost)
    set_flag(L, "lost", 1);
  if (figures->known & QL_GPU_ENERGY) {
    set_number(L, "energy_j", figures->energy_j);
    set_text(L, "energy_source", figures->energy_source == QL_GPU_COUNTER ? "counter" : "integrated");
  }
  if (figures->known & QL_GPU_POWER) {
    set_number(L, "power_w_mean", figures->power_w_mean);
    set_number(L, "power_w_max", figures->power_w_max);
  }
  if (figures->known & QL_GPU_MEMORY)
    set_integer(L, "memory_used_max_bytes", figures->memory_used_max_bytes);
  if (figures->known & QL_GPU_TEMPERATURE)
    set_integer(L, "temperature_c_max", figures->temperature_c_max);
  if (figures->known & QL_GPU_SM_CLOCK)
    set_number(L, "sm_clock_mhz_mean", figures->sm_clock_mhz_mean);
  if (figures->known & QL_GPU_UTILISATION)
    set_number(L, "utilisation_mean", figures->utilisation_mean / 100.0);
  if (figures->known & QL_GPU_THROTTLE) {
    push_throttle(L, figures);
    lua_setfield(L, -2, "throttle");
  }
}

// window(from, to) → figures of each device, or nil and err when the driver does not answer
static int gpu_window(lua_State *L) {
  struct ql_gpu *gpu = check_gpu(L);
  unsigned from = check_mark(L, 2), to = check_mark(L, 3);
  lua_newtable(L);
  for (size_t i = 0; i < ql_gpu_count(gpu); i++) {
    struct ql_gpu_figures figures;
    struct ql_err err = {0};
    if (ql_gpu_window(gpu, i, from, to, &figures, &err) != 0)
      return err.kind == QL_E_INTERNAL ? luaL_error(L, "%s", err.text) : ql_push_err(L, &err);
    push_figures(L, gpu, i, &figures);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static void push_reading(lua_State *L, const struct ql_gpu_reading *reading) {
  lua_createtable(L, 0, 6);
  set_integer(L, "at_ns", reading->at_ns);
  if (reading->known & QL_GPU_POWER)
    set_number(L, "power_w", reading->power_mw / 1000.0);
  if (reading->known & QL_GPU_MEMORY)
    set_integer(L, "memory_used_bytes", reading->memory_used_bytes);
  if (reading->known & QL_GPU_TEMPERATURE)
    set_integer(L, "temperature_c", reading->temperature_c);
  if (reading->known & QL_GPU_SM_CLOCK)
    set_integer(L, "sm_clock_mhz", reading->sm_clock_mhz);
  if (reading->known & QL_GPU_UTILISATION)
    set_number(L, "utilisation", reading->utilisation_pct / 100.0);
}

// series(index, from, to, max) → readings of one device, thinned out to max
static int gpu_series(lua_State *L) {
  struct ql_gpu *gpu = check_gpu(L);
  lua_Integer index = luaL_checkinteger(L, 2);
  luaL_argcheck(L, index >= 0 && (size_t)index < ql_gpu_count(gpu), 2, "want a device's index");
  unsigned from = check_mark(L, 3), to = check_mark(L, 4);
  lua_Integer max = luaL_optinteger(L, 5, MAX_SERIES);
  luaL_argcheck(L, max >= 1 && max <= MAX_SERIES, 5, "want a number from 1 to 1024");
  struct ql_gpu_reading *readings = lua_newuserdatauv(L, (size_t)max * sizeof *readings, 0);
  size_t count = ql_gpu_series(gpu, (size_t)index, from, to, readings, (size_t)max);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    push_reading(L, &readings[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

int ql_open_gpu(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"devices", gpu_devices}, {"processes", gpu_processes}, {"mark", gpu_mark},
      {"window", gpu_window},   {"series", gpu_series},       {"close", gpu_close},
      {"__gc", gpu_close},      {"__close", gpu_close},       {NULL, NULL},
  };
  static const luaL_Reg functions[] = {{"open", gpu_open}, {NULL, NULL}};
  if (luaL_newmetatable(L, GPU)) {
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
