// SPDX-License-Identifier: Apache-2.0
// task: see task.h. Coroutines of the main state, a queue of those that may run, and resume().
//
// resume() is the only place of the program where C enters Lua while it runs (host.c enters once, to
// spawn the first task; ql_task_call serves signals). Waking never runs Lua: it queues, and the loop's
// idle turn drains what was queued when the turn began, so that I/O gets its turn between two rounds.

#include "task.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ql_task {
  struct tasks *tasks;
  lua_State *co;
  int anchor; // reference that keeps the coroutine from the collector
  int nargs;  // on the coroutine's stack, before it is first resumed
  ql_push push;
  void *arg;
  bool is_ready;
  struct ql_task *next_ready;
  struct ql_task *prev, *next; // all tasks
};

struct tasks {
  lua_State *L;
  struct ql_loop *loop;
  struct ql_task *current;
  int sealed; // coroutines that run where nothing may be yielded through, see ql_task_seal
  struct ql_task *ready, **ready_end;
  struct ql_task *all;
  bool is_closing;
  int tuned_kib; // the heap for which the collector's pace was set
};

// A young generation of about this size stays in the processor's cache; a larger one costs time in any part of a run. A
// smaller one costs more than it saves: each collection visits the stacks of all tasks.
enum { YOUNG_KIB = 128, MIN_YOUNG_PERCENT = 3, MAX_YOUNG_PERCENT = 100 };

// Its address is what a parked coroutine yields, so that a script's own yields are told apart.
static char park_mark;

static struct tasks *tasks_of(lua_State *L) { return *(struct tasks **)lua_getextraspace(L); }

struct ql_loop *ql_task_loop(lua_State *L) { return tasks_of(L)->loop; }

static void enqueue(struct ql_task *task) {
  struct tasks *tasks = task->tasks;
  if (task->is_ready)
    return;
  task->is_ready = true;
  task->next_ready = NULL;
  *tasks->ready_end = task;
  tasks->ready_end = &task->next_ready;
  ql_loop_idle(tasks->loop, true);
}

struct ql_task *ql_task_park(lua_State *L) {
  struct tasks *tasks = tasks_of(L);
  if (!tasks->current || tasks->sealed > 0 || !lua_isyieldable(L))
    luaL_error(L, "cannot wait here: inside a callback of sort, gsub or require, or outside of a task");
  return tasks->current;
}

int ql_task_yield(lua_State *L) {
  lua_pushlightuserdata(L, &park_mark);
  return lua_yield(L, 1);
}

bool ql_task_is_mark(lua_State *L, int index) { return lua_touserdata(L, index) == &park_mark; }

void ql_task_seal(lua_State *L, bool on) { tasks_of(L)->sealed += on ? 1 : -1; }

void ql_task_unpark(lua_State *L, struct ql_task *task) {
  struct tasks *tasks = task->tasks;
  if (!task->is_ready)
    return;
  struct ql_task **at = &tasks->ready;
  while (*at && *at != task)
    at = &(*at)->next_ready;
  if (*at) {
    *at = task->next_ready;
    if (tasks->ready_end == &task->next_ready)
      tasks->ready_end = at;
  }
  task->is_ready = false;
  ql_push push = task->push;
  task->push = NULL;
  int top = lua_gettop(L);
  push(L, task->arg); // releases what was carried
  lua_settop(L, top);
}

void ql_task_wake(struct ql_task *task, ql_push push, void *arg) {
  if (task->tasks->is_closing) {
    push(NULL, arg);
    return;
  }
  task->push = push;
  task->arg = arg;
  enqueue(task);
}

struct ql_task *ql_task_spawn(lua_State *L, int nargs) {
  struct tasks *tasks = tasks_of(L);
  lua_State *co = lua_newthread(L);
  if (!lua_checkstack(co, nargs + 1)) // a new thread has room for a few dozen values only
    luaL_error(L, "too many arguments for a task: %d", nargs);
  int anchor = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_xmove(L, co, nargs + 1);
  struct ql_task *task = ql_calloc(1, sizeof *task);
  *task = (struct ql_task){.tasks = tasks, .co = co, .anchor = anchor, .nargs = nargs, .next = tasks->all};
  if (tasks->all)
    tasks->all->prev = task;
  tasks->all = task;
  enqueue(task);
  return task;
}

static void end(struct ql_task *task) {
  struct tasks *tasks = task->tasks;
  luaL_unref(tasks->L, LUA_REGISTRYINDEX, task->anchor);
  if (task->prev)
    task->prev->next = task->next;
  else
    tasks->all = task->next;
  if (task->next)
    task->next->prev = task->prev;
  free(task);
}

static void report(lua_State *co) {
  const char *text = lua_tostring(co, -1);
  if (!text && lua_istable(co, -1)) { // an err
    lua_pushliteral(co, "text");
    lua_rawget(co, -2);
    text = lua_tostring(co, -1);
  }
  luaL_traceback(co, co, text ? text : "(an error that is no text)", 0);
  fprintf(stderr, "qlua: internal error in a task: %s\n", lua_tostring(co, -1));
}

static int run_push(lua_State *L) {
  struct ql_task *task = lua_touserdata(L, 1);
  ql_push push = task->push;
  task->push = NULL;
  return push(L, task->arg);
}

// Bring the results of what the task waited for onto its stack; returns how many.
static int deliver(struct ql_task *task) {
  lua_State *L = task->tasks->L;
  int base = lua_gettop(L);
  lua_pushcfunction(L, run_push);
  lua_pushlightuserdata(L, task);
  if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK)
    lua_insert(L, base + 1), lua_pushnil(L), lua_insert(L, base + 1); // nil, message
  int count = lua_gettop(L) - base;
  if (!lua_checkstack(task->co, count + 1)) {
    lua_settop(L, base);
    return 0;
  }
  lua_xmove(L, task->co, count);
  return count;
}

static void resume(struct ql_task *task) {
  struct tasks *tasks = task->tasks;
  int nargs = task->nargs;
  task->nargs = 0;
  if (task->push)
    nargs = deliver(task);
  int nresults = 0;
  tasks->current = task;
  int status = lua_resume(task->co, tasks->L, nargs, &nresults);
  tasks->current = NULL;
  if (status == LUA_YIELD && nresults == 1 && ql_task_is_mark(task->co, -1)) {
    lua_pop(task->co, 1);
    return;
  }
  if (status == LUA_YIELD)
    lua_pushliteral(task->co, "coroutine.yield outside of a coroutine of the script's own");
  if (status != LUA_OK) {
    report(task->co);
    lua_resetthread(task->co); // runs the to-be-closed variables
  }
  end(task);
}

// Lua sets the young generation as a share of the heap, which is one megabyte in one run and a thousand in another.
static void pace_collector(struct tasks *tasks) {
  int heap_kib = lua_gc(tasks->L, LUA_GCCOUNT);
  if (heap_kib < tasks->tuned_kib + tasks->tuned_kib / 2 && heap_kib > tasks->tuned_kib / 2)
    return;
  int percent = YOUNG_KIB * 100 / (heap_kib + 1);
  percent = percent < MIN_YOUNG_PERCENT ? MIN_YOUNG_PERCENT : percent;
  lua_gc(tasks->L, LUA_GCGEN, percent < MAX_YOUNG_PERCENT ? percent : MAX_YOUNG_PERCENT, 0);
  tasks->tuned_kib = heap_kib;
}

static void run_ready(void *arg) {
  struct tasks *tasks = arg;
  pace_collector(tasks);
  struct ql_task *batch = tasks->ready;
  tasks->ready = NULL;
  tasks->ready_end = &tasks->ready;
  while (batch) {
    struct ql_task *task = batch;
    batch = task->next_ready;
    task->is_ready = false;
    resume(task);
  }
  if (!tasks->ready)
    ql_loop_idle(tasks->loop, false);
}

void ql_task_call(lua_State *L, int nargs) {
  struct tasks *tasks = tasks_of(L);
  struct ql_task *outer = tasks->current;
  tasks->current = NULL;
  if (lua_pcall(L, nargs, 0, 0) != LUA_OK) {
    const char *text = lua_tostring(L, -1);
    fprintf(stderr, "qlua: internal error in a callback: %s\n", text ? text : "(an error that is no text)");
    lua_pop(L, 1);
  }
  tasks->current = outer;
}

void ql_task_setup(lua_State *L, struct ql_loop *loop) {
  struct tasks *tasks = ql_calloc(1, sizeof *tasks);
  tasks->L = L;
  tasks->loop = loop;
  tasks->ready_end = &tasks->ready;
  *(struct tasks **)lua_getextraspace(L) = tasks;
  ql_loop_on_idle(loop, run_ready, tasks);
}

// First half of closing: from now on wakes only release what they carry. The state is closed between
// this and ql_task_release, since finalizers of bindings may still wake.
void ql_task_teardown(lua_State *L) {
  struct tasks *tasks = tasks_of(L);
  tasks->is_closing = true;
  ql_loop_idle(tasks->loop, false);
  for (struct ql_task *task = tasks->all; task; task = task->next)
    if (task->push) {
      task->push(NULL, task->arg);
      task->push = NULL;
    }
}

void *ql_task_memory(lua_State *L) { return tasks_of(L); }

void ql_task_release(void *memory) {
  struct tasks *tasks = memory;
  while (tasks->all) {
    struct ql_task *task = tasks->all;
    tasks->all = task->next;
    free(task);
  }
  free(tasks);
}

// ---- what all bindings share ----------------------------------------------------------------------------

void ql_push_err_table(lua_State *L, const struct ql_err *err) {
  lua_createtable(L, 0, 3);
  lua_pushstring(L, ql_kind_name(err->kind));
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, err->text);
  lua_setfield(L, -2, "text");
  if (err->hint[0]) {
    lua_pushstring(L, err->hint);
    lua_setfield(L, -2, "hint");
  }
  luaL_setmetatable(L, "qlua.err"); // with __tostring, set up by the host
}

int ql_push_err(lua_State *L, const struct ql_err *err) {
  lua_pushnil(L);
  ql_push_err_table(L, err);
  return 2;
}
