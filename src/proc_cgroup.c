// SPDX-License-Identifier: Apache-2.0
// proc_cgroup: see proc_cgroup.h. Touches only the group that it has made.

#include "proc_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Field 5 of a line of mountinfo is the mount point, the word after " - " the type. Spaces in names are
// written as \040, which no usual mount point has: such a one is not taken.
static bool find_mount(char *mount, size_t size) {
  FILE *file = fopen("/proc/self/mountinfo", "re");
  if (!file)
    return false;
  char line[4096], point[PATH_MAX];
  bool is_found = false;
  while (!is_found && fgets(line, sizeof line, file)) {
    const char *type = strstr(line, " - ");
    if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0 || sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1)
      continue;
    is_found = !strchr(point, '\\') && snprintf(mount, size, "%s", point) < (int)size;
  }
  fclose(file);
  return is_found;
}

// Our own group below the mount: the line "0::/path".
static bool find_own(char *own, size_t size) {
  FILE *file = fopen("/proc/self/cgroup", "re");
  if (!file)
    return false;
  char line[4096];
  bool is_found = false;
  while (!is_found && fgets(line, sizeof line, file)) {
    if (strncmp(line, "0::/", 4) != 0)
      continue;
    line[strcspn(line, "\n")] = '\0';
    is_found = snprintf(own, size, "%s", line + 3) < (int)size;
  }
  fclose(file);
  return is_found;
}

static int open_in(const char *path, const char *name, int flags) {
  char full[PATH_MAX];
  if (!path || snprintf(full, sizeof full, "%s/%s", path, name) >= (int)sizeof full)
    return -1;
  return open(full, flags | O_CLOEXEC);
}

char *ql_cgroup_path(const char *nonce) {
  char mount[1024], own[1024], path[PATH_MAX];
  if (!find_mount(mount, sizeof mount) || !find_own(own, sizeof own))
    return NULL;
  const char *between = strcmp(own, "/") == 0 ? "" : own;
  snprintf(path, sizeof path, "%s%s/qlua-%s", mount, between, nonce);
  return ql_strdup(path);
}

char *ql_cgroup_make(const char *nonce) {
  char *path = ql_cgroup_path(nonce);
  if (path && mkdir(path, 0755) == 0) {
    int fd = ql_cgroup_open_procs(path);
    if (fd >= 0) {
      close(fd);
      return path;
    }
    rmdir(path);
  }
  free(path);
  return NULL;
}

int ql_cgroup_open_procs(const char *path) { return open_in(path, "cgroup.procs", O_WRONLY); }

static size_t read_in(const char *path, const char *name, char *text, size_t size) {
  int fd = open_in(path, name, O_RDONLY);
  ssize_t got = fd < 0 ? 0 : read(fd, text, size - 1);
  if (fd >= 0)
    close(fd);
  text[got > 0 ? got : 0] = '\0';
  return got > 0 ? (size_t)got : 0;
}

bool ql_cgroup_is_populated(const char *path) {
  char text[512];
  return path && read_in(path, "cgroup.events", text, sizeof text) > 0 && strstr(text, "populated 1");
}

// Linux before 5.14 has no cgroup.kill: each in turn, and the caller looks again.
static void kill_each(const char *path) {
  char text[16384];
  read_in(path, "cgroup.procs", text, sizeof text);
  for (char *at = text; *at;) {
    long pid = strtol(at, &at, 10);
    if (pid > 1)
      kill((pid_t)pid, SIGKILL);
    at += strspn(at, "\n");
  }
}

void ql_cgroup_kill(const char *path) {
  int fd = open_in(path, "cgroup.kill", O_WRONLY);
  if (fd < 0 || write(fd, "1", 1) != 1) {
    if (path)
      kill_each(path);
  }
  if (fd >= 0)
    close(fd);
}

bool ql_cgroup_remove(const char *path) { return !path || rmdir(path) == 0 || errno == ENOENT; }
