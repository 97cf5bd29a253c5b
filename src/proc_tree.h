// SPDX-License-Identifier: Apache-2.0
// proc_tree: all processes that come from one spawned program, found in /proc and killed.
//
// Groups and sessions are not enough: engines give their workers sessions of their own, and those outlive
// them. A process belongs to the tree by its parent, its group or session, the nonce in its environment,
// or having been seen in the tree before; see belongs() for the one that none of these finds.
#ifndef QL_PROC_TREE_H
#define QL_PROC_TREE_H

#include "base.h"

#include <sys/types.h>

struct ql_tree_member {
  pid_t pid;
  uint64_t start; // boot ticks; with the pid it names a process for good
};

struct ql_tree {
  pid_t leader;
  uint64_t start;
  char *nonce;
  bool leader_gone; // reaped: its orphans are children of ours now
  struct ql_tree_member *members;
  size_t count; // members ever seen, the leader not among them
  struct ql_tree *next; // of all trees: one takes no orphan that another has seen
};

// The leader has been spawned and not been reaped. Its pid is claimed until ql_tree_leave: no other tree
// takes it for an orphan.
void ql_tree_join(struct ql_tree *tree, pid_t leader, const char *nonce);
void ql_tree_leave(struct ql_tree *tree); // the leader has been reaped
void ql_tree_free(struct ql_tree *tree);

// Looks for members, reaps those that are dead and ours to reap, sends SIGKILL to the others when asked.
// Returns how many (without the leader) were alive.
size_t ql_tree_sweep(struct ql_tree *tree, bool do_kill);

#endif
