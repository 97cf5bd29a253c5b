// SPDX-License-Identifier: Apache-2.0
// lua_proc: qlua.core.proc over proc.h.
//
// A process is a userdata that owns the ql_proc; when it is collected, or the state is closed, what still
// runs is killed with all its descendants. Tasks that wait stand in a list of its own; a wait may end by
// the exit or by its timer, whichever comes first, and wakes once. A short command (`run`) is a userdata
// too, anchored in the registry until its task has the result.

#include "proc.h"
#include "proc_cgroup.h"
#include "proc_stat.h"
#include "task.h"

#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define PROCESS "qlua.process"
#define RUN "qlua.process.run"

enum { GRACE_MS = 30000 };

int ql_open_proc(lua_State *L);

struct process {
  struct ql_proc *proc; // NULL once closed
  struct ql_loop *loop;
  struct waiter *exit_waiters, *stop_waiters;
};

struct waiter {
  struct ql_task *task;
  struct ql_timer *timer;
  struct waiter **link, *next; // in the list of its process
};

// ---- arguments ------------------------------------------------------------------------------------------

static void check_no_nul(lua_State *L, int at, const char *what) {
  size_t len;
  const char *text = lua_tolstring(L, at, &len);
  if (strlen(text) != len)
    luaL_error(L, "%s: a NUL byte cannot be passed to a program", what);
}

// The strings of the list `options[name]` as a C array that ends with NULL, in a userdata on top of the
// stack; NULL and nothing pushed when there is none. Each string stays alive in the userdata's uservalue.
static const char **push_list(lua_State *L, const char *name) {
  if (lua_getfield(L, 1, name) == LUA_TNIL) {
    lua_pop(L, 1);
    return NULL;
  }
  if (!lua_istable(L, -1))
    luaL_error(L, "%s: want a list of strings, got %s", name, luaL_typename(L, -1));
  size_t count = lua_rawlen(L, -1);
  const char **list = lua_newuserdatauv(L, (count + 1) * sizeof *list, 1);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, -3, (lua_Integer)i + 1);
    if (!lua_isstring(L, -1))
      luaL_error(L, "%s[%d]: want a string, got %s", name, (int)i + 1, luaL_typename(L, -1));
    list[i] = lua_tostring(L, -1); // numbers become strings in place, in our own table
    check_no_nul(L, -1, name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  list[count] = NULL;
  lua_setiuservalue(L, -2, 1);
  lua_remove(L, -2);
  return list;
}

// options.env, { NAME = value or false }, as "NAME=value" or "NAME".
static const char **push_env(lua_State *L) {
  if (lua_getfield(L, 1, "env") == LUA_TNIL) {
    lua_pop(L, 1);
    return NULL;
  }
  if (!lua_istable(L, -1))
    luaL_error(L, "env: want a table, got %s", luaL_typename(L, -1));
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    count++;
  const char **list = lua_newuserdatauv(L, (count + 1) * sizeof *list, 1);
  lua_newtable(L); // stack: env, list, keep
  size_t used = 0;
  for (lua_pushnil(L); lua_next(L, -4); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || strchr(lua_tostring(L, -2), '='))
      luaL_error(L, "env: want names without '=' as keys");
    bool is_unset = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
    if (!is_unset && !lua_isstring(L, -1))
      luaL_error(L, "env.%s: want a string or false, got %s", lua_tostring(L, -2), luaL_typename(L, -1));
    lua_pushvalue(L, -2);
    if (!is_unset) {
      lua_pushliteral(L, "=");
      lua_pushvalue(L, -3);
      lua_concat(L, 3);
    }
    check_no_nul(L, -1, "env");
    list[used] = lua_tostring(L, -1);
    lua_rawseti(L, -4, (lua_Integer)++used);
  }
  list[used] = NULL;
  lua_setiuservalue(L, -2, 1);
  lua_remove(L, -2);
  return list;
}

// A field that is a string or absent; the options table keeps it alive.
static const char *opt_string(lua_State *L, const char *name, size_t *len) {
  int type = lua_getfield(L, 1, name);
  if (type != LUA_TNIL && type != LUA_TSTRING)
    luaL_error(L, "%s: want a string, got %s", name, luaL_typename(L, -1));
  if (type == LUA_TSTRING && !len)
    check_no_nul(L, -1, name);
  const char *text = lua_tolstring(L, -1, len);
  lua_pop(L, 1);
  return text;
}

static lua_Integer opt_integer(lua_State *L, int table, const char *name, lua_Integer otherwise) {
  int is_integer = 1;
  lua_Integer value = otherwise;
  if (lua_getfield(L, table, name) != LUA_TNIL)
    value = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || value < 0)
    luaL_error(L, "%s: want a whole number from 0, got %s", name, luaL_tolstring(L, -1, NULL));
  lua_pop(L, 1);
  return value;
}

static const char **push_argv(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  const char **argv = push_list(L, "argv");
  if (!argv || !argv[0])
    luaL_error(L, "argv: want a list with at least the program's name");
  return argv;
}

// ---- waiting ----------------------------------------------------------------------------------------------

static void take_out(struct waiter *waiter) {
  *waiter->link = waiter->next;
  if (waiter->next)
    waiter->next->link = waiter->link;
  ql_timer_stop(waiter->timer);
  free(waiter);
}

static int push_status(lua_State *L, void *arg) {
  const struct ql_proc_status *status = arg;
  if (L) {
    lua_createtable(L, 0, 5);
    if (status->signal == 0) {
      lua_pushinteger(L, status->code);
      lua_setfield(L, -2, "code");
    } else {
      lua_pushinteger(L, status->signal);
      lua_setfield(L, -2, "signal");
    }
    lua_pushboolean(L, status->is_requested);
    lua_setfield(L, -2, "requested");
    lua_pushinteger(L, (lua_Integer)status->swept);
    lua_setfield(L, -2, "swept");
    lua_pushinteger(L, (lua_Integer)status->survivors);
    lua_setfield(L, -2, "survivors");
  }
  free(arg);
  return L ? 1 : 0;
}

static int push_nothing(lua_State *L, void *arg) {
  (void)arg;
  if (L)
    lua_pushnil(L);
  return 1;
}

static void wake_all(struct waiter **list, const struct ql_proc_status *status) {
  while (*list) {
    struct waiter *first = *list;
    struct ql_proc_status *copy = ql_malloc(sizeof *copy);
    *copy = *status;
    *list = first->next;
    if (*list)
      (*list)->link = list;
    ql_timer_stop(first->timer);
    ql_task_wake(first->task, push_status, copy);
    free(first);
  }
}

static void on_wait_over(void *arg) {
  struct waiter *waiter = arg;
  struct ql_task *task = waiter->task;
  waiter->timer = NULL; // it dies by firing
  take_out(waiter);
  ql_task_wake(task, push_nothing, NULL);
}

static void on_exit_seen(void *arg) {
  struct process *process = arg;
  struct ql_proc_status status;
  if (ql_proc_has_exited(process->proc, &status))
    wake_all(&process->exit_waiters, &status);
}

static void on_stopped(void *arg) {
  struct process *process = arg;
  struct ql_proc_status status;
  if (ql_proc_is_stopped(process->proc, &status))
    wake_all(&process->stop_waiters, &status);
}

static struct waiter *add_waiter(struct waiter **list, struct ql_task *task) {
  struct waiter *waiter = ql_calloc(1, sizeof *waiter);
  *waiter = (struct waiter){.task = task, .link = list, .next = *list};
  if (*list)
    (*list)->link = &waiter->next;
  *list = waiter;
  return waiter;
}

// ---- processes ----------------------------------------------------------------------------------------------

static struct process *check_process(lua_State *L) {
  struct process *process = luaL_checkudata(L, 1, PROCESS);
  luaL_argcheck(L, process->proc, 1, "the process is closed");
  return process;
}

// spawn{argv=, env=, cwd=, log=, nonce=, secrets=, own_session=, own_cgroup=} -> process; or nil, err
static int proc_spawn(lua_State *L) {
  struct ql_proc_options options = {.argv = push_argv(L), .env = push_env(L)};
  options.log.secrets = push_list(L, "secrets");
  options.cwd = opt_string(L, "cwd", NULL);
  options.nonce = opt_string(L, "nonce", NULL);
  options.log.path = opt_string(L, "log", NULL);
  options.log.head_bytes = (size_t)opt_integer(L, 1, "log_head_bytes", 0);
  options.log.ring_bytes = (size_t)opt_integer(L, 1, "log_tail_bytes", 0);
  options.own_session = lua_getfield(L, 1, "own_session") == LUA_TNIL || lua_toboolean(L, -1);
  lua_getfield(L, 1, "own_cgroup");
  options.own_cgroup = lua_toboolean(L, -1);
  options.on_exit = on_exit_seen;
  options.on_stopped = on_stopped;
  struct process *process = lua_newuserdatauv(L, sizeof *process, 0);
  *process = (struct process){.loop = ql_task_loop(L)};
  luaL_setmetatable(L, PROCESS);
  options.arg = process;
  struct ql_err err;
  process->proc = ql_proc_spawn(process->loop, &options, &err);
  return process->proc ? 1 : ql_push_err(L, &err);
}

static int process_pid(lua_State *L) {
  lua_pushinteger(L, ql_proc_pid(check_process(L)->proc));
  return 1;
}

static int process_nonce(lua_State *L) {
  lua_pushstring(L, ql_proc_nonce(check_process(L)->proc));
  return 1;
}

static int process_alive(lua_State *L) {
  lua_pushboolean(L, !ql_proc_has_exited(check_process(L)->proc, NULL));
  return 1;
}

// process:wait(timeout_ms) -> { code= or signal=, requested= }, or nil when the time is over
static int process_wait(lua_State *L) {
  struct process *process = check_process(L);
  lua_Integer timeout_ms = luaL_optinteger(L, 2, -1);
  struct ql_proc_status status;
  if (ql_proc_has_exited(process->proc, &status)) {
    struct ql_task *task = ql_task_park(L); // may raise, so before the copy is made
    struct ql_proc_status *copy = ql_malloc(sizeof *copy);
    *copy = status;
    ql_task_wake(task, push_status, copy);
    return ql_task_yield(L);
  }
  struct waiter *waiter = add_waiter(&process->exit_waiters, ql_task_park(L));
  if (timeout_ms >= 0)
    waiter->timer = ql_timer_start(process->loop, (uint64_t)timeout_ms, on_wait_over, waiter);
  return ql_task_yield(L);
}

// process:stop{grace_ms=} -> the same record with swept= and survivors=
static int process_stop(lua_State *L) {
  struct process *process = check_process(L);
  lua_Integer grace_ms = lua_istable(L, 2) ? opt_integer(L, 2, "grace_ms", GRACE_MS) : GRACE_MS;
  add_waiter(&process->stop_waiters, ql_task_park(L));
  struct ql_proc_status status;
  if (ql_proc_is_stopped(process->proc, &status))
    wake_all(&process->stop_waiters, &status);
  else
    ql_proc_stop(process->proc, (uint64_t)grace_ms);
  return ql_task_yield(L);
}

// process:tail(n) -> the last n lines of its output, the oldest first
static int process_tail(lua_State *L) {
  const struct ql_log *log = ql_proc_log(check_process(L)->proc);
  size_t count = ql_log_tail_count(log);
  lua_Integer wanted = luaL_optinteger(L, 2, (lua_Integer)QL_LOG_TAIL_LINES);
  size_t from = wanted < 0 ? count : (size_t)wanted < count ? count - (size_t)wanted : 0;
  lua_createtable(L, (int)(count - from), 0);
  for (size_t i = from; i < count; i++) {
    lua_pushstring(L, ql_log_tail(log, i));
    lua_rawseti(L, -2, (lua_Integer)(i - from) + 1);
  }
  return 1;
}

static int process_lines_seen(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ql_log_lines(ql_proc_log(check_process(L)->proc)));
  return 1;
}

static int process_cgroup(lua_State *L) {
  lua_pushstring(L, ql_proc_cgroup(check_process(L)->proc));
  return 1;
}

// process:members() -> list of { pid=, start= }, itself first while it lives
static int process_members(lua_State *L) {
  struct process *process = check_process(L);
  struct ql_tree_member *list;
  size_t count = ql_proc_members(process->proc, &list);
  struct ql_tree_member *kept = lua_newuserdatauv(L, (count + 1) * sizeof *kept, 0);
  memcpy(kept, list, count * sizeof *kept);
  free(list); // before anything that can raise
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, kept[i].pid);
    lua_setfield(L, -2, "pid");
    lua_pushinteger(L, (lua_Integer)kept[i].start);
    lua_setfield(L, -2, "start");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

// Waits here until nothing is left of it, which is what a collector or the end of the program needs.
static int process_close(lua_State *L) {
  struct process *process = luaL_checkudata(L, 1, PROCESS);
  struct ql_proc *proc = process->proc;
  if (!proc)
    return 0;
  struct ql_proc_status status = {.code = -1, .signal = SIGKILL, .is_requested = true};
  ql_proc_has_exited(proc, &status); // fills it in when it has
  process->proc = NULL;
  ql_proc_close(proc);
  wake_all(&process->exit_waiters, &status);
  wake_all(&process->stop_waiters, &status);
  return 0;
}

// ---- short commands -------------------------------------------------------------------------------------------

struct run {
  struct ql_run *run;
  struct ql_task *task; // NULL once woken
};

static int push_output(lua_State *L, const struct ql_run_result *result) {
  lua_createtable(L, 0, 6);
  if (result->signal == 0) {
    lua_pushinteger(L, result->code);
    lua_setfield(L, -2, "code");
  } else {
    lua_pushinteger(L, result->signal);
    lua_setfield(L, -2, "signal");
  }
  lua_pushlstring(L, result->out.data ? result->out.data : "", result->out.len);
  lua_setfield(L, -2, "stdout");
  lua_pushlstring(L, result->err.data ? result->err.data : "", result->err.len);
  lua_setfield(L, -2, "stderr");
  lua_pushboolean(L, result->has_timed_out);
  lua_setfield(L, -2, "timed_out");
  lua_pushboolean(L, result->is_cut);
  lua_setfield(L, -2, "cut");
  return 1;
}

// Pushes the record and lets go of the run: from here on it is the collector's.
static int push_run(lua_State *L, void *arg) {
  struct run *run = arg;
  if (!L)
    return 0;
  push_output(L, ql_run_get(run->run));
  ql_run_close(run->run);
  run->run = NULL;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, run);
  return 1;
}

static void on_run_done(void *arg) {
  struct run *run = arg;
  struct ql_task *task = run->task;
  run->task = NULL;
  ql_task_wake(task, push_run, run);
}

static int run_close(lua_State *L) {
  struct run *run = luaL_checkudata(L, 1, RUN);
  ql_run_close(run->run);
  run->run = NULL;
  if (run->task)
    ql_task_wake(run->task, push_nothing, NULL);
  run->task = NULL;
  return 0;
}

// run{argv=, env=, cwd=, stdin=, timeout_ms=, max_bytes=} -> { code or signal, stdout, stderr, timed_out, cut };
// or nil, err when it could not be started
static int proc_run(lua_State *L) {
  struct ql_run_options options = {.argv = push_argv(L), .env = push_env(L), .on_done = on_run_done};
  options.cwd = opt_string(L, "cwd", NULL);
  options.input = opt_string(L, "stdin", &options.input_len);
  options.timeout_ms = (uint64_t)opt_integer(L, 1, "timeout_ms", 0);
  options.max_bytes = (size_t)opt_integer(L, 1, "max_bytes", 0);
  struct run *run = lua_newuserdatauv(L, sizeof *run, 0);
  *run = (struct run){0};
  luaL_setmetatable(L, RUN);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, run);
  options.arg = run;
  struct ql_task *task = ql_task_park(L);
  struct ql_err err;
  run->run = ql_run_start(ql_task_loop(L), &options, &err);
  if (!run->run) {
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, run);
    return ql_push_err(L, &err);
  }
  run->task = task;
  return ql_task_yield(L);
}

// ---- any process ------------------------------------------------------------------------------------------------

// stat(pid) -> { pid=, parent=, group=, session=, start=, dead= }, or nil when there is none
static int proc_stat(lua_State *L) {
  struct ql_stat stat;
  if (!ql_stat_read((pid_t)luaL_checkinteger(L, 1), &stat))
    return 0;
  const struct {
    const char *name;
    lua_Integer value;
  } fields[] = {{"pid", stat.pid},
                {"parent", stat.parent},
                {"group", stat.group},
                {"session", stat.session},
                {"start", (lua_Integer)stat.start}};
  lua_createtable(L, 0, 6);
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    lua_pushinteger(L, fields[i].value);
    lua_setfield(L, -2, fields[i].name);
  }
  lua_pushboolean(L, stat.state == 'Z' || stat.state == 'X');
  lua_setfield(L, -2, "dead");
  return 1;
}

// cgroup_path(nonce) -> where the control group of a program with this nonce would be, or nil where there can be none
static int proc_cgroup_path(lua_State *L) {
  char *path = ql_cgroup_path(luaL_checkstring(L, 1));
  char *kept = path ? lua_newuserdatauv(L, strlen(path) + 1, 0) : NULL;
  if (!kept)
    return 0;
  stpcpy(kept, path);
  free(path);
  lua_pushstring(L, kept);
  return 1;
}

// kill(pid, start) -> true when SIGKILL was sent to the process that has this pid and this start time
static int proc_kill(lua_State *L) {
  lua_pushboolean(L, ql_stat_kill((pid_t)luaL_checkinteger(L, 1), (uint64_t)luaL_checkinteger(L, 2)));
  return 1;
}

int ql_open_proc(lua_State *L) {
  static const luaL_Reg process_meta[] = {{"__gc", process_close}, {"__close", process_close}, {NULL, NULL}};
  static const luaL_Reg process_methods[] = {
      {"pid", process_pid},   {"nonce", process_nonce}, {"alive", process_alive},           {"wait", process_wait},
      {"stop", process_stop}, {"tail", process_tail},   {"lines_seen", process_lines_seen}, {"close", process_close},
      {"cgroup", process_cgroup}, {"members", process_members},
      {NULL, NULL}};
  static const luaL_Reg functions[] = {{"spawn", proc_spawn}, {"run", proc_run}, {"stat", proc_stat}, {"kill", proc_kill}, {"cgroup_path", proc_cgroup_path}, {NULL, NULL}};
  luaL_newmetatable(L, PROCESS);
  luaL_setfuncs(L, process_meta, 0);
  lua_newtable(L);
  luaL_setfuncs(L, process_methods, 0);
  lua_setfield(L, -2, "__index");
  luaL_newmetatable(L, RUN);
  lua_pushcfunction(L, run_close);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 2);
  luaL_newlib(L, functions);
  return 1;
}
