// SPDX-License-Identifier: Apache-2.0
// proc_stat: see proc_stat.h. Reads /proc/<pid>/stat.

#include "proc_stat.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

bool ql_stat_read(pid_t pid, struct ql_stat *stat) {
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
  *stat = (struct ql_stat){.pid = pid};
  if (!after_name || sscanf(after_name + 1,
                            " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                            &stat->state, &parent, &group, &session, &start) != 5)
    return false;
  stat->parent = parent;
  stat->group = group;
  stat->session = session;
  stat->start = start;
  return true;
}

bool ql_stat_kill(pid_t pid, uint64_t start) {
  struct ql_stat stat;
  int fd = pid > 1 ? pidfd_open(pid, 0) : -1;
  if (fd < 0)
    return false;
  // The descriptor holds on to one process; it is the right one if the start time read after it was opened is.
  bool is_sent = ql_stat_read(pid, &stat) && stat.start == start && pidfd_send_signal(fd, SIGKILL, NULL, 0) == 0;
  close(fd);
  return is_sent;
}
