// SPDX-License-Identifier: Apache-2.0
// The children are small shell scripts. Nothing waits by sleeping: each script says a line when it has
// come to the point that matters, and the test turns the loop until it has read it; the alarm only ends a
// test that would hang.
#include "check.h"
#include "proc.h"
#include "proc_cgroup.h"
#include "proc_stat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ql_loop *loop;

static void begin(void) {
  signal(SIGPIPE, SIG_IGN);
  alarm(120);
  if (!loop)
    loop = ql_loop_open();
}

static struct ql_proc *spawn_with(const char *script, struct ql_proc_options options) {
  const char *argv[] = {"sh", "-c", script, NULL};
  struct ql_err err = {0};
  options.argv = argv;
  begin();
  struct ql_proc *proc = ql_proc_spawn(loop, &options, &err);
  CHECK_STR(err.text, "");
  return proc;
}

static struct ql_proc *spawn(const char *script) {
  return spawn_with(script, (struct ql_proc_options){.own_session = true});
}

static void wait_lines(struct ql_proc *proc, uint64_t lines) {
  while (ql_log_lines(ql_proc_log(proc)) < lines)
    ql_loop_turn(loop, 20);
}

static struct ql_proc_status wait_exit(struct ql_proc *proc) {
  struct ql_proc_status status;
  while (!ql_proc_has_exited(proc, &status))
    ql_loop_turn(loop, 20);
  return status;
}

static struct ql_proc_status stop(struct ql_proc *proc, uint64_t grace_ms) {
  struct ql_proc_status status;
  ql_proc_stop(proc, grace_ms);
  while (!ql_proc_is_stopped(proc, &status))
    ql_loop_turn(loop, 20);
  return status;
}

static const char *last_line(const struct ql_proc *proc) {
  const struct ql_log *log = ql_proc_log(proc);
  size_t count = ql_log_tail_count(log);
  return count ? ql_log_tail(log, count - 1) : "";
}

// A zombie that waits for its parent is dead too.
static bool is_alive(long pid) {
  char path[64], text[512] = "";
  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  FILE *file = fopen(path, "r");
  if (!file)
    return false;
  size_t got = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[got] = '\0';
  const char *after = strrchr(text, ')');
  return after && after[2] != 'Z' && after[2] != 'X';
}

// The pids that the script has said, one to a line "pid N".
static size_t said_pids(const struct ql_proc *proc, long *pids, size_t max) {
  const struct ql_log *log = ql_proc_log(proc);
  size_t count = 0;
  for (size_t i = 0; i < ql_log_tail_count(log); i++)
    if (count < max && sscanf(ql_log_tail(log, i), "pid %ld", &pids[count]) == 1)
      count++;
  return count;
}

static size_t open_files(void) {
  size_t count = 0;
  DIR *dir = opendir("/proc/self/fd");
  while (dir && readdir(dir))
    count++;
  closedir(dir);
  return count;
}

static void end_loop(void) {
  ql_loop_close(loop);
  loop = NULL;
}

// ---- starting -----------------------------------------------------------------------------------------

static void fails(const char *program, const char *cwd, const char *want) {
  const char *argv[] = {program, NULL};
  struct ql_err err = {0};
  struct ql_proc_options options = {.argv = argv, .cwd = cwd, .own_session = true};
  CHECK(ql_proc_spawn(loop, &options, &err) == NULL);
  CHECK_INT(err.kind, QL_E_IO);
  CHECK_STR(err.text, want);
}

static void a_program_that_cannot_run_says_why(void) {
  begin();
  size_t before = open_files();
  fails("no-such-program-qlua", NULL, "cannot run 'no-such-program-qlua': No such file or directory");
  fails("/etc/passwd", NULL, "cannot run '/etc/passwd': Permission denied");
  fails("/no/such", NULL, "cannot run '/no/such': No such file or directory");
  fails("true", "/no/such/folder", "cannot run 'true' in '/no/such/folder': No such file or directory");
  fails("", NULL, "cannot run '': No such file or directory");
  CHECK_INT(open_files(), before);
  CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); // and no zombie is left
  CHECK_INT(errno, ECHILD);
}

static void the_child_starts_clean(void) {
  begin();
  int leak = dup(2); // not closed on exec
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  setenv("QLUA_TEST_GONE", "x", 1);
  char nonce[32], want[64]; // of this run alone: a nonce is what processes are killed by
  snprintf(nonce, sizeof nonce, "n0nce-%ld", (long)getpid());
  snprintf(want, sizeof want, "a=b,unset,%s", nonce);
  const char *env[] = {"QLUA_TEST_SET=a=b", "QLUA_TEST_GONE", NULL};
  struct ql_proc_options options = {.own_session = true, .env = env, .nonce = nonce, .cwd = "/"};
  struct ql_proc *proc = spawn_with("echo /proc/self/fd/*; echo $QLUA_TEST_SET,${QLUA_TEST_GONE-unset},$QLUA_RUN_ID;"
                                    "grep -E '^Sig(Blk|Ign)' /proc/self/status; pwd; read x </proc/self/stat; echo $x",
                                    options);
  wait_exit(proc);
  const struct ql_log *log = ql_proc_log(proc);
  CHECK_INT(ql_log_lines(log), 6);
  CHECK_STR(ql_log_tail(log, 0), "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3"); // 3: the glob's
  CHECK_STR(ql_log_tail(log, 1), want);
  CHECK_STR(ql_log_tail(log, 2), "SigBlk:\t0000000000000000");
  CHECK_STR(ql_log_tail(log, 3), "SigIgn:\t0000000000000000");
  CHECK_STR(ql_log_tail(log, 4), "/");
  int pid = 0, parent = 0, group = 0, session = 0;
  const char *stat = ql_log_lines(log) == 6 ? ql_log_tail(log, 5) : "";
  CHECK_INT(sscanf(stat, "%d (sh) %*c %d %d %d", &pid, &parent, &group, &session), 4);
  CHECK(pid == ql_proc_pid(proc) && group == pid && session == pid && parent == getpid());
  ql_proc_close(proc);
  sigprocmask(SIG_UNBLOCK, &blocked, NULL);
  close(leak);
}

// ---- the end ------------------------------------------------------------------------------------------

static void an_exit_that_nobody_asked_for_is_told_as_one(void) {
  struct ql_proc *proc = spawn("echo gone; exit 0");
  struct ql_proc_status status = wait_exit(proc);
  CHECK_INT(status.code, 0);
  CHECK_INT(status.signal, 0);
  CHECK(!status.is_requested);
  CHECK_STR(last_line(proc), "gone");
  CHECK(!stop(proc, 1000).is_requested); // also when it is stopped afterwards
  ql_proc_close(proc);
  proc = spawn("exit 0");
  while (is_alive(ql_proc_pid(proc)))
    ; // not turning the loop: it has not seen the exit when the stop comes
  CHECK(!stop(proc, 1000).is_requested);
  ql_proc_close(proc);
  proc = spawn("exit 7");
  CHECK_INT(wait_exit(proc).code, 7);
  ql_proc_close(proc);
  proc = spawn("kill -SEGV $$");
  CHECK_INT(wait_exit(proc).signal, SIGSEGV);
  ql_proc_close(proc);
}

static void a_stop_is_one_term_and_waits_for_the_exit(void) {
  struct ql_proc *proc = spawn("trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.02; done");
  wait_lines(proc, 1);
  struct ql_proc_status status = stop(proc, 60000);
  CHECK_INT(status.code, 3);
  CHECK(status.is_requested);
  CHECK_INT(ql_log_lines(ql_proc_log(proc)), 2);
  CHECK_STR(last_line(proc), "term");
  ql_proc_close(proc);
}

static void a_child_that_ignores_term_is_killed(void) {
  struct ql_proc *proc = spawn("trap '' TERM; echo ready; while :; do sleep 0.02; done");
  wait_lines(proc, 1);
  ql_proc_stop(proc, 3600000);
  struct ql_proc_status status = stop(proc, 20); // asked again, with less patience
  CHECK_INT(status.signal, SIGKILL);
  CHECK(status.is_requested);
  CHECK_INT(status.survivors, 0);
  CHECK(!is_alive(ql_proc_pid(proc)));
  ql_proc_close(proc);
}

// Five ways to get away: the group, a session, two forks into a session, a scrubbed environment, and one
// that no longer has its parent, its session or the mark.
static const char runaways[] =
    "hold='trap \"\" TERM HUP; echo pid $$; while :; do sleep 0.1; done'\n"
    "sh -c \"$hold\" &\n"
    "setsid sh -c \"$hold\" &\n"
    "(setsid sh -c \"$hold\" &)\n"
    "env -i PATH=\"$PATH\" setsid sh -c \"$hold\" &\n"
    "(env -i PATH=\"$PATH\" setsid sh -c \"$hold\" &)\n";

static void check_none_of(const struct ql_proc *proc, size_t want) {
  long pids[16];
  size_t count = said_pids(proc, pids, QL_LEN(pids));
  CHECK_INT(count, want);
  for (size_t i = 0; i < count; i++)
    CHECK(!is_alive(pids[i]));
}

static void descendants_do_not_survive_a_stop(void) {
  char script[1024];
  snprintf(script, sizeof script, "%swait", runaways);
  struct ql_proc *proc = spawn(script);
  wait_lines(proc, 5);
  struct ql_proc_status status = stop(proc, 50);
  CHECK(status.swept >= 5);
  CHECK_INT(status.survivors, 0);
  check_none_of(proc, 5);
  ql_proc_close(proc);
  CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

static void descendants_do_not_survive_a_crash(void) {
  char script[1024];
  struct ql_proc *other = spawn("echo ready; sleep 1000");
  wait_lines(other, 1);
  snprintf(script, sizeof script, "%secho up; sleep 1000", runaways);
  struct ql_proc *proc = spawn(script);
  wait_lines(proc, 6);
  kill(ql_proc_pid(proc), SIGKILL);
  struct ql_proc_status status = wait_exit(proc);
  CHECK(!status.is_requested);
  long pids[16];
  CHECK_INT(said_pids(proc, pids, QL_LEN(pids)), 5);
  for (int i = 0; i < 5; i++)
    CHECK(is_alive(pids[i])); // else this test shows nothing
  status = stop(proc, 1000);
  CHECK_INT(status.signal, SIGKILL);
  CHECK(status.swept >= 5);
  check_none_of(proc, 5);
  CHECK(!ql_proc_has_exited(other, NULL)); // the neighbour is nobody's orphan
  CHECK(is_alive(ql_proc_pid(other)));
  ql_proc_close(proc);
  ql_proc_close(other);
  CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

// In our own session only its having been seen before the stop gives this one away: its group is its own
// (bash does that to jobs), its mark is gone, and at the end so is its parent.
static void a_job_in_our_session_does_not_survive(void) {
  struct ql_proc *proc = spawn_with("exec bash -c 'set -m; env -i sh -c \"echo pid \\$\\$; exec sleep 1000\" & wait'",
                                    (struct ql_proc_options){.own_session = false});
  wait_lines(proc, 1);
  CHECK_INT(stop(proc, 60000).swept, 1);
  check_none_of(proc, 1);
  ql_proc_close(proc);
  CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

static void closing_kills_at_once(void) {
  char script[1024];
  snprintf(script, sizeof script, "trap '' TERM\n%swait", runaways);
  struct ql_proc *proc = spawn(script);
  wait_lines(proc, 5);
  long pids[16];
  size_t count = said_pids(proc, pids, QL_LEN(pids));
  CHECK_INT(count, 5);
  long leader = ql_proc_pid(proc);
  ql_proc_close(proc);
  CHECK(!is_alive(leader));
  for (size_t i = 0; i < count; i++)
    CHECK(!is_alive(pids[i]));
  CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

// The supervisor is a child of the test, and the test adopts what it leaves behind.
static void a_child_dies_with_a_killed_supervisor(void) {
  begin();
  CHECK_INT(ql_become_subreaper(NULL), 0);
  int ends[2];
  CHECK_INT(pipe(ends), 0);
  pid_t supervisor = fork();
  if (supervisor == 0) {
    struct ql_loop *own = ql_loop_open();
    const char *argv[] = {"sleep", "1000", NULL};
    struct ql_proc_options options = {.argv = argv, .own_session = true};
    struct ql_proc *proc = ql_proc_spawn(own, &options, NULL);
    int pid = proc ? ql_proc_pid(proc) : -1;
    if (write(ends[1], &pid, sizeof pid) == (ssize_t)sizeof pid)
      for (;;)
        pause();
    _exit(1);
  }
  int child = -1, status = 0;
  CHECK_INT(read(ends[0], &child, sizeof child), sizeof child);
  CHECK(is_alive(child));
  kill(supervisor, SIGKILL);
  CHECK_INT(waitpid(supervisor, &status, 0), supervisor);
  CHECK_INT(waitpid(child, &status, 0), child); // the alarm ends this when it lives on
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  close(ends[0]);
  close(ends[1]);
}

static void ten_megabytes_of_output_pass(void) {
  char path[] = "/tmp/qlua_proc_XXXXXX";
  close(mkstemp(path));
  struct ql_proc *proc = spawn_with("yes 'some words to fill the pipe' | head -c 10000000; echo; echo end",
                                    (struct ql_proc_options){.own_session = true, .log.path = path});
  CHECK_INT(wait_exit(proc).code, 0);
  CHECK_STR(last_line(proc), "end");
  CHECK(ql_log_lines(ql_proc_log(proc)) > 300000);
  ql_proc_close(proc);
  FILE *file = fopen(path, "r");
  fseek(file, 0, SEEK_END);
  CHECK(ftell(file) > (4 << 20) && ftell(file) < (6 << 20));
  fclose(file);
  unlink(path);
}

static void endless_output_does_not_keep_the_loop(void) {
  struct ql_proc *proc = spawn("trap '' TERM; yes");
  wait_lines(proc, 1);
  CHECK_INT(stop(proc, 20).signal, SIGKILL);
  ql_proc_close(proc);
}

static void nothing_stays_open(void) {
  begin();
  ql_loop_turn(loop, 0);
  size_t before = open_files();
  for (int i = 0; i < 20; i++) {
    struct ql_proc *proc = spawn("echo x");
    wait_exit(proc);
    ql_proc_close(proc);
  }
  for (int turns = 0; turns < 10; turns++)
    ql_loop_turn(loop, 0);
  CHECK_INT(open_files(), before);
}

// ---- short commands -------------------------------------------------------------------------------------

static void on_done(void *arg) { *(bool *)arg = true; }

static struct ql_run *run(const char *script, struct ql_run_options options) {
  const char *argv[] = {"sh", "-c", script, NULL};
  struct ql_err err = {0};
  bool is_done = false;
  begin();
  options.argv = argv;
  options.on_done = on_done;
  options.arg = &is_done;
  struct ql_run *command = ql_run_start(loop, &options, &err);
  CHECK_STR(err.text, "");
  while (command && !is_done)
    ql_loop_turn(loop, 20);
  return command;
}

static void a_command_gets_input_and_gives_output(void) {
  struct ql_run_options six_bytes = {.input = "in\0put", .input_len = 6};
  struct ql_run *command = run("cat; echo problem >&2; exit 4", six_bytes);
  const struct ql_run_result *result = ql_run_get(command);
  CHECK_INT(result->code, 4);
  CHECK(result->out.len == 6 && memcmp(result->out.data, "in\0put", 6) == 0);
  CHECK_STR(result->err.data, "problem\n");
  CHECK(!result->has_timed_out && !result->is_cut);
  ql_run_close(command);
  // More input than a pipe holds, that nobody reads.
  size_t len = 4u << 20;
  char *big = ql_calloc(1, len);
  command = run("exit 0", (struct ql_run_options){.input = big, .input_len = len});
  CHECK_INT(ql_run_get(command)->code, 0);
  ql_run_close(command);
  command = run("wc -c", (struct ql_run_options){.input = big, .input_len = len});
  CHECK_STR(ql_run_get(command)->out.data, "4194304\n");
  ql_run_close(command);
  free(big);
}

static void a_command_has_limits(void) {
  struct ql_run *command = run("yes | head -c 100000", (struct ql_run_options){.max_bytes = 1000});
  CHECK_INT(ql_run_get(command)->out.len, 1000);
  CHECK(ql_run_get(command)->is_cut);
  CHECK_INT(ql_run_get(command)->code, 0);
  ql_run_close(command);
  command = run("echo pid $$; setsid sleep 1000 & sleep 1000", (struct ql_run_options){.timeout_ms = 50});
  CHECK(ql_run_get(command)->has_timed_out);
  CHECK_INT(ql_run_get(command)->signal, SIGKILL);
  ql_run_close(command);
  CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

static void a_command_does_not_wait_for_what_it_leaves_behind(void) {
  struct ql_run *command = run("sleep 1000 & echo $!", (struct ql_run_options){0});
  const struct ql_run_result *result = ql_run_get(command);
  CHECK_INT(result->code, 0);
  CHECK(result->out.len > 1);
  CHECK(!is_alive(result->out.data ? atol(result->out.data) : 1));
  ql_run_close(command);
  CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

static void a_closed_run_is_killed(void) {
  begin();
  const char *argv[] = {"sleep", "1000", NULL};
  struct ql_run_options options = {.argv = argv};
  ql_run_close(ql_run_start(loop, &options, NULL));
  CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

static bool is_folder(const char *path) { return access(path, F_OK) == 0; }

// Machines without a writable cgroup v2 have nothing to show here, and the tests of the sweep show the rest.
static void a_cgroup_holds_what_the_sweep_cannot_know(void) {
  struct ql_proc *proc = spawn_with("echo ready; env -i setsid sleep 1000 & wait",
                                    (struct ql_proc_options){.own_session = true, .own_cgroup = true});
  wait_lines(proc, 1);
  if (!ql_proc_cgroup(proc)) {
    printf("# no writable cgroup v2 here: not tested\n");
    stop(proc, 0);
    ql_proc_close(proc);
    return;
  }
  char path[512];
  snprintf(path, sizeof path, "%s", ql_proc_cgroup(proc));
  CHECK(strstr(path, ql_proc_nonce(proc)) != NULL);
  CHECK(ql_cgroup_is_populated(path));
  stop(proc, 0);
  CHECK(!is_folder(path));
  CHECK(ql_proc_cgroup(proc) == NULL);
  ql_proc_close(proc);
}

static void a_cgroup_kill_ends_all_of_it(void) {
  struct ql_proc *proc = spawn_with("sleep 1000 & sleep 1000 & echo ready; wait",
                                    (struct ql_proc_options){.own_session = true, .own_cgroup = true});
  wait_lines(proc, 1);
  if (ql_proc_cgroup(proc)) {
    ql_cgroup_kill(ql_proc_cgroup(proc));
    CHECK_INT(wait_exit(proc).signal, SIGKILL);
  }
  stop(proc, 0);
  ql_proc_close(proc);
}

static void members_are_those_that_live(void) {
  struct ql_proc *proc = spawn("setsid sleep 1000 & echo ready; wait");
  wait_lines(proc, 1);
  struct ql_tree_member *list;
  size_t count = 0;
  for (bool is_there = false; !is_there;) {
    count = ql_proc_members(proc, &list);
    is_there = count == 2;
    if (!is_there)
      free(list);
  }
  CHECK_INT(list[0].pid, ql_proc_pid(proc));
  struct ql_stat stat;
  CHECK(ql_stat_read(list[1].pid, &stat));
  CHECK(stat.start == list[1].start);
  CHECK_INT(stat.parent, list[0].pid);
  free(list);
  stop(proc, 0);
  CHECK_INT(ql_proc_members(proc, &list), 0);
  free(list);
  ql_proc_close(proc);
}

static void a_kill_hits_the_one_that_is_meant(void) {
  struct ql_proc *proc = spawn("echo ready; exec sleep 1000");
  wait_lines(proc, 1);
  struct ql_stat stat;
  CHECK(ql_stat_read((pid_t)ql_proc_pid(proc), &stat));
  CHECK(!ql_stat_kill(stat.pid, stat.start + 1)); // the pid of another, later process
  CHECK(!ql_proc_has_exited(proc, NULL));
  CHECK(ql_stat_kill(stat.pid, stat.start));
  CHECK_INT(wait_exit(proc).signal, SIGKILL);
  CHECK(!ql_stat_kill(stat.pid, stat.start));
  CHECK(!ql_stat_kill(1, 0));
  stop(proc, 0);
  ql_proc_close(proc);
}

static void an_orphan_of_another_cgroup_is_left_alone(void) {
  struct ql_proc *one = spawn_with("env -i setsid sleep 1000 & echo ready",
                                   (struct ql_proc_options){.own_session = true, .own_cgroup = true});
  wait_lines(one, 1);
  wait_exit(one);
  bool has_cgroup = ql_proc_cgroup(one) != NULL;
  struct ql_proc *other = spawn("true");
  wait_exit(other);
  struct ql_proc_status status = stop(other, 0);
  if (has_cgroup) {
    CHECK_INT(status.swept, 0);
    CHECK(ql_cgroup_is_populated(ql_proc_cgroup(one)));
    CHECK_INT(stop(one, 0).swept, 1);
  }
  ql_proc_close(other);
  ql_proc_close(one);
}

RUN(a_program_that_cannot_run_says_why, the_child_starts_clean, an_exit_that_nobody_asked_for_is_told_as_one,
    a_stop_is_one_term_and_waits_for_the_exit, a_child_that_ignores_term_is_killed, descendants_do_not_survive_a_stop,
    descendants_do_not_survive_a_crash, a_job_in_our_session_does_not_survive, closing_kills_at_once,
    a_child_dies_with_a_killed_supervisor, ten_megabytes_of_output_pass, endless_output_does_not_keep_the_loop,
    nothing_stays_open, a_command_gets_input_and_gives_output, a_command_has_limits,
    a_command_does_not_wait_for_what_it_leaves_behind, a_closed_run_is_killed,
    a_cgroup_holds_what_the_sweep_cannot_know, a_cgroup_kill_ends_all_of_it, members_are_those_that_live,
    an_orphan_of_another_cgroup_is_left_alone, a_kill_hits_the_one_that_is_meant, end_loop)
