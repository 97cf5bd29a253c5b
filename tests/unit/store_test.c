// SPDX-License-Identifier: Apache-2.0
// Everything runs in a fresh folder under $TMPDIR. Where a process must die or lose its rights, it is a
// forked child of the test.
#include "check.h"
#include "store.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char schema[] = "CREATE TABLE item (id INTEGER PRIMARY KEY, value, owner INTEGER REFERENCES item(id));";
static const char insert[] = "INSERT INTO item(value) VALUES (?)";
static char folder[128];

static const char *path_in(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static const char *fresh(const char *name) {
  if (!*folder) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/qlua_store_XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder))
      abort();
    chmod(folder, 0755);
  }
  return path_in(name);
}

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  fputs(text, file);
  fclose(file);
}

static struct ql_store *open_with(const char *path, struct ql_store_options options, struct ql_err *err) {
  options.schema = options.schema ? options.schema : schema;
  options.version = options.version ? options.version : 1;
  return ql_store_open(path, &options, err);
}

static int put_integer(struct ql_store *store, int64_t value, struct ql_err *err) {
  struct ql_cell cell = {.kind = QL_CELL_INTEGER, .integer = value};
  return ql_store_put(store, insert, &cell, 1, err);
}

static int64_t integer_of(struct ql_store *store, const char *sql) {
  struct ql_err err = {0};
  struct ql_cursor *cursor = ql_store_each(store, sql, NULL, 0, &err);
  int64_t value = cursor && ql_cursor_next(cursor, &err) == 1 ? ql_cursor_cell(cursor, 0).integer : -1;
  if (*err.text)
    fprintf(stderr, "%s\n", err.text);
  ql_cursor_close(cursor);
  return value;
}

static int64_t rows_in(const char *path) {
  struct ql_err err = {0};
  struct ql_store *store = open_with(path, (struct ql_store_options){.read_only = true}, &err);
  CHECK_STR(err.text, "");
  int64_t count = store ? integer_of(store, "SELECT count(*) FROM item") : -1;
  ql_store_close(store, NULL);
  return count;
}

static void values_come_back_as_they_went_in(void) {
  struct ql_err err = {0};
  struct ql_store *store = open_with(fresh("values.db"), (struct ql_store_options){0}, &err);
  CHECK_STR(err.text, "");
  const struct ql_cell cells[] = {
      {.kind = QL_CELL_NIL},
      {.kind = QL_CELL_INTEGER, .integer = INT64_MIN},
      {.kind = QL_CELL_REAL, .real = 0.1},
      {.kind = QL_CELL_TEXT, .bytes = {"a\0\xc3\xa9", 4}},
      {.kind = QL_CELL_BLOB, .bytes = {"\xff\0", 2}},
      {.kind = QL_CELL_TEXT, .bytes = {NULL, 0}},
  };
  for (size_t i = 0; i < QL_LEN(cells); i++) {
    CHECK_INT(ql_store_put(store, insert, &cells[i], 1, &err), 0);
    CHECK_INT(ql_store_rowid(store), i + 1);
    CHECK_INT(ql_store_changes(store), 1);
  }
  struct ql_cursor *cursor = ql_store_each(store, "SELECT value FROM item ORDER BY id", NULL, 0, &err);
  CHECK_STR(ql_cursor_name(cursor, 0), "value");
  for (size_t i = 0; i < QL_LEN(cells); i++) {
    CHECK_INT(ql_cursor_next(cursor, &err), 1);
    struct ql_cell got = ql_cursor_cell(cursor, 0);
    CHECK_INT(got.kind, cells[i].kind);
    if (got.kind == QL_CELL_INTEGER)
      CHECK_INT(got.integer, cells[i].integer);
    else if (got.kind == QL_CELL_REAL)
      CHECK(got.real == cells[i].real);
    else if (got.kind != QL_CELL_NIL)
      CHECK(got.bytes.len == cells[i].bytes.len &&
            (got.bytes.len == 0 || memcmp(got.bytes.data, cells[i].bytes.data, got.bytes.len) == 0));
  }
  CHECK_INT(ql_cursor_next(cursor, &err), 0);
  ql_cursor_close(cursor);
  CHECK_INT(ql_store_close(store, &err), 0);
}

static void a_read_sees_the_open_batch_and_others_see_whole_batches(void) {
  struct ql_err err = {0};
  const char *path = fresh("batch.db");
  struct ql_store *store = open_with(path, (struct ql_store_options){.batch_rows = 10, .batch_ms = 60000}, &err);
  for (int i = 0; i < 25; i++)
    CHECK_INT(put_integer(store, i, &err), 0);
  CHECK_INT(integer_of(store, "SELECT count(*) FROM item"), 25);
  CHECK_INT(rows_in(path), 20);
  CHECK_INT(ql_store_commit(store, &err), 0);
  CHECK_INT(rows_in(path), 25);
  put_integer(store, 25, &err);
  CHECK_INT(ql_store_close(store, &err), 0);
  CHECK_INT(rows_in(path), 26);
}

static void a_batch_is_committed_by_age_at_the_next_put(void) {
  struct ql_err err = {0};
  const char *path = fresh("age.db");
  struct ql_store *store = open_with(path, (struct ql_store_options){.batch_rows = 1000, .batch_ms = 1}, &err);
  put_integer(store, 1, &err);
  for (uint64_t start = ql_now_ns(); ql_now_ns() - start < 2000000u;)
    ;
  put_integer(store, 2, &err);
  CHECK_INT(rows_in(path), 2);
  ql_store_close(store, NULL);
}

static void a_timer_commits_a_batch_that_nobody_adds_to(void) {
  struct ql_err err = {0};
  struct ql_loop *loop = ql_loop_open();
  const char *path = fresh("timer.db");
  struct ql_store *store =
      open_with(path, (struct ql_store_options){.batch_rows = 1000, .batch_ms = 20, .loop = loop}, &err);
  put_integer(store, 1, &err);
  for (int turns = 0; turns < 1000 && rows_in(path) == 0; turns++)
    ql_loop_turn(loop, 10);
  CHECK_INT(rows_in(path), 1);
  put_integer(store, 2, &err); // its timer must not outlive the store
  CHECK_INT(ql_store_close(store, &err), 0);
  ql_loop_turn(loop, 30);
  CHECK_INT(rows_in(path), 2);
  ql_loop_close(loop);
}

static void a_second_writer_is_told_the_pid_of_the_first(void) {
  struct ql_err err = {0};
  const char *path = fresh("lock.db");
  struct ql_store *store = open_with(path, (struct ql_store_options){0}, &err);
  CHECK(open_with(path, (struct ql_store_options){0}, &err) == NULL);
  CHECK_INT(err.kind, QL_E_STORE);
  char want[256];
  snprintf(want, sizeof want, "%s: another qlua (pid %ld) is writing it", path, (long)getpid());
  CHECK_STR(err.text, want);
  CHECK_INT(rows_in(path), 0); // a reader may
  ql_store_close(store, NULL);
  store = open_with(path, (struct ql_store_options){0}, &err);
  CHECK(store != NULL);
  ql_store_close(store, NULL);
  CHECK(access(path_in("lock.db.lock"), F_OK) != 0);
}

static void refused(const char *path, struct ql_store_options options, const char *want) {
  struct ql_err err = {0};
  struct ql_store *store = open_with(path, options, &err);
  CHECK(store == NULL);
  CHECK_INT(err.kind, QL_E_STORE);
  CHECK(strstr(err.text, want) != NULL);
  if (!strstr(err.text, want))
    fprintf(stderr, "got: %s\n", err.text);
  ql_store_close(store, NULL);
}

static void a_file_that_is_not_ours_is_refused(void) {
  const char *path = fresh("text.db");
  write_file(path, "this is a text file, long enough to have the header that SQLite looks at before anything else.\n");
  refused(path, (struct ql_store_options){0}, "the file is not a database");
  path = fresh("other.db");
  struct ql_err err = {0};
  ql_store_close(open_with(path, (struct ql_store_options){.version = 3}, &err), NULL);
  refused(path, (struct ql_store_options){.version = 2}, "written by a newer qlua (format 3, want 2)");
  refused(path, (struct ql_store_options){.version = 4}, "written by an older qlua (format 3, want 4)");
  struct ql_store *store = open_with(path, (struct ql_store_options){.version = 3}, &err);
  CHECK_INT(ql_store_put(store, "PRAGMA application_id=7", NULL, 0, &err), 0);
  ql_store_close(store, NULL);
  refused(path, (struct ql_store_options){.version = 3}, "this is not a qlua run");
  refused(fresh("missing.db"), (struct ql_store_options){.read_only = true}, "cannot open");
  refused(folder, (struct ql_store_options){.read_only = true}, "cannot open");
}

static void a_damaged_file_is_an_error_not_a_crash(void) {
  struct ql_err err = {0};
  const char *path = fresh("damaged.db");
  struct ql_store *store = open_with(path, (struct ql_store_options){0}, &err);
  for (int i = 0; i < 5000; i++)
    put_integer(store, i, &err);
  CHECK_INT(ql_store_close(store, &err), 0);
  int fd = open(path, O_WRONLY);
  for (off_t at = 4096; at < 65536; at += 64)
    CHECK_INT(pwrite(fd, "\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99", 16, at), 16);
  close(fd);
  store = open_with(path, (struct ql_store_options){0}, &err);
  struct ql_cursor *cursor = store ? ql_store_each(store, "SELECT sum(value) FROM item", NULL, 0, &err) : NULL;
  CHECK(!cursor || ql_cursor_next(cursor, &err) == -1);
  CHECK_INT(err.kind, QL_E_STORE);
  CHECK(strstr(err.text, "the file is damaged") != NULL);
  ql_cursor_close(cursor);
  ql_store_close(store, NULL);
}

static void a_full_disk_keeps_what_was_written(void) {
  struct ql_err err = {0};
  const char *path = fresh("full.db");
  struct ql_store *store =
      open_with(path, (struct ql_store_options){.max_pages = 20, .batch_rows = 16, .batch_ms = 60000}, &err);
  static char big[1000];
  struct ql_cell cell = {.kind = QL_CELL_BLOB, .bytes = {big, sizeof big}};
  int written = 0;
  while (written < 1000 && ql_store_put(store, insert, &cell, 1, &err) == 0)
    written++;
  CHECK(written > 16 && written < 1000);
  CHECK_INT(err.kind, QL_E_STORE);
  CHECK(strstr(err.text, "the disk is full") != NULL);
  CHECK(*err.hint);
  int64_t kept = rows_in(path);
  char lost[64];
  snprintf(lost, sizeof lost, "the last %d rows", written + 1 - (int)kept);
  CHECK(kept == written || strstr(err.text, lost) != NULL);
  CHECK(kept >= written / 16 * 16);
  ql_cursor_close(ql_store_each(store, "SELECT 1", NULL, 0, &err)); // still usable
  CHECK_INT(ql_store_put(store, "DELETE FROM item WHERE id > 1", NULL, 0, &err), 0);
  CHECK_INT(ql_store_close(store, &err), 0);
  CHECK_INT(rows_in(path), 1);
}

// Root may write anywhere, so the rights are given up in a child first.
static void a_folder_without_rights_is_an_error(void) {
  struct ql_err err = {0};
  const char *closed = fresh("closed");
  mkdir(closed, 0755);
  ql_store_close(open_with(path_in("closed/old.db"), (struct ql_store_options){0}, &err), NULL);
  chmod(path_in("closed"), 0555);
  pid_t pid = fork();
  if (pid == 0) {
    if (getuid() == 0 && setuid(65534) != 0)
      _exit(1);
    struct ql_store *store = open_with(path_in("closed/new.db"), (struct ql_store_options){0}, &err);
    if (store || err.kind != QL_E_STORE || !strstr(err.text, "cannot open for writing: Permission denied"))
      _exit(2);
    _exit(rows_in(path_in("closed/old.db")) == 0 ? 0 : 3); // reading needs no rights on the folder
  }
  int status = -1;
  waitpid(pid, &status, 0);
  CHECK_INT(status, 0);
  chmod(path_in("closed"), 0755);
}

static void a_bug_of_the_caller_is_not_an_error_of_the_world(void) {
  struct ql_err err = {0};
  struct ql_store *store = open_with(fresh("bug.db"), (struct ql_store_options){0}, &err);
  CHECK_INT(ql_store_put(store, "INSERT INTO nowhere VALUES (1)", NULL, 0, &err), -1);
  CHECK_INT(err.kind, QL_E_INTERNAL);
  CHECK_INT(ql_store_put(store, insert, NULL, 0, &err), -1);
  CHECK(strstr(err.text, "want 1 values, got 0") != NULL);
  CHECK_INT(ql_store_put(store, "SELECT 1; SELECT 2", NULL, 0, &err), -1);
  CHECK(strstr(err.text, "want one SQL statement") != NULL);
  CHECK_INT(ql_store_put(store, "SELECT 1; ", NULL, 0, &err), 0);
  ql_store_close(store, NULL);
}

static void a_broken_constraint_costs_only_its_own_row(void) {
  struct ql_err err = {0};
  const char *path = fresh("constraint.db");
  struct ql_store *store = open_with(path, (struct ql_store_options){.batch_ms = 60000}, &err);
  put_integer(store, 1, &err);
  struct ql_cell nobody = {.kind = QL_CELL_INTEGER, .integer = 99};
  CHECK_INT(ql_store_put(store, "INSERT INTO item(owner) VALUES (?)", &nobody, 1, &err), -1);
  CHECK_INT(err.kind, QL_E_STORE);
  CHECK(strstr(err.text, "FOREIGN KEY") != NULL);
  put_integer(store, 2, &err);
  CHECK_INT(ql_store_close(store, NULL), 0);
  CHECK_INT(rows_in(path), 2);
}

static void cursors_nest_outnumber_the_cache_and_survive_the_store(void) {
  struct ql_err err = {0};
  struct ql_store *store = open_with(fresh("cursors.db"), (struct ql_store_options){0}, &err);
  for (int i = 0; i < 3; i++)
    put_integer(store, i, &err);
  enum { MANY = 100 };
  struct ql_cursor *cursors[MANY];
  for (int i = 0; i < MANY; i++) {
    cursors[i] = ql_store_each(store, "SELECT value FROM item", NULL, 0, &err);
    CHECK_INT(ql_cursor_next(cursors[i], &err), 1);
  }
  CHECK_INT(put_integer(store, 3, &err), 0);
  CHECK_INT(ql_store_commit(store, &err), 0);
  for (int i = 0; i < MANY; i++)
    CHECK_INT(ql_cursor_next(cursors[i], &err), 1);
  ql_cursor_close(cursors[50]);
  CHECK_INT(ql_store_close(store, &err), 0);
  CHECK_INT(ql_cursor_next(cursors[0], &err), -1);
  for (int i = 0; i < MANY; i++)
    if (i != 50)
      ql_cursor_close(cursors[i]);
}

// The child says one byte for each put that has returned; it is killed at different points.
static void a_kill_loses_no_whole_batch(void) {
  for (int round = 0; round < 5; round++) {
    char name[32];
    snprintf(name, sizeof name, "kill%d.db", round);
    const char *path = fresh(name);
    int pipe_fds[2];
    CHECK_INT(pipe(pipe_fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
      struct ql_store *store = open_with(path, (struct ql_store_options){.batch_ms = 3600000}, NULL);
      for (int64_t i = 1; put_integer(store, i, NULL) == 0; i++)
        if (write(pipe_fds[1], "x", 1) != 1)
          break;
      _exit(1);
    }
    close(pipe_fds[1]);
    int64_t seen = 0;
    char bytes[64];
    for (ssize_t got; seen < 700 + 613 * round && (got = read(pipe_fds[0], bytes, sizeof bytes)) > 0;)
      seen += got;
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(pipe_fds[0]);
    struct ql_store *store = open_with(path, (struct ql_store_options){0}, NULL);
    CHECK(store != NULL);
    int64_t rows = integer_of(store, "SELECT count(*) FROM item");
    CHECK_INT(rows % QL_STORE_BATCH_ROWS, 0);
    CHECK(rows >= seen / QL_STORE_BATCH_ROWS * QL_STORE_BATCH_ROWS);
    CHECK_INT(integer_of(store, "SELECT max(value) FROM item"), rows);
    ql_store_close(store, NULL);
  }
}

static void the_folder_goes(void) {
  char command[256];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  CHECK_INT(system(command), 0);
}

RUN(values_come_back_as_they_went_in, a_read_sees_the_open_batch_and_others_see_whole_batches,
    a_batch_is_committed_by_age_at_the_next_put, a_timer_commits_a_batch_that_nobody_adds_to,
    a_second_writer_is_told_the_pid_of_the_first, a_file_that_is_not_ours_is_refused,
    a_damaged_file_is_an_error_not_a_crash, a_full_disk_keeps_what_was_written, a_folder_without_rights_is_an_error,
    a_bug_of_the_caller_is_not_an_error_of_the_world, a_broken_constraint_costs_only_its_own_row,
    cursors_nest_outnumber_the_cache_and_survive_the_store, a_kill_loses_no_whole_batch, the_folder_goes)
