// SPDX-License-Identifier: Apache-2.0
// guard: limits on what a script may use: memory through the state's allocator, instructions by a hook.
#ifndef QL_GUARD_H
#define QL_GUARD_H

#include "base.h"
#include "pool.h"

#include <lua.h>

// The state's allocator counts; limit_bytes is in force only while a guarded call runs.
struct ql_guard {
  struct ql_pool pool;
  size_t used_bytes;
  size_t peak_bytes;
  size_t limit_bytes; // 0: none
  uint64_t instructions;
  uint64_t instruction_limit; // 0: none
};

void *ql_guard_alloc(void *guard, void *old, size_t old_size, size_t size);

// Calls the function under nargs arguments on top of L's stack, as lua_pcall with LUA_MULTRET.
// Returns 0 with the results on the stack, or -1 with err filled and nothing on it.
int ql_guard_call(lua_State *L, struct ql_guard *guard, size_t memory_bytes, uint64_t instructions, int nargs,
                  struct ql_err *err);
// The same for a coroutine: nargs values on top of L are passed to co. Returns 1 when it yielded, 0 when
// it ended, -1 on error; what it yielded or returned is moved to L.
int ql_guard_resume(lua_State *L, lua_State *co, struct ql_guard *guard, size_t memory_bytes, uint64_t instructions,
                    int nargs, struct ql_err *err);

#endif
