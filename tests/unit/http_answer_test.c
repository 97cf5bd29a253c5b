// SPDX-License-Identifier: Apache-2.0
// Every answer of tests/cases/http_answer, whole, cut at every byte and at every two: what is read must be the same.
// A .want has lines: end, status, keep, rest (bytes behind it), one per header, and the body.
#include "check.h"
#include "http_answer.h"
#include "sse_cases.h"

#define FOLDER "tests/cases/http_answer"

static const char *const end_names[] = {"open", "whole", "refused", "broken", "long_line", "long_head", "cut"};

static int on_body(void *arg, const char *bytes, size_t len) {
  ql_buf_add(arg, bytes, len);
  return 0;
}

struct read {
  struct ql_http_answer answer;
  struct ql_buf headers, body, text;
  enum ql_http_answer_end end;
  size_t used;
};

static void begin(struct read *read, bool is_head) {
  ql_buf_clear(&read->headers);
  ql_buf_clear(&read->body);
  ql_buf_clear(&read->text);
  read->used = 0;
  read->end = QL_HTTP_ANSWER_OPEN;
  ql_http_answer_begin(&read->answer, is_head, &read->headers, on_body, &read->body);
}

// A heap copy of its own, so that the address sanitizer sees a reader that looks beyond or behind.
static void feed(struct read *read, const char *bytes, size_t len) {
  if (!len || read->end != QL_HTTP_ANSWER_OPEN)
    return;
  char *copy = ql_malloc(len);
  size_t used;
  memcpy(copy, bytes, len);
  read->end = ql_http_answer_feed(&read->answer, copy, len, &used);
  read->used += used;
  free(copy);
}

static void write_down(struct read *read, size_t len) {
  struct ql_buf *text = &read->text;
  if (read->end == QL_HTTP_ANSWER_OPEN)
    read->end = ql_http_answer_close(&read->answer);
  bool is_whole = read->end == QL_HTTP_ANSWER_WHOLE;
  ql_buf_addf(text, "end %s\nstatus %d\nkeep %d\nrest %zu\n", end_names[read->end], read->answer.status,
              is_whole && read->answer.can_keep_alive, is_whole ? len - read->used : 0);
  for (size_t at = 0; at < read->headers.len;) {
    const char *name = read->headers.data + at, *value = name + strlen(name) + 1;
    ql_buf_addf(text, "%s: %s\n", name, value);
    at = (size_t)(value + strlen(value) + 1 - read->headers.data);
  }
  ql_buf_adds(text, "body ");
  sse_add_escaped(text, read->body.data ? read->body.data : "", read->body.len);
  ql_buf_adds(text, "\n");
}

static bool run_cuts(struct read *read, const char *name, const char *bytes, size_t len, size_t first, size_t second,
                     const char *want) {
  begin(read, strncmp(name, "head_", 5) == 0);
  feed(read, bytes, first);
  feed(read, bytes + first, second - first);
  feed(read, bytes + second, len - second);
  write_down(read, len);
  bool ok = strcmp(read->text.data, want) == 0;
  CHECK(ok);
  if (!ok)
    fprintf(stderr, "%s, cut at %zu and %zu\nwant:\n%sgot:\n%s", name, first, second, want, read->text.data);
  return ok;
}

static void run_case(const char *name, const char *bytes, size_t len, const char *want) {
  struct read read = {.used = 0};
  bool ok = true;
  for (size_t first = 0; ok && first <= len; first++)
    for (size_t second = first; ok && second <= len; second++)
      ok = run_cuts(&read, name, bytes, len, first, second, want);
  begin(&read, strncmp(name, "head_", 5) == 0);
  for (size_t i = 0; i < len; i++)
    feed(&read, bytes + i, 1);
  write_down(&read, len);
  CHECK_STR(read.text.data, want);
  ql_http_answer_free(&read.answer);
  ql_buf_free(&read.headers);
  ql_buf_free(&read.body);
  ql_buf_free(&read.text);
}

static void every_answer_at_every_two_cuts(void) {
  DIR *dir = opendir(FOLDER);
  int cases = 0;
  CHECK(dir != NULL);
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    char name[64];
    const char *dot = strstr(entry->d_name, ".http");
    if (!dot || dot == entry->d_name)
      continue;
    snprintf(name, sizeof name, "%.*s", (int)(dot - entry->d_name), entry->d_name);
    size_t len = 0;
    char *bytes = sse_read_file(FOLDER, name, ".http", &len), *want = sse_read_file(FOLDER, name, ".want", NULL);
    CHECK(bytes && want);
    if (bytes && want)
      run_case(name, bytes, len, want);
    free(bytes);
    free(want);
    cases++;
  }
  if (dir)
    closedir(dir);
  CHECK(cases >= 20);
}

static void heads_have_their_own_limits(void) {
  struct read read = {.used = 0};
  char line[1024];
  begin(&read, false);
  feed(&read, "HTTP/1.1 200 OK\r\n", 17);
  memset(line, 'x', sizeof line);
  feed(&read, "X-Long: ", 8);
  size_t fed = 0;
  for (; read.end == QL_HTTP_ANSWER_OPEN && fed < 1000; fed++) // 1 MB
    feed(&read, line, sizeof line);
  CHECK_INT(read.end, QL_HTTP_ANSWER_LONG_LINE);
  CHECK_INT(fed, 100);
  begin(&read, false);
  feed(&read, "HTTP/1.1 200 OK\r\n", 17);
  for (fed = 0; read.end == QL_HTTP_ANSWER_OPEN && fed < 10000; fed++) {
    int len = snprintf(line, sizeof line, "X-%05zu: %0180d\r\n", fed, 7);
    feed(&read, line, (size_t)len);
  }
  CHECK_INT(read.end, QL_HTTP_ANSWER_LONG_HEAD);
  CHECK(fed > 1300 && fed < 1400); // 256 KiB of them
  ql_http_answer_free(&read.answer);
  ql_buf_free(&read.headers);
  ql_buf_free(&read.body);
}

RUN(every_answer_at_every_two_cuts, heads_have_their_own_limits)
