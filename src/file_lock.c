// SPDX-License-Identifier: Apache-2.0
// file_lock: a file that one process at a time holds, and that says who.
//
// The kernel lets go of it when its holder ends, however it ends; so the file is never removed, and what
// stands in it means something only while it is held. May lie in a folder that users share: never follows
// a link, and is opened without O_CREAT first, as a sticky folder refuses that for another user's file.

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_shared(const char *path) {
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0 || errno != ENOENT)
    return fd;
  fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd >= 0 && fchmod(fd, 0666) != 0) // whatever the umask says: others must be able to open it
    errno = 0;
  return fd;
}

int ql_file_lock(const char *path, const char *holder, struct ql_err *err) {
  int fd = open_shared(path);
  if (fd < 0)
    return ql_file_fail(err, path, errno);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char text[256];
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    close(fd);
    return ql_fail(err, QL_E_LIMIT, "%s", *text ? text : "a process that does not say its name");
  }
  if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, strlen(holder), 0) < 0) // it only serves the other's message
    errno = 0;
  return fd;
}
