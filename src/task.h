// SPDX-License-Identifier: Apache-2.0
// task: the one door from C into Lua.
//
// A task is a coroutine of the main Lua state. It runs until it asks for something of the world, is
// parked, and is resumed here, and only here, inside a protected call. A task that raises ends; it
// never ends the program. Bindings use four calls:
//
//   struct ql_task *task = ql_task_park(L);      // in a lua_CFunction: who is asking
//   start(…, on_done, task);                     // on_done calls ql_task_wake, once, now or later
//   return ql_task_yield(L);                     // must be a tail call
//
// The results are pushed by a function, not by the waker, since pushing may raise for want of memory
// and the waker is a C callback outside any protected call.
#ifndef QL_TASK_H
#define QL_TASK_H

#include "base.h"
#include "loop.h"

#include <lua.h>

struct ql_task;

// Pushes the results of what the task waited for and returns how many; also releases arg.
// L is NULL when the task is gone or the program is closing: then it only releases arg.
typedef int (*ql_push)(lua_State *L, void *arg);

// The task that is running. Raises a Lua error when L does not run inside one.
struct ql_task *ql_task_park(lua_State *L);
int ql_task_yield(lua_State *L);
// Is this value what ql_task_yield yields? A script's own coroutine must pass it on outwards.
bool ql_task_is_mark(lua_State *L, int index);
// Exactly once for each park, on the main thread; the task runs on the loop's next turn, never inside
// this call.
void ql_task_wake(struct ql_task *task, ql_push push, void *arg);

// Undoes ql_task_park in the running task, also when it has been woken already: for a start that raised.
void ql_task_unpark(lua_State *L, struct ql_task *task);
// While sealed (calls nest) nobody may park: a coroutine that is resumed where its task cannot yield would start
// to wait and never be able to hand the wait outwards.
void ql_task_seal(lua_State *L, bool on);

// The function and its nargs arguments on top of L's stack become a task that starts on the next turn.
struct ql_task *ql_task_spawn(lua_State *L, int nargs);

// Call from C into Lua outside of any task, e.g. for a signal: function and args on L's stack, protected,
// results dropped; an error goes to the log. Callbacks that may wait must spawn instead.
void ql_task_call(lua_State *L, int nargs);

struct ql_loop *ql_task_loop(lua_State *L); // the main loop, for bindings that start things on it

void ql_task_setup(lua_State *L, struct ql_loop *loop);
// Closing, in this order: ql_task_teardown, lua_close, then ql_task_release on what ql_task_memory gave.
void ql_task_teardown(lua_State *L);
void *ql_task_memory(lua_State *L);
void ql_task_release(void *memory);

// Shared by all bindings: push nil and {kind=, text=, hint=}; returns 2, so `return ql_push_err(L, &err);`
int ql_push_err(lua_State *L, const struct ql_err *err);
// Only the table.
void ql_push_err_table(lua_State *L, const struct ql_err *err);

#endif
