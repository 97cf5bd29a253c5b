// SPDX-License-Identifier: Apache-2.0
// guard: see guard.h. A script of a stranger may loop forever or ask for all memory; it loses its call.
//
// Memory: the limit is what the state used on entry plus the allowance; over it the allocator returns
// NULL, Lua collects once and then raises. Instructions: a count hook; once over the limit it fires on
// every instruction, so that a pcall inside the script cannot swallow the stop. Coroutines made inside
// inherit the hook. What this does not stop: one long C function, e.g. a pattern that backtracks; the
// memory limit bounds it in space, nothing bounds it in time.

#include "guard.h"

#include <lauxlib.h>
#include <string.h>

enum { HOOK_STEP = 1000 };

void *ql_guard_alloc(void *arg, void *old, size_t old_size, size_t size) {
  struct ql_guard *guard = arg;
  if (!old)
    old_size = 0; // Lua passes the kind of the new object there
  if (size == 0) {
    ql_pool_resize(&guard->pool, old, old_size, 0);
    guard->used_bytes -= old_size;
    return NULL;
  }
  if (guard->limit_bytes && size > old_size && guard->used_bytes + (size - old_size) > guard->limit_bytes)
    return NULL;
  void *memory = ql_pool_resize(&guard->pool, old, old_size, size);
  if (!memory)
    return NULL;
  guard->used_bytes += size - old_size; // wraps around correctly when it shrinks
  if (guard->used_bytes > guard->peak_bytes)
    guard->peak_bytes = guard->used_bytes;
  return memory;
}

static void count(lua_State *L, lua_Debug *ar) {
  (void)ar;
  void *arg = NULL;
  lua_getallocf(L, &arg);
  struct ql_guard *guard = arg;
  guard->instructions += (uint64_t)lua_gethookcount(L);
  if (guard->instruction_limit == 0 || guard->instructions <= guard->instruction_limit)
    return;
  lua_sethook(L, count, LUA_MASKCOUNT, 1);
  luaL_where(L, 0); // a hook is no level of its own: 0 is the function that was running
  lua_pushfstring(L, "instruction limit of %d million reached (an endless loop?)",
                  (int)(guard->instruction_limit / 1000000u));
  lua_concat(L, 2);
  lua_error(L);
}

struct saved {
  size_t limit_bytes;
  uint64_t instructions, instruction_limit;
  lua_Hook hook;
  int mask, step;
};

static struct saved enter(lua_State *hooked, struct ql_guard *guard, size_t memory_bytes, uint64_t instructions) {
  struct saved saved = {guard->limit_bytes,   guard->instructions,     guard->instruction_limit,
                        lua_gethook(hooked), lua_gethookmask(hooked), lua_gethookcount(hooked)};
  size_t limit_bytes = memory_bytes ? guard->used_bytes + memory_bytes : 0;
  if (!saved.limit_bytes || (limit_bytes && limit_bytes < saved.limit_bytes)) // an inner limit never widens the outer
    guard->limit_bytes = limit_bytes;
  guard->instructions = 0;
  guard->instruction_limit = instructions;
  if (instructions)
    lua_sethook(hooked, count, LUA_MASKCOUNT, HOOK_STEP);
  return saved;
}

static void leave(lua_State *hooked, struct ql_guard *guard, struct saved saved) {
  guard->limit_bytes = saved.limit_bytes;
  guard->instructions += saved.instructions; // what ran inside ran for the outer call too
  guard->instruction_limit = saved.instruction_limit;
  // Setting a hook starts its count anew, so an outer call that is over its limit must be told at once.
  bool is_over = saved.instruction_limit && guard->instructions > saved.instruction_limit;
  lua_sethook(hooked, saved.hook, saved.mask, is_over ? 1 : saved.step);
}

static int to_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

// The text of the error value on top of L, which becomes that text: a string, the text of an err, or what its
// __tostring says, which is the script's code again and runs under the same limits.
static const char *describe(lua_State *L, struct ql_guard *guard, size_t memory_bytes, uint64_t instructions) {
  if (lua_type(L, -1) == LUA_TSTRING)
    return lua_tostring(L, -1);
  if (!lua_checkstack(L, 4))
    return NULL;
  if (lua_istable(L, -1)) {
    lua_pushliteral(L, "text");
    if (lua_rawget(L, -2) == LUA_TSTRING) {
      lua_replace(L, -2);
      return lua_tostring(L, -1);
    }
    lua_pop(L, 1);
  }
  if (luaL_getmetafield(L, -1, "__tostring") == LUA_TNIL)
    return NULL;
  lua_pop(L, 1);
  lua_pushcfunction(L, to_text);
  lua_insert(L, -2);
  struct saved saved = enter(L, guard, memory_bytes, instructions);
  int status = lua_pcall(L, 1, 1, 0);
  leave(L, guard, saved);
  return status == LUA_OK ? lua_tostring(L, -1) : NULL;
}

// The error value is on top of L; it is copied into err and popped.
static int failed(lua_State *L, struct ql_guard *guard, int status, bool was_over, size_t memory_bytes,
                  uint64_t instructions, struct ql_err *err) {
  if (status == LUA_ERRMEM) {
    ql_fail(err, QL_E_LIMIT, "memory limit of %zu MiB reached", memory_bytes >> 20);
  } else {
    const char *text = describe(L, guard, memory_bytes, instructions);
    ql_fail(err, was_over ? QL_E_LIMIT : QL_E_SCRIPT, "%s", text ? text : "an error that is no text");
  }
  lua_pop(L, 1);
  return -1;
}

int ql_guard_call(lua_State *L, struct ql_guard *guard, size_t memory_bytes, uint64_t instructions, int nargs,
                  struct ql_err *err) {
  struct saved saved = enter(L, guard, memory_bytes, instructions);
  int status = lua_pcall(L, nargs, LUA_MULTRET, 0);
  bool was_over = instructions && guard->instructions > instructions;
  leave(L, guard, saved);
  return status == LUA_OK ? 0 : failed(L, guard, status, was_over, memory_bytes, instructions, err);
}

int ql_guard_resume(lua_State *L, lua_State *co, struct ql_guard *guard, size_t memory_bytes, uint64_t instructions,
                    int nargs, struct ql_err *err) {
  lua_xmove(L, co, nargs);
  struct saved saved = enter(co, guard, memory_bytes, instructions);
  int nresults = 0;
  int status = lua_resume(co, L, nargs, &nresults);
  bool was_over = instructions && guard->instructions > instructions;
  leave(co, guard, saved);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return failed(L, guard, status, was_over, memory_bytes, instructions, err);
  }
  if (!lua_checkstack(L, nresults + 2)) {
    lua_pop(co, nresults);
    return ql_fail(err, QL_E_LIMIT, "a coroutine gave more values than fit");
  }
  lua_xmove(co, L, nresults);
  return status == LUA_YIELD;
}
