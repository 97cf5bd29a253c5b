// SPDX-License-Identifier: Apache-2.0
// proc_tree: see proc_tree.h. Reads /proc; sends SIGKILL only to what it has just found to belong.
//
// One pass over /proc/*/stat gives parents, groups, sessions and start times of everything; the
// environment is read only where these do not decide and the process is younger than the leader.
// Claimed pids are leaders that somebody else waits for: never reaped here, never taken for an orphan.

#include "proc_tree.h"

#include "proc_spawn.h"
#include "proc_stat.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ENVIRON = 4 << 20 };

struct seen {
  struct ql_stat at;
  bool is_ours;
};

struct table {
  struct seen *rows;
  size_t count;
};

static pid_t *claimed;
static size_t claimed_count;
static struct ql_tree *trees;

static bool is_claimed(pid_t pid) {
  for (size_t i = 0; i < claimed_count; i++)
    if (claimed[i] == pid)
      return true;
  return false;
}

static void claim(pid_t pid) {
  claimed = ql_realloc(claimed, (claimed_count + 1) * sizeof *claimed);
  claimed[claimed_count++] = pid;
}

static void unclaim(pid_t pid) {
  for (size_t i = 0; i < claimed_count; i++)
    if (claimed[i] == pid) {
      claimed[i] = claimed[--claimed_count];
      break;
    }
  if (claimed_count == 0) {
    free(claimed);
    claimed = NULL;
  }
}

// ---- /proc --------------------------------------------------------------------------------------------

static struct table read_all(void) {
  struct table table = {0};
  DIR *dir = opendir("/proc");
  if (!dir)
    return table;
  size_t room = 0;
  for (struct dirent *entry; (entry = readdir(dir));) {
    struct seen seen = {0};
    if (!isdigit((unsigned char)entry->d_name[0]) || !ql_stat_read((pid_t)atol(entry->d_name), &seen.at))
      continue;
    if (table.count == room) {
      room = room ? room * 2 : 128;
      table.rows = ql_realloc(table.rows, room * sizeof *table.rows);
    }
    table.rows[table.count++] = seen;
  }
  closedir(dir);
  return table;
}

enum marked { UNMARKED, MARKED_OURS, MARKED_OTHER };

// A process that overwrote its environment with a title, or is a zombie, has no mark left.
static enum marked read_mark(pid_t pid, const char *nonce) {
  static const char name[] = QL_NONCE_NAME "=";
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/environ", (long)pid);
  FILE *file = fopen(path, "re");
  if (!file)
    return UNMARKED;
  enum marked marked = UNMARKED;
  char *setting = NULL;
  size_t room = 0, total = 0;
  for (ssize_t len; marked == UNMARKED && total < MAX_ENVIRON && (len = getdelim(&setting, &room, '\0', file)) > 0;) {
    total += (size_t)len;
    if (strncmp(setting, name, sizeof name - 1) == 0)
      marked = strcmp(setting + sizeof name - 1, nonce) == 0 ? MARKED_OURS : MARKED_OTHER;
  }
  free(setting);
  fclose(file);
  return marked;
}

// A control group of another server's: as good a mark as the environment, and not to be forgotten.
static bool is_in_another_cgroup(pid_t pid, const char *nonce) {
  static const char name[] = "/qlua-";
  char path[64], line[4096];
  snprintf(path, sizeof path, "/proc/%ld/cgroup", (long)pid);
  FILE *file = fopen(path, "re");
  if (!file)
    return false;
  bool is_another = false;
  while (!is_another && fgets(line, sizeof line, file)) {
    const char *group = strstr(line, name);
    size_t len = strlen(nonce);
    if (group) {
      group += sizeof name - 1;
      is_another = strncmp(group, nonce, len) != 0 || (group[len] != '\n' && group[len] != '/');
    }
  }
  fclose(file);
  return is_another;
}

// ---- belonging ----------------------------------------------------------------------------------------

static bool was_seen(const struct ql_tree *tree, const struct seen *seen) {
  for (size_t i = 0; i < tree->count; i++)
    if (tree->members[i].pid == seen->at.pid && tree->members[i].start == seen->at.start)
      return true;
  return false;
}

static bool was_seen_by_another(const struct ql_tree *tree, const struct seen *seen) {
  for (const struct ql_tree *other = trees; other; other = other->next)
    if (other != tree && was_seen(other, seen))
      return true;
  return false;
}

// By itself, that is without looking at its parents. The last rule is for orphans that overwrote their
// environment and left the session (vLLM's workers do the first, SGLang's the second): once the leader is
// gone, a child of ours in a foreign session that nobody has claimed, no other run has marked and no other
// tree has seen can only have come to us from it.
static bool belongs(const struct ql_tree *tree, const struct seen *seen) {
  if (seen->at.pid == getpid() || is_claimed(seen->at.pid) || seen->at.start < tree->start)
    return false;
  if (seen->at.group == tree->leader || seen->at.session == tree->leader || was_seen(tree, seen))
    return true;
  enum marked marked = read_mark(seen->at.pid, tree->nonce);
  if (marked != UNMARKED)
    return marked == MARKED_OURS;
  return tree->leader_gone && seen->at.parent == getpid() && seen->at.session != getsid(0) && !is_claimed(seen->at.session) &&
         !is_claimed(seen->at.group) && !was_seen_by_another(tree, seen) &&
         !is_in_another_cgroup(seen->at.pid, tree->nonce);
}

static bool inherits(const struct table *table, const struct seen *seen) {
  for (size_t i = 0; i < table->count; i++)
    if (table->rows[i].at.pid == seen->at.parent)
      return table->rows[i].is_ours;
  return false;
}

static void mark_ours(const struct ql_tree *tree, struct table *table) {
  for (size_t i = 0; i < table->count; i++) {
    struct seen *seen = &table->rows[i];
    seen->is_ours = seen->at.pid == tree->leader ? !tree->leader_gone : belongs(tree, seen);
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < table->count; i++) {
      struct seen *seen = &table->rows[i];
      if (seen->is_ours || is_claimed(seen->at.pid) || !inherits(table, seen))
        continue;
      seen->is_ours = changed = true;
    }
  }
}

static void remember(struct ql_tree *tree, const struct seen *seen) {
  if (was_seen(tree, seen))
    return;
  tree->members = ql_realloc(tree->members, (tree->count + 1) * sizeof *tree->members);
  tree->members[tree->count++] = (struct ql_tree_member){.pid = seen->at.pid, .start = seen->at.start};
}

void ql_tree_join(struct ql_tree *tree, pid_t leader, const char *nonce) {
  struct ql_stat stat = {0};
  ql_stat_read(leader, &stat);
  *tree = (struct ql_tree){.leader = leader, .start = stat.start, .nonce = ql_strdup(nonce), .next = trees};
  trees = tree;
  claim(leader);
}

void ql_tree_leave(struct ql_tree *tree) {
  if (tree->leader_gone || !tree->nonce)
    return;
  tree->leader_gone = true;
  unclaim(tree->leader);
}

void ql_tree_free(struct ql_tree *tree) {
  ql_tree_leave(tree);
  for (struct ql_tree **at = &trees; *at; at = &(*at)->next)
    if (*at == tree) {
      *at = tree->next;
      break;
    }
  free(tree->nonce);
  free(tree->members);
  *tree = (struct ql_tree){0};
}

size_t ql_tree_sweep(struct ql_tree *tree, bool do_kill) {
  struct table table = read_all();
  mark_ours(tree, &table);
  size_t alive = 0;
  for (size_t i = 0; i < table.count; i++) {
    struct seen *seen = &table.rows[i];
    if (!seen->is_ours || is_claimed(seen->at.pid))
      continue;
    if (seen->at.state == 'Z' || seen->at.state == 'X') {
      if (seen->at.parent == getpid())
        waitpid(seen->at.pid, NULL, WNOHANG);
      continue;
    }
    alive++;
    remember(tree, seen);
    if (do_kill)
      kill(seen->at.pid, SIGKILL);
  }
  free(table.rows);
  return alive;
}
