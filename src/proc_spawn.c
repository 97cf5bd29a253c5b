// SPDX-License-Identifier: Apache-2.0
// proc_spawn: see proc_spawn.h. fork and exec by hand, as what must happen between them (session, death
// signal, closing files) is more than libuv or posix_spawn offer.
//
// Between fork and exec only async-signal-safe calls are allowed: other threads may have held malloc's
// lock at the fork. So the parent prepares everything, also the path that PATH leads to.

#include "proc_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REPORT_FD = 3, LIFTED_FD = 10 };

// What the child writes into the report pipe when it cannot become the program.
enum stage { AT_SETUP, AT_CWD, AT_EXEC };
struct report {
  enum stage stage;
  int error;
};

struct plan {
  const struct ql_spawn *what;
  char path[PATH_MAX];
  int fds[3];
  int report_fd;
  pid_t parent;
};

// ---- environment --------------------------------------------------------------------------------------

static bool same_name(const char *setting, const char *change) {
  size_t len = strcspn(change, "=");
  return strncmp(setting, change, len) == 0 && setting[len] == '=';
}

static bool is_changed(const char *setting, const char *const *changes) {
  for (; changes && *changes; changes++)
    if (same_name(setting, *changes))
      return true;
  return same_name(setting, QL_NONCE_NAME "=");
}

char **ql_env_make(const char *const *changes, const char *nonce) {
  size_t count = 2;
  for (char **at = environ; *at; at++)
    count++;
  for (const char *const *at = changes; at && *at; at++)
    count++;
  char **env = ql_calloc(count, sizeof *env);
  size_t used = 0;
  for (char **at = environ; *at; at++)
    if (!is_changed(*at, changes))
      env[used++] = ql_strdup(*at);
  for (const char *const *at = changes; at && *at; at++)
    if (strchr(*at, '=') && !same_name(*at, QL_NONCE_NAME "="))
      env[used++] = ql_strdup(*at);
  env[used] = ql_malloc(sizeof QL_NONCE_NAME + 1 + strlen(nonce));
  stpcpy(stpcpy(env[used], QL_NONCE_NAME "="), nonce);
  return env;
}

void ql_env_free(char **env) {
  for (char **at = env; at && *at; at++)
    free(*at);
  free(env);
}

static const char *get_env(char *const *env, const char *name) {
  for (; *env; env++)
    if (same_name(*env, name))
      return *env + strlen(name) + 1;
  return NULL;
}

// 0, or the errno that execvp would give.
static int find_program(const char *name, char *const *env, char path[PATH_MAX]) {
  if (strchr(name, '/'))
    return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX ? 0 : ENAMETOOLONG;
  const char *at = get_env(env, "PATH");
  int error = ENOENT;
  if (!at)
    at = "/usr/local/bin:/usr/bin:/bin";
  for (;; at++) {
    size_t len = strcspn(at, ":");
    struct stat info;
    int made = snprintf(path, PATH_MAX, "%.*s/%s", len ? (int)len : 1, len ? at : ".", name);
    if (made < PATH_MAX && *name && stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
      if (access(path, X_OK) == 0)
        return 0;
      error = EACCES;
    }
    at += len;
    if (!*at)
      return error;
  }
}

// ---- the child ----------------------------------------------------------------------------------------

static void __attribute__((noreturn)) give_up(enum stage stage, int error) {
  struct report report = {.stage = stage, .error = error};
  ssize_t ignored = write(REPORT_FD, &report, sizeof report);
  (void)ignored;
  _exit(127);
}

static void __attribute__((noreturn)) become(const struct plan *plan) {
  // Before the files are closed. One that may not join stays where it is: the parent looks.
  ssize_t ignored = plan->what->cgroup_fd >= 0 ? write(plan->what->cgroup_fd, "0", 1) : 0;
  (void)ignored;
  // The files come first, so that an error of the rest finds the report pipe in its place.
  bool ok = dup3(plan->report_fd, REPORT_FD, O_CLOEXEC) == REPORT_FD;
  for (int i = 0; i < 3; i++)
    ok = ok && dup2(plan->fds[i], i) == i;
  ok = ok && close_range(REPORT_FD + 1, UINT_MAX, 0) == 0;
  ok = ok && (plan->what->own_session ? setsid() != -1 : setpgid(0, 0) == 0);
  ok = ok && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
  if (!ok)
    give_up(AT_SETUP, errno);
  if (getppid() != plan->parent) // it died before the death signal was armed
    _exit(127);
  struct sigaction by_default = {.sa_handler = SIG_DFL};
  for (int signum = 1; signum < NSIG; signum++)
    sigaction(signum, &by_default, NULL); // KILL, STOP and the thread library's own refuse, rightly
  if (plan->what->cwd && chdir(plan->what->cwd) != 0)
    give_up(AT_CWD, errno);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(plan->path, (char *const *)(uintptr_t)plan->what->argv, plan->what->env);
  give_up(AT_EXEC, errno);
}

// ---- the parent ---------------------------------------------------------------------------------------

static int fail_report(const struct ql_spawn *what, const struct report *report, struct ql_err *err) {
  const char *why = strerror(report->error);
  if (report->stage == AT_CWD)
    return ql_fail(err, QL_E_IO, "cannot run '%s' in '%s': %s", what->argv[0], what->cwd, why);
  if (report->stage == AT_SETUP)
    return ql_fail(err, QL_E_INTERNAL, "cannot run '%s': setting up the process failed: %s", what->argv[0], why);
  ql_fail(err, QL_E_IO, "cannot run '%s': %s", what->argv[0], why);
  if (report->error == ENOENT && !strchr(what->argv[0], '/'))
    return ql_hint(err, "is it installed, and on PATH?");
  return -1;
}

// Copies of the child's files with numbers above those they will get, so that no dup2 overwrites another.
static int lift_files(struct plan *plan) {
  for (int i = 0; i < 3; i++) {
    int given = plan->what->fds[i];
    int fd = given >= 0 ? given : open("/dev/null", O_RDWR | O_CLOEXEC);
    plan->fds[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, LIFTED_FD);
    if (given < 0 && fd >= 0)
      close(fd);
    if (plan->fds[i] < 0)
      return -1;
  }
  return 0;
}

static pid_t fork_quietly(const struct plan *plan) {
  // No handler of ours may run in the child; it opens the mask again before exec.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pid_t pid = fork();
  if (pid == 0)
    become(plan);
  int error = errno;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = error;
  return pid;
}

static int start(struct plan *plan, pid_t *pid, int *pidfd, struct ql_err *err) {
  int pipe_fds[2];
  if (lift_files(plan) != 0 || pipe2(pipe_fds, O_CLOEXEC) != 0)
    return ql_fail(err, QL_E_IO, "cannot run '%s': %s", plan->what->argv[0], strerror(errno));
  plan->report_fd = fcntl(pipe_fds[1], F_DUPFD_CLOEXEC, LIFTED_FD);
  close(pipe_fds[1]);
  plan->parent = getpid();
  *pid = plan->report_fd < 0 ? -1 : fork_quietly(plan);
  int error = errno;
  if (plan->report_fd >= 0)
    close(plan->report_fd);
  if (*pid < 0) {
    close(pipe_fds[0]);
    return ql_fail(err, QL_E_IO, "cannot run '%s': %s", plan->what->argv[0], strerror(error));
  }
  struct report report;
  ssize_t got;
  do
    got = read(pipe_fds[0], &report, sizeof report); // 0 bytes: exec has closed the other end
  while (got < 0 && errno == EINTR);
  close(pipe_fds[0]);
  *pidfd = got == 0 ? pidfd_open(*pid, 0) : -1;
  if (*pidfd >= 0)
    return 0;
  error = errno;
  kill(*pid, SIGKILL);
  waitpid(*pid, NULL, 0);
  if (got == (ssize_t)sizeof report)
    return fail_report(plan->what, &report, err);
  return ql_fail(err, QL_E_INTERNAL, "cannot watch '%s': %s", plan->what->argv[0], strerror(error));
}

int ql_spawn(const struct ql_spawn *what, pid_t *pid, int *pidfd, struct ql_err *err) {
  struct plan plan = {.what = what, .fds = {-1, -1, -1}};
  int error = find_program(what->argv[0], what->env, plan.path);
  if (error) {
    struct report report = {.stage = AT_EXEC, .error = error};
    return fail_report(what, &report, err);
  }
  int result = start(&plan, pid, pidfd, err);
  for (int i = 0; i < 3; i++)
    if (plan.fds[i] >= 0)
      close(plan.fds[i]);
  return result;
}

int ql_become_subreaper(struct ql_err *err) {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) == 0)
    return 0;
  return ql_fail(err, QL_E_INTERNAL, "cannot become a child subreaper: %s", strerror(errno));
}
