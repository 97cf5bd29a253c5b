// SPDX-License-Identifier: Apache-2.0
// store_lock: see store_lock.h. Touches only `<db_path>.lock`.
//
// Not obvious: the owner removes the file when it closes, so a lock won on a name that has gone since, or
// that names another file by now, is worth nothing; take_once then says so and the caller tries again.

#include "store_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_locked(const char *db_path, int fd, struct ql_err *err) {
  char owner[32] = "";
  ssize_t got = pread(fd, owner, sizeof owner - 1, 0);
  owner[got > 0 ? strspn(owner, "0123456789") : 0] = '\0';
  ql_fail(err, QL_E_STORE, "%s: another qlua (pid %s) is writing it", db_path, *owner ? owner : "unknown");
  return ql_hint(err, "wait for it to end, or give another folder");
}

// 1 held, 0 lost a race, -1 error.
static int take_once(struct ql_store_lock *lock, const char *db_path, struct ql_err *err) {
  int fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0)
    return ql_fail(err, QL_E_STORE, "%s: cannot open for writing: %s", db_path, strerror(errno));
  int result = 0;
  struct stat held, named;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0)
    result = errno == EWOULDBLOCK ? fail_locked(db_path, fd, err)
                                  : ql_fail(err, QL_E_STORE, "%s: cannot lock: %s", db_path, strerror(errno));
  else if (fstat(fd, &held) == 0 && stat(lock->path, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev)
    result = 1;
  if (result == 1)
    lock->fd = fd;
  else
    close(fd);
  return result;
}

int ql_store_lock(struct ql_store_lock *lock, const char *db_path, struct ql_err *err) {
  lock->path = ql_malloc(strlen(db_path) + sizeof ".lock");
  stpcpy(stpcpy(lock->path, db_path), ".lock");
  int result;
  do
    result = take_once(lock, db_path, err);
  while (result == 0);
  if (result < 0) {
    free(lock->path);
    lock->path = NULL;
    return -1;
  }
  // The pid only serves the other's message: on a full disk the lock holds without it.
  char pid[32];
  int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
  if (ftruncate(lock->fd, 0) == 0 && pwrite(lock->fd, pid, (size_t)len, 0) < 0)
    return 0;
  return 0;
}

void ql_store_unlock(struct ql_store_lock *lock) {
  if (!lock->path)
    return;
  unlink(lock->path);
  close(lock->fd);
  free(lock->path);
  lock->path = NULL;
}
