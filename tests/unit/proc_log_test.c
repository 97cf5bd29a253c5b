// SPDX-License-Identifier: Apache-2.0
#include "check.h"
#include "proc_log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static char path[128];

static struct ql_log *open_log(struct ql_log_options options) {
  struct ql_err err = {0};
  struct ql_log *log = ql_log_open(&options, &err);
  CHECK_STR(err.text, "");
  return log;
}

static void feed(struct ql_log *log, const char *text) { ql_log_feed(log, text, strlen(text)); }

static const char *fresh_path(void) {
  const char *base = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/qlua_log_XXXXXX", base ? base : "/tmp");
  close(mkstemp(path));
  return path;
}

static char *read_file(size_t *len) {
  struct ql_buf text;
  ql_buf_init(&text, 0);
  char bytes[65536];
  int fd = open(path, O_RDONLY);
  for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;)
    ql_buf_add(&text, bytes, (size_t)got);
  close(fd);
  unlink(path);
  return ql_buf_take(&text, len);
}

static void lines_end_in_three_ways(void) {
  struct ql_log *log = open_log((struct ql_log_options){0});
  feed(log, "one\r\ntwo\n\n\r 10%|#\r 20%|##\r\r");
  feed(log, " 30%|###\r");
  feed(log, "\nlast");
  static const char *const want[] = {"one", "two", "", " 10%|#", " 20%|##", " 30%|###", "last"};
  CHECK_INT(ql_log_lines(log), 6);
  ql_log_flush(log);
  CHECK_INT(ql_log_lines(log), QL_LEN(want));
  for (size_t i = 0; i < QL_LEN(want); i++)
    CHECK_STR(ql_log_tail(log, i), want[i]);
  ql_log_close(log);
}

static void any_split_gives_the_same_lines(void) {
  static const char text[] = "\x1b[1;32mgreen\x1b[0m\r\n\x1b]0;title\x07plain\r\x1b[2Kredraw\nkey sk-abcdefghij\r\n";
  for (size_t cut = 0; cut < sizeof text; cut++) {
    struct ql_log *log = open_log((struct ql_log_options){0});
    ql_log_feed(log, text, cut);
    ql_log_feed(log, text + cut, sizeof text - 1 - (cut < sizeof text - 1 ? cut : sizeof text - 1));
    CHECK_INT(ql_log_lines(log), 4);
    CHECK_STR(ql_log_tail(log, 0), "green");
    CHECK_STR(ql_log_tail(log, 1), "plain");
    CHECK_STR(ql_log_tail(log, 2), "redraw");
    CHECK_STR(ql_log_tail(log, 3), "key ***");
    ql_log_close(log);
  }
}

static void the_tail_keeps_the_last_lines(void) {
  struct ql_log *log = open_log((struct ql_log_options){0});
  for (int i = 1; i <= 1000; i++) {
    char line[32];
    snprintf(line, sizeof line, "line %d\n", i);
    feed(log, line);
  }
  CHECK_INT(ql_log_tail_count(log), QL_LOG_TAIL_LINES);
  CHECK_STR(ql_log_tail(log, 0), "line 937");
  CHECK_STR(ql_log_tail(log, 63), "line 1000");
  ql_log_close(log);
}

static void what_looks_like_a_key_is_replaced(void) {
  static const struct {
    const char *text, *want;
  } cases[] = {
      {"Authorization: Bearer abc.def-123 end", "Authorization: Bearer *** end"},
      {"authorization: Basic dXNlcjpwdw== end", "authorization: *** end"},
      {"key sk-proj_0123456789abc, and", "key ***, and"},
      {"task-oriented disk-bound sk-ip", "task-oriented disk-bound sk-ip"},
      {"HF_TOKEN=hf_abcdefghijklmnop", "HF_TOKEN=***"},
      {"args {'api_key': ['topsecret'], 'port': 1}", "args {'api_key': ['***'], 'port': 1}"},
      {"--api-key topsecret --port 1", "--api-key *** --port 1"},
      {"GET /?api_key=x&y=1", "GET /?api_key=***&y=1"},
      {"api_key: None, api_keys", "api_key: None, api_keys"},
      {"the given hunter2 and hunter22", "the given *** and ***"},
      {"apihunter2key api_key=ahunter2b", "api***key api_key=***"},
      {"Bearer Xhunter2", "Bea******"},
      {"nothing here", "nothing here"},
      {"Bearer ", "Bearer "},
  };
  char *secrets[] = {"hunter2", "hunter22", "", "rer X", NULL};
  for (size_t i = 0; i < QL_LEN(cases); i++) {
    struct ql_buf out;
    ql_buf_init(&out, 0);
    ql_redact(&out, cases[i].text, strlen(cases[i].text), secrets);
    CHECK_STR(out.data, cases[i].want);
    ql_buf_free(&out);
  }
}

static void a_small_log_is_whole(void) {
  struct ql_log *log = open_log((struct ql_log_options){.path = fresh_path(), .head_bytes = 10, .ring_bytes = 100});
  feed(log, "first\nsecond\nthird\n");
  ql_log_close(log);
  char *text = read_file(NULL);
  CHECK_STR(text, "first\nsecond\nthird\n");
  free(text);
}

static void a_big_log_keeps_its_head_and_its_end(void) {
  const char *secrets[] = {"hunter2", NULL};
  struct ql_log *log = open_log(
      (struct ql_log_options){.path = fresh_path(), .secrets = secrets, .head_bytes = 100000, .ring_bytes = 50000});
  char line[64];
  size_t total = 0;
  for (int i = 0; i < 400000; i++) { // some 10 MB
    total += (size_t)snprintf(line, sizeof line, "line %d password hunter2\n", i);
    feed(log, line);
  }
  CHECK(total > 10000000);
  ql_log_close(log);
  size_t len = 0;
  char *text = read_file(&len);
  CHECK(len > 140000 && len < 151000);
  CHECK(strncmp(text, "line 0 password ***\nline 1 password ***\n", 40) == 0);
  CHECK(strstr(text, "hunter2") == NULL);
  const char *note = strstr(text, "[qlua: ");
  unsigned long long left_out = 0;
  int note_len = 0;
  CHECK(note && sscanf(note, "[qlua: %llu bytes left out here]\n%nline ", &left_out, &note_len) == 1);
  size_t written = total - 400000u * strlen("hunter2") + 400000u * 3;
  CHECK_INT(left_out, written - (len - (size_t)note_len));
  CHECK(len > 40 && strcmp(text + len - strlen("line 399999 password ***\n"), "line 399999 password ***\n") == 0);
  free(text);
}

static void an_endless_line_is_cut(void) {
  struct ql_log *log = open_log((struct ql_log_options){0});
  char block[1000];
  memset(block, 'x', sizeof block);
  for (int i = 0; i < 1000; i++)
    ql_log_feed(log, block, sizeof block);
  CHECK_INT(ql_log_lines(log), 0);
  feed(log, "\nnext\n");
  CHECK_INT(ql_log_lines(log), 2);
  CHECK_STR(ql_log_tail(log, 1), "next");
  ql_log_close(log);
}

static void a_log_that_cannot_be_written_is_an_error(void) {
  struct ql_err err = {0};
  struct ql_log_options options = {.path = "/no/such/folder/x.log"};
  CHECK(ql_log_open(&options, &err) == NULL);
  CHECK_STR(err.text, "/no/such/folder/x.log: cannot write the log: No such file or directory");
  if (access("/dev/full", W_OK) != 0) {
    puts("skipped: no /dev/full");
    return;
  }
  struct ql_log *log = open_log((struct ql_log_options){.path = "/dev/full"});
  feed(log, "one\n");
  feed(log, "two\n");
  CHECK_INT(ql_log_tail_count(log), 3);
  CHECK_STR(ql_log_tail(log, 1), "[qlua: cannot write the log: No space left on device]");
  CHECK_STR(ql_log_tail(log, 2), "two");
  ql_log_close(log);
}

RUN(lines_end_in_three_ways, any_split_gives_the_same_lines, the_tail_keeps_the_last_lines,
    what_looks_like_a_key_is_replaced, a_small_log_is_whole, a_big_log_keeps_its_head_and_its_end,
    an_endless_line_is_cut, a_log_that_cannot_be_written_is_an_error)
