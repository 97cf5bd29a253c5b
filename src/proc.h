// SPDX-License-Identifier: Apache-2.0
// proc: a supervised program: started, logged, watched, and ended with everything it has started.
//
// Built for LLM servers, which fork workers that leave the group, overwrite their environment, survive
// their parent and exit 0 when they crash. All callbacks run on the main thread, which must also be the
// one that spawns. A second, smaller thing: ql_run, a short command whose output is wanted; the program
// ignores SIGPIPE, as a command may close its input early.
#ifndef QL_PROC_H
#define QL_PROC_H

#include "base.h"
#include "loop.h"
#include "proc_log.h"
#include "proc_spawn.h"
#include "proc_tree.h"

struct ql_proc;

struct ql_proc_status {
  int code;          // exit code, or -1 after a signal
  int signal;        // or 0
  bool is_requested; // ql_proc_stop came before the exit; any other exit is a crash, whatever its code
  size_t swept;      // descendants that were still there when the leader had gone, and were killed
  size_t survivors;  // of those, how many could not be killed (stuck in the kernel)
};

struct ql_proc_options {
  const char *const *argv;
  const char *const *env; // changes, see ql_env_make
  const char *cwd;
  const char *nonce; // NULL: a random one
  bool own_session;
  bool own_cgroup; // where the machine lets us have one
  struct ql_log_options log;
  void (*on_exit)(void *arg); // the leader has gone; its last lines have been read
  void (*on_stopped)(void *arg); // after ql_proc_stop: nothing of it is left, or survivors says what
  void *arg;
};

struct ql_proc *ql_proc_spawn(struct ql_loop *loop, const struct ql_proc_options *options, struct ql_err *err);
int ql_proc_pid(const struct ql_proc *proc);
const char *ql_proc_nonce(const struct ql_proc *proc);
// True and *status once the leader has gone.
bool ql_proc_has_exited(const struct ql_proc *proc, struct ql_proc_status *status);
const struct ql_log *ql_proc_log(const struct ql_proc *proc);
const char *ql_proc_cgroup(const struct ql_proc *proc); // its control group's folder, or NULL
// The living processes that come from it, itself first while it lives; *list is the caller's to free.
size_t ql_proc_members(struct ql_proc *proc, struct ql_tree_member **list);

// SIGTERM to the leader, once; after grace_ms or its exit SIGKILL to what is left, until nothing is.
// Called again, it can only shorten the grace. on_stopped comes later, never inside this call.
void ql_proc_stop(struct ql_proc *proc, uint64_t grace_ms);
bool ql_proc_is_stopped(const struct ql_proc *proc, struct ql_proc_status *status);

// Kills what is left, waiting for it here (at most some seconds), closes the log and frees. No callbacks.
void ql_proc_close(struct ql_proc *proc);

// ---- short commands -------------------------------------------------------------------------------------

struct ql_run;
struct ql_run_options {
  const char *const *argv;
  const char *const *env;
  const char *cwd;
  const char *input; // given to its standard input, then closed
  size_t input_len;
  uint64_t timeout_ms; // 0: none; then the group is killed
  size_t max_bytes;    // of each of both outputs; 0: 16 MiB; what is beyond is read and dropped
  void (*on_done)(void *arg); // last call; may close the run
  void *arg;
};
struct ql_run_result {
  int code, signal;
  bool has_timed_out, is_cut;
  struct ql_buf out, err; // borrowed until the run is closed
};

struct ql_run *ql_run_start(struct ql_loop *loop, const struct ql_run_options *options, struct ql_err *err);
const struct ql_run_result *ql_run_get(const struct ql_run *run); // NULL until on_done
void ql_run_close(struct ql_run *run);                            // kills it when it still runs

#endif
