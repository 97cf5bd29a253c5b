// SPDX-License-Identifier: Apache-2.0
// proc_stat: one process as /proc names it, and a signal that cannot hit another one.
//
// A pid is given again; a pid with its start time (boot ticks) is not.
#ifndef QL_PROC_STAT_H
#define QL_PROC_STAT_H

#include "base.h"

#include <sys/types.h>

struct ql_stat {
  pid_t pid, parent, group, session;
  uint64_t start;
  char state; // Z and X are dead
};

bool ql_stat_read(pid_t pid, struct ql_stat *stat);
// SIGKILL to the process that has this pid and this start time. False when there is none (any more), or we may not.
bool ql_stat_kill(pid_t pid, uint64_t start);

#endif
