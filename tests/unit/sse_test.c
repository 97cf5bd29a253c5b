// SPDX-License-Identifier: Apache-2.0
// Every stream of tests/cases/sse, whole, cut in two at every byte, and byte by byte: the events must
// be the same, and each must carry the time of the read that brought the last byte of its data.
#include "check.h"
#include "sse.h"
#include "sse_cases.h"

#include <stdio.h>
#include <stdlib.h>

struct seen {
  struct ql_buf text;
  size_t split; // reads are [0, split) at time 1 and [split, end) at time 2; 0: byte k comes at time k + 1
  bool wrong_time;
  bool wrong_slice;
  const char *stream;
};

static void on_event(void *arg, const struct ql_sse_event *event) {
  struct seen *seen = arg;
  ql_buf_addf(&seen->text, "%s%s\t%llu\t", event->kind == QL_SSE_DONE ? "done" : "message",
              event->incomplete ? "!" : "", (unsigned long long)event->end_offset);
  sse_add_escaped(&seen->text, event->name, event->name_len);
  ql_buf_adds(&seen->text, "\t");
  sse_add_escaped(&seen->text, event->id, event->id_len);
  ql_buf_adds(&seen->text, "\t");
  sse_add_escaped(&seen->text, event->data, event->data_len);
  ql_buf_adds(&seen->text, "\n");
  uint64_t want_ns = !seen->split ? event->end_offset : event->end_offset <= seen->split ? 1 : 2;
  seen->wrong_time |= event->at_ns != want_ns;
  if (event->data_lines == 1)
    seen->wrong_slice |= event->end_offset - event->begin_offset != event->data_len ||
                         memcmp(seen->stream + event->begin_offset, event->data, event->data_len) != 0;
}

static void finish(struct ql_sse *sse, struct seen *seen) {
  struct ql_err err;
  CHECK_INT(ql_sse_end(sse, on_event, seen, &err), 0);
  ql_buf_addf(&seen->text, "comments\t%llu\nretry\t%lld\n", (unsigned long long)sse->comments,
              (long long)sse->retry_ms);
  ql_sse_free(sse);
}

// Every read gets a heap copy of its own, so that the address sanitizer sees a parser that looks beyond it.
static void feed(struct ql_sse *sse, const char *bytes, size_t len, uint64_t at_ns, struct seen *seen) {
  struct ql_err err;
  char *copy = ql_malloc(len);
  memcpy(copy, bytes, len);
  CHECK_INT(ql_sse_feed(sse, copy, len, at_ns, on_event, seen, &err), 0);
  free(copy);
}

static bool same(const char *name, const char *how, struct seen *seen, const char *want) {
  bool ok = strcmp(seen->text.data ? seen->text.data : "", want) == 0 && !seen->wrong_time && !seen->wrong_slice;
  CHECK(ok);
  if (!ok)
    fprintf(stderr, "%s, %s (cut at %zu)%s%s\nwant:\n%sgot:\n%s", name, how, seen->split,
            seen->wrong_time ? ", wrong time" : "", seen->wrong_slice ? ", wrong slice" : "", want,
            seen->text.data);
  ql_buf_free(&seen->text);
  return ok;
}

static void run_case(const char *name, const char *bytes, size_t len, const char *want) {
  struct ql_sse sse;
  struct seen seen = {.stream = bytes};
  ql_sse_init(&sse, 4096);
  for (size_t i = 0; i < len; i++)
    feed(&sse, bytes + i, 1, i + 1, &seen);
  finish(&sse, &seen);
  if (!same(name, "byte by byte", &seen, want))
    return;
  for (size_t split = 1; split <= len; split++) {
    seen = (struct seen){.stream = bytes, .split = split};
    ql_sse_init(&sse, 4096);
    feed(&sse, bytes, split, 1, &seen);
    feed(&sse, bytes + split, len - split, 2, &seen);
    finish(&sse, &seen);
    if (!same(name, "in two reads", &seen, want))
      return;
  }
}

static void run_one(void *arg, const struct sse_case *one) {
  (void)arg;
  run_case(one->name, one->bytes, one->len, one->want);
}

static void every_case_at_every_cut(void) { CHECK(sse_each_case(run_one, NULL) >= 45); }

struct one {
  int count;
  size_t len;
  uint64_t sum, at_ns;
};

static void on_one(void *arg, const struct ql_sse_event *event) {
  struct one *one = arg;
  one->count++;
  one->len = event->data_len;
  one->at_ns = event->at_ns;
  for (size_t i = 0; i < event->data_len; i++)
    one->sum += (unsigned char)event->data[i];
}

static void a_megabyte_in_one_event(void) {
  size_t len = 1 << 20;
  char *data = ql_malloc(len);
  uint64_t sum = 0;
  for (size_t i = 0; i < len; i++) {
    data[i] = (char)('a' + i % 26);
    sum += (unsigned char)data[i];
  }
  static const size_t reads[] = {1, 7, 1460, 16384, 1 << 20};
  for (size_t r = 0; r < QL_LEN(reads); r++) {
    struct ql_sse sse;
    struct one one = {0};
    uint64_t at_ns = 10;
    ql_sse_init(&sse, 1 << 20);
    CHECK_INT(ql_sse_feed(&sse, "data: ", 6, 1, on_one, &one, NULL), 0);
    int failed = 0;
    for (size_t from = 0; from < len; from += reads[r]) {
      size_t part = len - from < reads[r] ? len - from : reads[r];
      failed |= ql_sse_feed(&sse, data + from, part, ++at_ns, on_one, &one, NULL);
    }
    CHECK_INT(failed, 0);
    CHECK_INT(ql_sse_feed(&sse, "\n\n", 2, 5, on_one, &one, NULL), 0);
    CHECK_INT(one.count, 1);
    CHECK_INT(one.len, len);
    CHECK_INT(one.sum, sum);
    CHECK_INT(one.at_ns, at_ns);
    ql_sse_free(&sse);
  }
  free(data);
}

static void an_event_over_the_limit_is_an_error_at_every_cut(void) {
  static const char *const streams[] = {
      "data: ok\n\ndata: 123456789\n\n",              // one line
      "data: ok\n\n: a comment that never ends .....", // a line that is not even data
      "data: ok\n\ndata: 1234\ndata: 5678\n\n",       // the sum of two
  };
  static const char *const lines[] = {"at byte 10:", "at byte 10:", "at byte 21:"};
  for (size_t i = 0; i < QL_LEN(streams); i++) {
    size_t len = strlen(streams[i]);
    for (size_t split = 0; split <= len; split++) {
      struct ql_sse sse;
      struct one one = {0};
      struct ql_err err = {0};
      ql_sse_init(&sse, 8);
      int first = ql_sse_feed(&sse, streams[i], split, 1, on_one, &one, &err);
      int second = ql_sse_feed(&sse, streams[i] + split, len - split, 2, on_one, &one, &err);
      CHECK(first == -1 || second == -1);
      CHECK_INT(err.kind, QL_E_LIMIT);
      CHECK(strstr(err.text, lines[i]) != NULL);
      CHECK_INT(one.count, 1);
      CHECK_INT(ql_sse_end(&sse, on_one, &one, &err), -1);
      CHECK_INT(one.count, 1);
      ql_sse_free(&sse);
    }
  }
}

static void payload_does_not_grow_by_comments(void) {
  struct ql_sse sse;
  struct one one = {0};
  ql_sse_init(&sse, 0);
  ql_sse_feed(&sse, ": pi", 4, 1, on_one, &one, NULL);
  ql_sse_feed(&sse, "ng\n\n\r\n", 6, 1, on_one, &one, NULL);
  CHECK_INT(sse.payload_bytes, 0);
  CHECK_INT(sse.comments, 1);
  ql_sse_feed(&sse, "dat", 3, 1, on_one, &one, NULL);
  CHECK_INT(sse.payload_bytes, 3);
  ql_sse_free(&sse);
}

RUN(every_case_at_every_cut, a_megabyte_in_one_event, an_event_over_the_limit_is_an_error_at_every_cut,
    payload_does_not_grow_by_comments)
