// SPDX-License-Identifier: Apache-2.0
// store_lock: one writer per database file, held by a flock that dies with its process.
//
// Not a lock on the database file itself: SQLite has POSIX locks there, which any close() of that file
// would drop. The lock file holds its owner's pid for the message only; nobody is signalled by it.
#ifndef QL_STORE_LOCK_H
#define QL_STORE_LOCK_H

#include "base.h"

struct ql_store_lock {
  char *path; // NULL while nothing is held
  int fd;
};

int ql_store_lock(struct ql_store_lock *lock, const char *db_path, struct ql_err *err);
void ql_store_unlock(struct ql_store_lock *lock); // removes the lock file

#endif
