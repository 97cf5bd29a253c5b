// SPDX-License-Identifier: Apache-2.0
// proc_cgroup: a control group (v2) for one program, where the machine lets us have one.
//
// What is in it can leave neither by a new session nor by forgetting its environment, and one write ends
// all of it. Where version 2 is not mounted, or not writable, there is none, and nobody complains: the
// sweep of proc_tree does without. Unified and hybrid mounts are both found, by /proc/self/mountinfo.
#ifndef QL_PROC_CGROUP_H
#define QL_PROC_CGROUP_H

#include "base.h"

// Where a program's group would be, whether it is there or not; NULL where there can be none. To be freed.
char *ql_cgroup_path(const char *nonce);
// Makes `qlua-<nonce>` below our own group. NULL where there can be none; else its folder, to be freed.
char *ql_cgroup_make(const char *nonce);
// Where a process that writes "0" joins; -1 without a group. The caller closes it.
int ql_cgroup_open_procs(const char *path);
// Is a living process in it? False without a group.
bool ql_cgroup_is_populated(const char *path);
// SIGKILL to all that is in it, at once.
void ql_cgroup_kill(const char *path);
// Removes the folder. False while something lives in it.
bool ql_cgroup_remove(const char *path);

#endif
