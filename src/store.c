// SPDX-License-Identifier: Apache-2.0
// store: see store.h. Owns the sqlite3 connection, its prepared statements and the lock.
//
// Not obvious: a full disk may undo the failing statement alone or the whole batch. In the first case the
// batch is committed as far as it got before the error is reported; in the second its rows are lost, and
// the error says how many. WAL with synchronous=NORMAL: a kill of the process loses nothing committed, a
// power cut may lose the last batches but never the file.

#include "store.h"

#include "store_lock.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { APPLICATION_ID = 0x716c7561 /* "qlua" */, STATEMENTS = 64, BUSY_MS = 5000 };

struct statement {
  sqlite3_stmt *stmt;
  uint64_t used_at; // by the store's tick, for eviction
  bool busy;        // a cursor stands on it
};

struct ql_store {
  sqlite3 *db;
  char *path;
  struct ql_store_lock lock;
  struct statement statements[STATEMENTS];
  uint64_t tick;
  bool in_batch;
  unsigned batch_count, batch_rows, batch_ms;
  uint64_t batch_start_ns;
  struct ql_loop *loop;
  struct ql_timer *timer;
  struct ql_err late; // what a timed commit met; told to the next caller
  bool has_late;
  struct ql_cursor *cursors;
};

struct ql_cursor {
  struct ql_store *store; // NULL once the store is closed
  struct statement *slot; // NULL when the statement is the cursor's own
  sqlite3_stmt *stmt;
  struct ql_cursor *next, **link;
};

// ---- errors -------------------------------------------------------------------------------------------

static int fail_sql(struct ql_store *store, int rc, const char *doing, struct ql_err *err) {
  int code = rc & 0xff;
  if (code == SQLITE_ERROR || code == SQLITE_MISUSE || code == SQLITE_RANGE)
    return ql_fail(err, QL_E_INTERNAL, "%s: cannot %s: %s", store->path, doing, sqlite3_errmsg(store->db));
  int os_error = sqlite3_system_errno(store->db);
  const char *why = sqlite3_errmsg(store->db);
  bool os_matters = code == SQLITE_CANTOPEN || code == SQLITE_IOERR;
  if (code == SQLITE_FULL || (os_matters && (os_error == ENOSPC || os_error == EDQUOT)))
    why = "the disk is full";
  else if (code == SQLITE_NOTADB)
    why = "the file is not a database";
  else if (code == SQLITE_CORRUPT)
    why = "the file is damaged";
  else if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
    why = "another program keeps it locked";
  else if (os_matters && os_error)
    why = strerror(os_error);
  ql_fail(err, QL_E_STORE, "%s: cannot %s: %s", store->path, doing, why);
  if (code == SQLITE_FULL)
    return ql_hint(err, "free some space and resume the run: what was committed is kept");
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
    return ql_hint(err, "`sqlite3 %s .recover` may save its rows", store->path);
  return -1;
}

static int run_sql(struct ql_store *store, const char *sql, const char *doing, struct ql_err *err) {
  int rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? 0 : fail_sql(store, rc, doing, err);
}

static int read_integer(struct ql_store *store, const char *sql, int64_t *value, struct ql_err *err) {
  sqlite3_stmt *stmt = NULL;
  int rc = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);
  if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
    *value = sqlite3_column_int64(stmt, 0);
  int result = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : fail_sql(store, rc, "open", err);
  sqlite3_finalize(stmt);
  return result;
}

// ---- opening ------------------------------------------------------------------------------------------

// A closed database in WAL mode in a folder we may not write cannot be opened the plain way, since its
// shared memory file would have to be made; without a WAL beside it, it does not change under us.
static int open_read_only(struct ql_store *store, struct ql_err *err) {
  int rc = sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READONLY, NULL);
  if (rc == SQLITE_OK)
    rc = sqlite3_exec(store->db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
  if (rc == SQLITE_OK)
    return 0;
  char *wal = sqlite3_mprintf("%s-wal", store->path);
  bool wants_to_write = (rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY;
  bool cold = wants_to_write && access(store->path, R_OK) == 0 && access(wal, F_OK) != 0;
  sqlite3_free(wal);
  if (!cold || strpbrk(store->path, "?#%"))
    return fail_sql(store, rc, "open", err);
  sqlite3_close(store->db);
  char *uri = sqlite3_mprintf("file:%s?immutable=1", store->path);
  rc = sqlite3_open_v2(uri, &store->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
  sqlite3_free(uri);
  return rc == SQLITE_OK ? 0 : fail_sql(store, rc, "open", err);
}

static int open_file(struct ql_store *store, const struct ql_store_options *options, struct ql_err *err) {
  if (options->read_only)
    return open_read_only(store, err);
  if (ql_store_lock(&store->lock, store->path, err) != 0)
    return -1;
  int rc = sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
  if (rc != SQLITE_OK)
    return fail_sql(store, rc, "open", err);
  if (sqlite3_db_readonly(store->db, "main") == 1)
    return ql_fail(err, QL_E_STORE, "%s: cannot open for writing: the file is read-only", store->path);
  return 0;
}

static int check_identity(struct ql_store *store, const struct ql_store_options *options, bool *is_new,
                          struct ql_err *err) {
  int64_t application = 0, version = 0, objects = 0;
  if (read_integer(store, "PRAGMA application_id", &application, err) != 0 ||
      read_integer(store, "PRAGMA user_version", &version, err) != 0 ||
      read_integer(store, "SELECT count(*) FROM sqlite_schema", &objects, err) != 0)
    return -1;
  *is_new = application == 0 && version == 0 && objects == 0;
  if (*is_new && !options->read_only)
    return 0;
  if (application != APPLICATION_ID)
    return ql_fail(err, QL_E_STORE, "%s: this is not a qlua run", store->path);
  if (version == options->version)
    return 0;
  const char *age = version > options->version ? "newer" : "older";
  ql_fail(err, QL_E_STORE, "%s: written by %s qlua (format %lld, want %d)", store->path,
          version > options->version ? "a newer" : "an older", (long long)version, options->version);
  return ql_hint(err, "use the %s qlua for this run, or start a new one", age);
}

static int set_up(struct ql_store *store, const struct ql_store_options *options, struct ql_err *err) {
  bool is_new = false;
  sqlite3_busy_timeout(store->db, BUSY_MS);
  if (check_identity(store, options, &is_new, err) != 0)
    return -1;
  if (options->read_only)
    return run_sql(store, "PRAGMA query_only=1", "open", err);
  if (run_sql(store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=1", "set up", err) != 0)
    return -1;
  if (options->max_pages > 0) {
    char pragma[64];
    snprintf(pragma, sizeof pragma, "PRAGMA max_page_count=%lld", (long long)options->max_pages);
    if (run_sql(store, pragma, "set up", err) != 0)
      return -1;
  }
  if (!is_new)
    return 0;
  char stamp[96];
  snprintf(stamp, sizeof stamp, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", APPLICATION_ID,
           options->version);
  if (run_sql(store, "BEGIN IMMEDIATE", "create", err) != 0 ||
      run_sql(store, options->schema ? options->schema : "", "create", err) != 0)
    return -1;
  return run_sql(store, stamp, "create", err);
}

struct ql_store *ql_store_open(const char *path, const struct ql_store_options *options, struct ql_err *err) {
  struct ql_store *store = ql_calloc(1, sizeof *store);
  store->path = ql_strdup(path);
  store->batch_rows = options->batch_rows ? options->batch_rows : QL_STORE_BATCH_ROWS;
  store->batch_ms = options->batch_ms ? options->batch_ms : QL_STORE_BATCH_MS;
  store->loop = options->loop;
  if (open_file(store, options, err) == 0 && set_up(store, options, err) == 0)
    return store;
  ql_store_close(store, NULL);
  return NULL;
}

// ---- statements ---------------------------------------------------------------------------------------

static struct statement *find_slot(struct ql_store *store, const char *sql, bool *is_ready) {
  struct statement *oldest = NULL;
  *is_ready = false;
  for (size_t i = 0; i < STATEMENTS; i++) {
    struct statement *slot = &store->statements[i];
    if (slot->busy)
      continue;
    if (slot->stmt && strcmp(sqlite3_sql(slot->stmt), sql) == 0) {
      *is_ready = true;
      return slot;
    }
    if (!oldest || slot->used_at < oldest->used_at)
      oldest = slot;
  }
  return oldest;
}

static int prepare(struct ql_store *store, const char *sql, sqlite3_stmt **stmt, struct ql_err *err) {
  const char *tail = NULL;
  int rc = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, &tail);
  if (rc != SQLITE_OK)
    return fail_sql(store, rc, "prepare", err);
  if (*stmt && !tail[strspn(tail, " \t\r\n;")])
    return 0;
  sqlite3_finalize(*stmt);
  *stmt = NULL;
  return ql_fail(err, QL_E_INTERNAL, "%s: want one SQL statement, got \"%s\"", store->path, sql);
}

// keep is SQLITE_STATIC or SQLITE_TRANSIENT: whether the bytes outlive the statement's run.
static int bind_cell(sqlite3_stmt *stmt, int at, const struct ql_cell *cell, sqlite3_destructor_type keep) {
  switch (cell->kind) {
  case QL_CELL_INTEGER:
    return sqlite3_bind_int64(stmt, at, cell->integer);
  case QL_CELL_REAL:
    return sqlite3_bind_double(stmt, at, cell->real);
  case QL_CELL_TEXT: // SQLite takes a NULL pointer for NULL, whatever the length
    return sqlite3_bind_text64(stmt, at, cell->bytes.data ? cell->bytes.data : "", cell->bytes.len, keep,
                               SQLITE_UTF8);
  case QL_CELL_BLOB:
    return sqlite3_bind_blob64(stmt, at, cell->bytes.data ? cell->bytes.data : "", cell->bytes.len, keep);
  case QL_CELL_NIL:
    break;
  }
  return sqlite3_bind_null(stmt, at);
}

// A reset statement with its values bound, from the cache where it can be. With every slot under a cursor
// the statement is the caller's own, and slot is NULL.
static int ready(struct ql_store *store, const char *sql, const struct ql_cell *cells, size_t count,
                 sqlite3_destructor_type keep, struct statement **slot, sqlite3_stmt **stmt, struct ql_err *err) {
  bool is_ready = false;
  *slot = find_slot(store, sql, &is_ready);
  *stmt = is_ready ? (*slot)->stmt : NULL;
  if (!is_ready && prepare(store, sql, stmt, err) != 0)
    return -1;
  if (*slot && !is_ready) {
    sqlite3_finalize((*slot)->stmt);
    (*slot)->stmt = *stmt;
  }
  if (*slot)
    (*slot)->used_at = ++store->tick;
  int wanted = sqlite3_bind_parameter_count(*stmt), rc = SQLITE_OK;
  int result = 0;
  if (count != (size_t)wanted)
    result = ql_fail(err, QL_E_INTERNAL, "%s: want %d values, got %zu, for \"%s\"", store->path, wanted, count, sql);
  for (int i = 0; result == 0 && rc == SQLITE_OK && i < wanted; i++)
    rc = bind_cell(*stmt, i + 1, &cells[i], keep);
  if (rc != SQLITE_OK)
    result = fail_sql(store, rc, "bind values", err);
  if (result != 0 && !*slot)
    sqlite3_finalize(*stmt);
  return result;
}

// ---- writing ------------------------------------------------------------------------------------------

static int end_batch(struct ql_store *store, struct ql_err *err) {
  if (store->timer)
    ql_timer_stop(store->timer);
  store->timer = NULL;
  if (!store->in_batch)
    return 0;
  unsigned rows = store->batch_count;
  store->in_batch = false;
  store->batch_count = 0;
  if (sqlite3_get_autocommit(store->db))
    return ql_fail(err, QL_E_STORE, "%s: the last %u rows were not written", store->path, rows);
  int rc = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
  if (rc == SQLITE_OK)
    return 0;
  char doing[64];
  snprintf(doing, sizeof doing, "write the last %u rows", rows);
  fail_sql(store, rc, doing, err);
  if (!sqlite3_get_autocommit(store->db))
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
  return -1;
}

static void on_batch_age(void *arg) {
  struct ql_store *store = arg;
  store->timer = NULL; // it dies by firing
  struct ql_err err;
  if (end_batch(store, &err) != 0) {
    store->late = err;
    store->has_late = true;
  }
}

static int tell_late(struct ql_store *store, struct ql_err *err) {
  if (!store->has_late)
    return 0;
  store->has_late = false;
  if (err)
    *err = store->late;
  return -1;
}

static int begin_batch(struct ql_store *store, struct ql_err *err) {
  if (store->in_batch)
    return 0;
  if (run_sql(store, "BEGIN IMMEDIATE", "write", err) != 0)
    return -1;
  store->in_batch = true;
  store->batch_count = 0;
  store->batch_start_ns = ql_now_ns();
  if (store->loop)
    store->timer = ql_timer_start(store->loop, store->batch_ms, on_batch_age, store);
  return 0;
}

// A statement failed with rc. A broken constraint undoes only itself. After anything else the rows before
// it are saved if they can be, and counted as lost if SQLite has undone the whole batch.
static int fail_put(struct ql_store *store, int rc, struct ql_err *err) {
  fail_sql(store, rc, "write", err);
  if (!store->in_batch || ((rc & 0xff) == SQLITE_CONSTRAINT && !sqlite3_get_autocommit(store->db)))
    return -1;
  if (sqlite3_get_autocommit(store->db)) {
    char doing[64];
    snprintf(doing, sizeof doing, "write the last %u rows", store->batch_count + 1);
    fail_sql(store, rc, doing, err);
    end_batch(store, NULL);
    return -1;
  }
  struct ql_err second;
  if (end_batch(store, &second) != 0 && err)
    *err = second;
  return -1;
}

int ql_store_put(struct ql_store *store, const char *sql, const struct ql_cell *cells, size_t count,
                 struct ql_err *err) {
  struct statement *slot;
  sqlite3_stmt *stmt;
  if (tell_late(store, err) != 0 || ready(store, sql, cells, count, SQLITE_STATIC, &slot, &stmt, err) != 0)
    return -1;
  int result = begin_batch(store, err);
  if (result == 0) {
    int rc;
    do
      rc = sqlite3_step(stmt);
    while (rc == SQLITE_ROW);
    if (rc != SQLITE_DONE)
      result = fail_put(store, rc, err);
  }
  // The values are the caller's memory: a cached statement must not keep them beyond this call.
  sqlite3_reset(stmt);
  sqlite3_clear_bindings(stmt);
  if (!slot)
    sqlite3_finalize(stmt);
  if (result != 0)
    return -1;
  store->batch_count++;
  bool is_old = ql_now_ns() - store->batch_start_ns >= (uint64_t)store->batch_ms * 1000000u;
  return store->batch_count >= store->batch_rows || is_old ? end_batch(store, err) : 0;
}

int ql_store_commit(struct ql_store *store, struct ql_err *err) {
  return tell_late(store, err) != 0 ? -1 : end_batch(store, err);
}

int64_t ql_store_rowid(const struct ql_store *store) { return sqlite3_last_insert_rowid(store->db); }
int64_t ql_store_changes(const struct ql_store *store) { return sqlite3_changes64(store->db); }

// ---- reading ------------------------------------------------------------------------------------------

struct ql_cursor *ql_store_each(struct ql_store *store, const char *sql, const struct ql_cell *cells, size_t count,
                                struct ql_err *err) {
  struct statement *slot;
  sqlite3_stmt *stmt;
  if (ready(store, sql, cells, count, SQLITE_TRANSIENT, &slot, &stmt, err) != 0)
    return NULL;
  struct ql_cursor *cursor = ql_calloc(1, sizeof *cursor);
  *cursor = (struct ql_cursor){.store = store, .slot = slot, .stmt = stmt, .next = store->cursors};
  cursor->link = &store->cursors;
  if (store->cursors)
    store->cursors->link = &cursor->next;
  store->cursors = cursor;
  if (slot)
    slot->busy = true;
  return cursor;
}

int ql_cursor_next(struct ql_cursor *cursor, struct ql_err *err) {
  if (!cursor->store)
    return ql_fail(err, QL_E_INTERNAL, "the store was closed while its rows were read");
  int rc = sqlite3_step(cursor->stmt);
  if (rc == SQLITE_ROW)
    return 1;
  return rc == SQLITE_DONE ? 0 : fail_sql(cursor->store, rc, "read", err);
}

int ql_cursor_columns(const struct ql_cursor *cursor) {
  return cursor->store ? sqlite3_column_count(cursor->stmt) : 0;
}
const char *ql_cursor_name(const struct ql_cursor *cursor, int column) {
  return sqlite3_column_name(cursor->stmt, column);
}

struct ql_cell ql_cursor_cell(const struct ql_cursor *cursor, int column) {
  struct ql_cell cell = {.kind = QL_CELL_NIL};
  switch (sqlite3_column_type(cursor->stmt, column)) {
  case SQLITE_INTEGER:
    cell.kind = QL_CELL_INTEGER;
    cell.integer = sqlite3_column_int64(cursor->stmt, column);
    break;
  case SQLITE_FLOAT:
    cell.kind = QL_CELL_REAL;
    cell.real = sqlite3_column_double(cursor->stmt, column);
    break;
  case SQLITE_TEXT:
    cell.kind = QL_CELL_TEXT;
    cell.bytes.data = (const char *)sqlite3_column_text(cursor->stmt, column);
    cell.bytes.len = (size_t)sqlite3_column_bytes(cursor->stmt, column);
    break;
  case SQLITE_BLOB:
    cell.kind = QL_CELL_BLOB;
    cell.bytes.data = sqlite3_column_blob(cursor->stmt, column);
    cell.bytes.len = (size_t)sqlite3_column_bytes(cursor->stmt, column);
    break;
  default:
    break;
  }
  return cell;
}

static void leave(struct ql_cursor *cursor) {
  if (!cursor->store)
    return;
  *cursor->link = cursor->next;
  if (cursor->next)
    cursor->next->link = cursor->link;
  sqlite3_reset(cursor->stmt);
  sqlite3_clear_bindings(cursor->stmt);
  if (cursor->slot)
    cursor->slot->busy = false;
  else
    sqlite3_finalize(cursor->stmt);
  cursor->store = NULL;
}

void ql_cursor_close(struct ql_cursor *cursor) {
  if (!cursor)
    return;
  leave(cursor);
  free(cursor);
}

int ql_store_close(struct ql_store *store, struct ql_err *err) {
  if (!store)
    return 0;
  while (store->cursors)
    leave(store->cursors);
  int result = tell_late(store, err);
  if (end_batch(store, result == 0 ? err : NULL) != 0)
    result = -1;
  for (size_t i = 0; i < STATEMENTS; i++)
    sqlite3_finalize(store->statements[i].stmt);
  sqlite3_close(store->db);
  ql_store_unlock(&store->lock);
  free(store->path);
  free(store);
  return result;
}
