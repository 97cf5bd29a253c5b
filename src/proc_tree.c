// SPDX-License-Identifier: Apache-2.0
// proc_tree: see proc_tree.h. Reads /proc; sends SIGKILL only to what it has just found to belong.
//
// One pass over /proc/*/stat gives parents, groups, sessions and start times of everything; the
// environment is read only where these do not decide and the process is younger than the leader.
// Claimed pids are leaders that somebody else waits for: never reaped here, never taken for an orphan.

#include "proc_tree.h"

#include "proc_spawn.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ENVIRON = 4 << 20 };

struct seen {
  pid_t pid, parent, group, session;
  uint64_t start;
  char state;
  bool is_ours;
};

struct table {
  struct seen *rows;
  size_t count;
};

static pid_t *claimed;
static size_t claimed_count;

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

static bool read_stat(pid_t pid, struct seen *seen) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0)
    return false;
  text[got] = '\0';
  char *after_name = strrchr(text, ')'); // the name may hold anything, also ") Z 1"
  int parent, group, session;
  unsigned long long start;
  *seen = (struct seen){.pid = pid};
  if (!after_name || sscanf(after_name + 1,
                            " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                            &seen->state, &parent, &group, &session, &start) != 5)
    return false;
  seen->parent = parent;
  seen->group = group;
  seen->session = session;
  seen->start = start;
  return true;
}

static struct table read_all(void) {
  struct table table = {0};
  DIR *dir = opendir("/proc");
  if (!dir)
    return table;
  size_t room = 0;
  for (struct dirent *entry; (entry = readdir(dir));) {
    struct seen seen;
    if (!isdigit((unsigned char)entry->d_name[0]) || !read_stat((pid_t)atol(entry->d_name), &seen))
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

// ---- belonging ----------------------------------------------------------------------------------------

static bool was_seen(const struct ql_tree *tree, const struct seen *seen) {
  for (size_t i = 0; i < tree->count; i++)
    if (tree->members[i].pid == seen->pid && tree->members[i].start == seen->start)
      return true;
  return false;
}

// By itself, that is without looking at its parents. The last rule is for orphans that overwrote their
// environment and left the session (vLLM's workers do the first, SGLang's the second): once the leader is
// gone, a child of ours in a foreign session that nobody has claimed and no other run has marked can only
// have come to us from it.
static bool belongs(const struct ql_tree *tree, const struct seen *seen) {
  if (seen->pid == getpid() || is_claimed(seen->pid) || seen->start < tree->start)
    return false;
  if (seen->group == tree->leader || seen->session == tree->leader || was_seen(tree, seen))
    return true;
  enum marked marked = read_mark(seen->pid, tree->nonce);
  if (marked != UNMARKED)
    return marked == MARKED_OURS;
  return tree->leader_gone && seen->parent == getpid() && seen->session != getsid(0) && !is_claimed(seen->session) &&
         !is_claimed(seen->group);
}

static bool inherits(const struct table *table, const struct seen *seen) {
  for (size_t i = 0; i < table->count; i++)
    if (table->rows[i].pid == seen->parent)
      return table->rows[i].is_ours;
  return false;
}

static void mark_ours(const struct ql_tree *tree, struct table *table) {
  for (size_t i = 0; i < table->count; i++) {
    struct seen *seen = &table->rows[i];
    seen->is_ours = seen->pid == tree->leader ? !tree->leader_gone : belongs(tree, seen);
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < table->count; i++) {
      struct seen *seen = &table->rows[i];
      if (seen->is_ours || is_claimed(seen->pid) || !inherits(table, seen))
        continue;
      seen->is_ours = changed = true;
    }
  }
}

static void remember(struct ql_tree *tree, const struct seen *seen) {
  if (was_seen(tree, seen))
    return;
  tree->members = ql_realloc(tree->members, (tree->count + 1) * sizeof *tree->members);
  tree->members[tree->count++] = (struct ql_tree_member){.pid = seen->pid, .start = seen->start};
}

void ql_tree_join(struct ql_tree *tree, pid_t leader, const char *nonce) {
  struct seen seen = {0};
  read_stat(leader, &seen);
  *tree = (struct ql_tree){.leader = leader, .start = seen.start, .nonce = ql_strdup(nonce)};
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
    if (!seen->is_ours || is_claimed(seen->pid))
      continue;
    if (seen->state == 'Z' || seen->state == 'X') {
      if (seen->parent == getpid())
        waitpid(seen->pid, NULL, WNOHANG);
      continue;
    }
    alive++;
    remember(tree, seen);
    if (do_kill)
      kill(seen->pid, SIGKILL);
  }
  free(table.rows);
  return alive;
}
