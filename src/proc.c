// SPDX-License-Identifier: Apache-2.0
// proc: see proc.h. Owns the leader's pidfd, the log pipe, the tree of descendants and two poll handles.
//
// The exit is seen by the pidfd alone: never by the end of the log pipe, which a surviving grandchild
// keeps open, and never by SIGCHLD, which would fight with other waiters. Stopping goes RUNNING → ASKED
// (TERM sent) → SWEEPING (KILL and look again until two looks in a row find nobody) → STOPPED.

#include "proc.h"

#include "proc_cgroup.h"
#include "proc_stat.h"
#include "proc_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIPE_BYTES = 1 << 20, READ_BYTES = 64 << 10, SWEEP_FIRST_MS = 2, SWEEP_MAX_MS = 50, SWEEP_LIMIT_MS = 10000 };

enum phase { RUNNING, ASKED, SWEEPING, STOPPED };

struct ql_proc {
  struct ql_loop *loop;
  pid_t pid;
  char nonce[64];
  struct ql_watch exit, output;
  struct ql_log *log;
  struct ql_tree tree;
  char *cgroup; // NULL: none
  struct ql_proc_status status;
  bool has_exited, is_closed;
  enum phase phase;
  struct ql_timer *timer;
  uint64_t ask_deadline_ns, sweep_start_ns, sweep_wait_ms;
  unsigned quiet_looks;
  void (*on_exit)(void *arg);
  void (*on_stopped)(void *arg);
  void *arg;
};

static void free_when_unwatched(void *arg) {
  struct ql_proc *proc = arg;
  if (proc->is_closed && !proc->exit.is_open && !proc->output.is_open)
    free(proc);
}

// ---- output -------------------------------------------------------------------------------------------

// Reads what is there, at most limit bytes, so that a program that never stops talking starves nobody.
static void drain(struct ql_proc *proc, size_t limit) {
  static char bytes[READ_BYTES]; // main thread only, used up before the next call
  size_t total = 0;
  while (total < limit) {
    ssize_t got = read(proc->output.fd, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0 && errno == EAGAIN)
      return;
    if (got <= 0) {
      ql_watch_stop(&proc->output);
      return;
    }
    total += (size_t)got;
    ql_log_feed(proc->log, bytes, (size_t)got);
  }
}

static void on_output(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  drain(poll->data, PIPE_BYTES / 4);
}

static void drain_rest(struct ql_proc *proc) {
  if (ql_watch_is_on(&proc->output))
    drain(proc, 4 * PIPE_BYTES);
  ql_log_flush(proc->log);
}

// ---- exit ---------------------------------------------------------------------------------------------

// Reaps the leader if it has gone. Only this function does.
static bool reap(struct ql_proc *proc) {
  int status;
  if (proc->has_exited || waitpid(proc->pid, &status, WNOHANG) != proc->pid)
    return proc->has_exited;
  proc->has_exited = true;
  proc->status.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  proc->status.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  proc->status.is_requested = proc->phase != RUNNING;
  ql_tree_leave(&proc->tree);
  return true;
}

static void sweep(void *arg);

static void on_exit_ready(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  struct ql_proc *proc = poll->data;
  if (!reap(proc))
    return;
  ql_watch_stop(&proc->exit);
  drain_rest(proc);
  if (proc->phase == ASKED) {
    ql_timer_stop(proc->timer);
    sweep(proc);
  }
  if (proc->on_exit)
    proc->on_exit(proc->arg);
}

// ---- stopping -----------------------------------------------------------------------------------------

static void leave_cgroup(struct ql_proc *proc) {
  if (!ql_cgroup_remove(proc->cgroup))
    return; // somebody is stuck in it: the folder stays as its sign
  free(proc->cgroup);
  proc->cgroup = NULL;
}

static void finish(void *arg) {
  struct ql_proc *proc = arg;
  proc->timer = NULL;
  drain_rest(proc);
  leave_cgroup(proc);
  proc->phase = STOPPED;
  if (proc->on_stopped)
    proc->on_stopped(proc->arg);
}

static void kill_leader(struct ql_proc *proc) {
  if (proc->has_exited) // its pid, and in time its group's, may be somebody else's by now
    return;
  kill(-proc->pid, SIGKILL);
  kill(proc->pid, SIGKILL); // own_session or not, setpgid or not: the leader in any case
}

static size_t look_and_kill(struct ql_proc *proc) {
  kill_leader(proc);
  size_t alive = ql_tree_sweep(&proc->tree, true);
  bool is_populated = ql_cgroup_is_populated(proc->cgroup);
  if (is_populated)
    ql_cgroup_kill(proc->cgroup);
  return alive + !proc->has_exited + (is_populated && alive == 0); // whom the sweep has not found
}

// One look at what is left; comes back by timer until two looks in a row found nobody, since a process
// that forked while /proc was read may be missed once.
static void sweep(void *arg) {
  struct ql_proc *proc = arg;
  proc->timer = NULL;
  if (proc->phase != SWEEPING) {
    proc->phase = SWEEPING;
    proc->sweep_start_ns = ql_now_ns();
    proc->sweep_wait_ms = SWEEP_FIRST_MS;
    proc->status.swept = ql_tree_sweep(&proc->tree, false);
  }
  size_t alive = look_and_kill(proc);
  proc->quiet_looks = alive ? 0 : proc->quiet_looks + 1;
  bool is_late = ql_now_ns() - proc->sweep_start_ns > SWEEP_LIMIT_MS * UINT64_C(1000000);
  proc->status.survivors = alive;
  if (proc->quiet_looks >= 2 || is_late) {
    proc->timer = ql_timer_start(proc->loop, 0, finish, proc);
    return;
  }
  proc->timer = ql_timer_start(proc->loop, proc->sweep_wait_ms, sweep, proc);
  if (proc->sweep_wait_ms < SWEEP_MAX_MS)
    proc->sweep_wait_ms *= 2;
}

void ql_proc_stop(struct ql_proc *proc, uint64_t grace_ms) {
  uint64_t deadline = ql_now_ns() + grace_ms * UINT64_C(1000000);
  if (proc->phase == RUNNING) {
    reap(proc); // an exit that the loop has not seen yet came before this
    proc->phase = ASKED;
    // Remembers the tree while parents and children still tell what belongs to it.
    ql_tree_sweep(&proc->tree, false);
    if (!proc->has_exited)
      kill(proc->pid, SIGTERM);
  } else if (proc->phase != ASKED || deadline >= proc->ask_deadline_ns)
    return;
  ql_timer_stop(proc->timer);
  proc->ask_deadline_ns = deadline;
  proc->timer = ql_timer_start(proc->loop, proc->has_exited ? 0 : grace_ms, sweep, proc);
}

static void kill_now(struct ql_proc *proc) {
  uint64_t give_up_ns = ql_now_ns() + SWEEP_LIMIT_MS / 2 * UINT64_C(1000000);
  struct timespec pause = {.tv_nsec = SWEEP_FIRST_MS * 1000000};
  for (unsigned quiet = 0; quiet < 2 && ql_now_ns() < give_up_ns;) {
    size_t alive = look_and_kill(proc);
    quiet = alive ? 0 : quiet + 1;
    if (alive)
      nanosleep(&pause, NULL);
    reap(proc);
  }
}

// ---- open, close, look --------------------------------------------------------------------------------

static void make_nonce(char nonce[64], const char *given) {
  unsigned char random[16] = {0};
  if (given) {
    snprintf(nonce, 64, "%s", given);
    return;
  }
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) // not before boot has finished
    memcpy(random, &(uint64_t){ql_now_ns()}, sizeof(uint64_t));
  for (size_t i = 0; i < sizeof random; i++)
    snprintf(nonce + 2 * i, 3, "%02x", random[i]);
}

static int spawn_logged(struct ql_proc *proc, const struct ql_proc_options *options, struct ql_err *err) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return ql_fail(err, QL_E_IO, "cannot run '%s': %s", options->argv[0], strerror(errno));
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES); // the default serves as well, only with more turns of the loop
  char **env = ql_env_make(options->env, proc->nonce);
  struct ql_spawn what = {.argv = options->argv,
                          .env = env,
                          .cwd = options->cwd,
                          .fds = {-1, ends[1], ends[1]},
                          .own_session = options->own_session,
                          .cgroup_fd = ql_cgroup_open_procs(proc->cgroup)};
  int pidfd = -1;
  int result = ql_spawn(&what, &proc->pid, &pidfd, err);
  ql_env_free(env);
  if (what.cgroup_fd >= 0)
    close(what.cgroup_fd);
  if (!ql_cgroup_is_populated(proc->cgroup)) // it was not let in, or is dead already
    leave_cgroup(proc);
  close(ends[1]);
  if (result != 0) {
    close(ends[0]);
    return -1;
  }
  ql_tree_join(&proc->tree, proc->pid, proc->nonce);
  ql_watch_start(&proc->exit, proc->loop, pidfd, UV_READABLE, on_exit_ready, proc, free_when_unwatched);
  ql_watch_start(&proc->output, proc->loop, ends[0], UV_READABLE, on_output, proc, free_when_unwatched);
  return 0;
}

struct ql_proc *ql_proc_spawn(struct ql_loop *loop, const struct ql_proc_options *options, struct ql_err *err) {
  if (ql_become_subreaper(err) != 0)
    return NULL;
  if (options->nonce && strlen(options->nonce) >= sizeof((struct ql_proc *)0)->nonce) {
    ql_fail(err, QL_E_INTERNAL, "the nonce is longer than 63 characters");
    return NULL;
  }
  struct ql_proc *proc = ql_calloc(1, sizeof *proc);
  proc->loop = loop;
  make_nonce(proc->nonce, options->nonce);
  proc->log = ql_log_open(&options->log, err);
  proc->cgroup = options->own_cgroup && proc->log ? ql_cgroup_make(proc->nonce) : NULL;
  if (!proc->log || spawn_logged(proc, options, err) != 0) {
    leave_cgroup(proc);
    ql_log_close(proc->log);
    free(proc);
    return NULL;
  }
  proc->on_exit = options->on_exit;
  proc->on_stopped = options->on_stopped;
  proc->arg = options->arg;
  return proc;
}

void ql_proc_close(struct ql_proc *proc) {
  if (!proc)
    return;
  ql_timer_stop(proc->timer);
  proc->timer = NULL;
  proc->on_exit = proc->on_stopped = NULL;
  if (proc->phase != STOPPED || proc->status.survivors)
    kill_now(proc);
  drain_rest(proc);
  ql_log_close(proc->log);
  leave_cgroup(proc);
  free(proc->cgroup);
  ql_tree_free(&proc->tree);
  proc->is_closed = true;
  ql_watch_stop(&proc->exit);
  ql_watch_stop(&proc->output);
  free_when_unwatched(proc);
}

int ql_proc_pid(const struct ql_proc *proc) { return proc->pid; }
const char *ql_proc_nonce(const struct ql_proc *proc) { return proc->nonce; }
const struct ql_log *ql_proc_log(const struct ql_proc *proc) { return proc->log; }
const char *ql_proc_cgroup(const struct ql_proc *proc) { return proc->cgroup; }

size_t ql_proc_members(struct ql_proc *proc, struct ql_tree_member **list) {
  ql_tree_sweep(&proc->tree, false);
  size_t count = 0;
  *list = ql_calloc(proc->tree.count + 1, sizeof **list);
  if (!proc->has_exited)
    (*list)[count++] = (struct ql_tree_member){.pid = proc->pid, .start = proc->tree.start};
  for (size_t i = 0; i < proc->tree.count; i++) {
    struct ql_tree_member member = proc->tree.members[i];
    struct ql_stat stat;
    if (ql_stat_read(member.pid, &stat) && stat.start == member.start && stat.state != 'Z' && stat.state != 'X')
      (*list)[count++] = member;
  }
  return count;
}

bool ql_proc_has_exited(const struct ql_proc *proc, struct ql_proc_status *status) {
  if (proc->has_exited && status)
    *status = proc->status;
  return proc->has_exited;
}

bool ql_proc_is_stopped(const struct ql_proc *proc, struct ql_proc_status *status) {
  if (proc->phase == STOPPED && status)
    *status = proc->status;
  return proc->phase == STOPPED;
}
