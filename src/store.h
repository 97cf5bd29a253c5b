// SPDX-License-Identifier: Apache-2.0
// store: one SQLite file that survives whatever happens to the process that writes it.
//
// Generic: knows no table. Writes are gathered into batches, committed by count and by age, so that a
// kill loses at most the batch in flight and always a whole one. Reads on the same store see the open
// batch. One writer per file: a flock on `<path>.lock` holds the pid of the owner; readers take none.
// Main thread only. SQL that does not parse and a wrong number of values are a bug of the caller and
// come back as kind internal; everything else is kind store.
#ifndef QL_STORE_H
#define QL_STORE_H

#include "base.h"
#include "loop.h"

#define QL_STORE_BATCH_ROWS 256u
#define QL_STORE_BATCH_MS 200u

struct ql_store;
struct ql_cursor;

enum ql_cell_kind { QL_CELL_NIL, QL_CELL_INTEGER, QL_CELL_REAL, QL_CELL_TEXT, QL_CELL_BLOB };
struct ql_cell {
  enum ql_cell_kind kind;
  union {
    int64_t integer;
    double real; // a NaN is stored as NULL: SQLite has none
    struct {
      const char *data; // borrowed: by put until it returns, from a cursor until its next step
      size_t len;
    } bytes;
  };
};

struct ql_store_options {
  const char *schema; // run once, in one transaction, when the file is new
  int version;        // user_version; a file with another one is refused
  bool read_only;     // no lock is taken, and a file must exist
  int64_t max_pages;  // 0: no limit; a small one makes a full disk testable
  unsigned batch_rows, batch_ms;
  struct ql_loop *loop; // for the batch's timer; NULL: age is only looked at by the next put
};

struct ql_store *ql_store_open(const char *path, const struct ql_store_options *options, struct ql_err *err);
// Commits, unlocks and frees, also when it fails. Open cursors go dead: their next step is an error.
int ql_store_close(struct ql_store *store, struct ql_err *err);

// Runs one writing statement inside the batch. An error that an earlier timed commit met comes out here.
int ql_store_put(struct ql_store *store, const char *sql, const struct ql_cell *cells, size_t count,
                 struct ql_err *err);
int ql_store_commit(struct ql_store *store, struct ql_err *err);
int64_t ql_store_rowid(const struct ql_store *store);   // of the last inserted row
int64_t ql_store_changes(const struct ql_store *store); // rows the last put touched

// A cursor over a query's rows; close it in any case, before or after the store.
struct ql_cursor *ql_store_each(struct ql_store *store, const char *sql, const struct ql_cell *cells, size_t count,
                                struct ql_err *err);
int ql_cursor_next(struct ql_cursor *cursor, struct ql_err *err); // 1 a row, 0 no more, -1 error
int ql_cursor_columns(const struct ql_cursor *cursor);
const char *ql_cursor_name(const struct ql_cursor *cursor, int column);
struct ql_cell ql_cursor_cell(const struct ql_cursor *cursor, int column);
void ql_cursor_close(struct ql_cursor *cursor);

#endif
