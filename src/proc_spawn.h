// SPDX-License-Identifier: Apache-2.0
// proc_spawn: start one program so that it can be found and ended whatever it does.
//
// The child leads its own session and group, dies with the thread that started it (which must therefore
// be the main thread), carries QLUA_RUN_ID=<nonce> in its environment for its descendants to inherit,
// and starts with no file but 0, 1 and 2, no handler and no blocked signal.
#ifndef QL_PROC_SPAWN_H
#define QL_PROC_SPAWN_H

#include "base.h"

#include <sys/types.h>

#define QL_NONCE_NAME "QLUA_RUN_ID"

struct ql_spawn {
  const char *const *argv; // ends with NULL; argv[0] is looked up on the child's PATH
  char *const *env;        // whole, ends with NULL; see ql_env_make
  const char *cwd;         // NULL: ours
  int fds[3];              // become 0, 1 and 2; -1 is /dev/null
  bool own_session;        // else only a process group of its own
  int cgroup_fd;           // cgroup.procs of the group that it joins; -1: stays in ours
};

// Returns once exec has happened or failed. The caller owns pidfd and must reap pid.
int ql_spawn(const struct ql_spawn *what, pid_t *pid, int *pidfd, struct ql_err *err);

// Our environment with changes applied ("NAME=value" sets, "NAME" unsets; NULL at the end) and the nonce.
char **ql_env_make(const char *const *changes, const char *nonce);
void ql_env_free(char **env);

// Orphans of our children become our own children instead of init's, so that they can be found and reaped.
int ql_become_subreaper(struct ql_err *err);

#endif
