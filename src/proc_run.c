// SPDX-License-Identifier: Apache-2.0
// proc_run: ql_run of proc.h: a short command, its input given and its output collected.
//
// Done means: it has exited and both outputs have ended, or LINGER_MS after the exit, since something it
// left in the background may keep the pipes open for ever. What is left then is killed: a command that
// should outlive its caller is not started here.

#include "proc.h"
#include "proc_tree.h"
#include "proc_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT, IN, OUT, ERR, WATCHES };
enum { LINGER_MS = 200, READ_BYTES = 64 << 10, DEFAULT_MAX_BYTES = 16 << 20, LOOKS = 100 };

struct ql_run {
  struct ql_loop *loop;
  pid_t pid;
  struct ql_tree tree;
  struct ql_watch watches[WATCHES];
  struct ql_buf input;
  size_t written;
  struct ql_run_result result;
  bool has_exited, is_done, is_closed;
  struct ql_timer *limit, *linger;
  void (*on_done)(void *arg);
  void *arg;
};

// ---- handles ------------------------------------------------------------------------------------------

static void free_when_unwatched(void *arg) {
  struct ql_run *run = arg;
  for (int i = 0; i < WATCHES; i++)
    if (run->watches[i].is_open)
      return;
  if (run->is_closed)
    free(run);
}

static void watch(struct ql_run *run, int which, int fd, int events, uv_poll_cb on_ready) {
  ql_watch_start(&run->watches[which], run->loop, fd, events, on_ready, run, free_when_unwatched);
}

static void unwatch(struct ql_run *run, int which) { ql_watch_stop(&run->watches[which]); }

// ---- the end ------------------------------------------------------------------------------------------

static bool reap(struct ql_run *run) {
  int status;
  if (run->has_exited || waitpid(run->pid, &status, WNOHANG) != run->pid)
    return run->has_exited;
  run->has_exited = true;
  run->result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  run->result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  ql_tree_leave(&run->tree);
  return true;
}

static void kill_rest(struct ql_run *run) {
  struct timespec pause = {.tv_nsec = 2000000};
  for (int looks = 0; looks < LOOKS; looks++) {
    if (!reap(run))
      kill(-run->pid, SIGKILL);
    if (ql_tree_sweep(&run->tree, true) == 0 && run->has_exited)
      return;
    nanosleep(&pause, NULL);
  }
}

static void finish(struct ql_run *run) {
  ql_timer_stop(run->limit);
  ql_timer_stop(run->linger);
  run->limit = run->linger = NULL;
  kill_rest(run);
  for (int i = 0; i < WATCHES; i++)
    unwatch(run, i);
  run->is_done = true;
  if (run->on_done)
    run->on_done(run->arg);
}

static void on_linger_over(void *arg) {
  struct ql_run *run = arg;
  run->linger = NULL;
  finish(run);
}

static void finish_if_over(struct ql_run *run) {
  if (run->is_done || !run->has_exited)
    return;
  if (!ql_watch_is_on(&run->watches[OUT]) && !ql_watch_is_on(&run->watches[ERR]))
    finish(run);
  else if (!run->linger)
    run->linger = ql_timer_start(run->loop, LINGER_MS, on_linger_over, run);
}

static void on_limit(void *arg) {
  struct ql_run *run = arg;
  run->limit = NULL;
  run->result.has_timed_out = !reap(run);
  if (run->result.has_timed_out)
    kill(-run->pid, SIGKILL); // the exit comes by the pidfd
}

// ---- the pipes ----------------------------------------------------------------------------------------

static void on_exit_ready(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  struct ql_run *run = poll->data;
  if (!reap(run))
    return;
  unwatch(run, EXIT);
  finish_if_over(run);
}

static void keep(struct ql_run *run, struct ql_buf *into, const char *bytes, size_t len) {
  size_t room = into->limit_bytes - into->len;
  run->result.is_cut = run->result.is_cut || len > room;
  ql_buf_add(into, bytes, len < room ? len : room);
}

static void on_output(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  static char bytes[READ_BYTES];
  struct ql_run *run = poll->data;
  int which = poll == &run->watches[OUT].poll ? OUT : ERR;
  ssize_t got = read(run->watches[which].fd, bytes, sizeof bytes);
  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (got > 0) {
    keep(run, which == OUT ? &run->result.out : &run->result.err, bytes, (size_t)got);
    return;
  }
  unwatch(run, which);
  finish_if_over(run);
}

static void on_input(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  struct ql_run *run = poll->data;
  ssize_t done = write(run->watches[IN].fd, run->input.data + run->written, run->input.len - run->written);
  if (done < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (done > 0)
    run->written += (size_t)done;
  if (done < 0 || run->written == run->input.len) // a command may well not read all: EPIPE is no error
    unwatch(run, IN);
}

// ---- open and close -------------------------------------------------------------------------------------

static void close_pair(int ends[2]) {
  for (int i = 0; i < 2; i++)
    if (ends[i] >= 0)
      close(ends[i]);
}

static int spawn_piped(struct ql_run *run, const struct ql_run_options *options, struct ql_err *err) {
  int in[2] = {-1, -1}, out[2] = {-1, -1}, error[2] = {-1, -1};
  int pidfd = -1, result = 0;
  static unsigned count;
  char nonce[64];
  snprintf(nonce, sizeof nonce, "run-%ld-%llx-%u", (long)getpid(), (unsigned long long)ql_now_ns(), ++count);
  if ((run->input.len && pipe2(in, O_CLOEXEC) != 0) || pipe2(out, O_CLOEXEC) != 0 || pipe2(error, O_CLOEXEC) != 0)
    result = ql_fail(err, QL_E_IO, "cannot run '%s': %s", options->argv[0], strerror(errno));
  if (result == 0) {
    char **env = ql_env_make(options->env, nonce);
    struct ql_spawn what = {.argv = options->argv,
                            .env = env,
                            .cwd = options->cwd,
                            .fds = {in[0], out[1], error[1]},
                            .own_session = true,
                            .cgroup_fd = -1};
    result = ql_spawn(&what, &run->pid, &pidfd, err);
    ql_env_free(env);
  }
  if (result != 0) {
    close_pair(in), close_pair(out), close_pair(error);
    return -1;
  }
  close_pair((int[2]){in[0], -1}), close_pair((int[2]){out[1], error[1]});
  ql_tree_join(&run->tree, run->pid, nonce);
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  fcntl(error[0], F_SETFL, O_NONBLOCK);
  watch(run, EXIT, pidfd, UV_READABLE, on_exit_ready);
  watch(run, OUT, out[0], UV_READABLE, on_output);
  watch(run, ERR, error[0], UV_READABLE, on_output);
  if (in[1] >= 0) {
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    watch(run, IN, in[1], UV_WRITABLE, on_input);
  }
  return 0;
}

struct ql_run *ql_run_start(struct ql_loop *loop, const struct ql_run_options *options, struct ql_err *err) {
  if (ql_become_subreaper(err) != 0)
    return NULL;
  struct ql_run *run = ql_calloc(1, sizeof *run);
  run->loop = loop;
  run->on_done = options->on_done;
  run->arg = options->arg;
  size_t limit = options->max_bytes ? options->max_bytes : DEFAULT_MAX_BYTES;
  ql_buf_init(&run->result.out, limit);
  ql_buf_init(&run->result.err, limit);
  ql_buf_add(&run->input, options->input, options->input_len);
  if (spawn_piped(run, options, err) != 0) {
    ql_buf_free(&run->input);
    free(run);
    return NULL;
  }
  if (options->timeout_ms)
    run->limit = ql_timer_start(loop, options->timeout_ms, on_limit, run);
  return run;
}

const struct ql_run_result *ql_run_get(const struct ql_run *run) { return run->is_done ? &run->result : NULL; }

void ql_run_close(struct ql_run *run) {
  if (!run)
    return;
  run->on_done = NULL;
  if (!run->is_done)
    finish(run);
  ql_tree_free(&run->tree);
  ql_buf_free(&run->input);
  ql_buf_free(&run->result.out);
  ql_buf_free(&run->result.err);
  run->is_closed = true;
  free_when_unwatched(run);
}
