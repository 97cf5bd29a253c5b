// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes as an HTTP answer with an event stream in it, cut anywhere, must be read as the same bytes
// in one read. The sum of the bytes chooses the cuts, so that a seed is a stream as it is. Seeds: tests/cases/http_answer/*.http.
#include "http_answer.h"
#include "sse.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct read {
  struct ql_buf body, events;
  struct ql_sse sse;
};

static void on_event(void *arg, const struct ql_sse_event *event) {
  ql_buf_addf(arg, "%d%d %llu\n", event->kind, event->incomplete, (unsigned long long)event->end_offset);
  ql_buf_add(arg, event->data, event->data_len);
}

static int on_body(void *arg, const char *bytes, size_t len) {
  struct read *read = arg;
  ql_buf_add(&read->body, bytes, len);
  return ql_sse_feed(&read->sse, bytes, len, 1, on_event, &read->events, NULL);
}

static void run(const char *stream, size_t len, size_t step, struct ql_buf *out) {
  struct ql_http_answer answer = {0};
  struct ql_buf headers;
  struct read read;
  size_t taken = 0;
  enum ql_http_answer_end end = QL_HTTP_ANSWER_OPEN;
  ql_buf_init(&headers, 0);
  ql_buf_init(&read.body, 0);
  ql_buf_init(&read.events, 0);
  ql_sse_init(&read.sse, 0);
  ql_http_answer_begin(&answer, false, &headers, on_body, &read);
  for (size_t from = 0; from < len && end == QL_HTTP_ANSWER_OPEN; from += step) {
    size_t part = len - from < step ? len - from : step, used;
    char *copy = ql_malloc(part);
    memcpy(copy, stream + from, part);
    end = ql_http_answer_feed(&answer, copy, part, &used);
    taken += used;
    if (end == QL_HTTP_ANSWER_OPEN && used != part)
      abort();
    free(copy);
  }
  end = end == QL_HTTP_ANSWER_OPEN ? ql_http_answer_close(&answer) : end;
  ql_sse_end(&read.sse, on_event, &read.events, NULL);
  ql_buf_addf(out, "%d %d %d %zu\n", end, answer.status, answer.has_headers, end == QL_HTTP_ANSWER_WHOLE ? taken : 0);
  if (end == QL_HTTP_ANSWER_WHOLE) // of a broken one the last may be missing: http_parser gives whole lines or none
    ql_buf_add(out, headers.data, headers.len);
  ql_buf_add(out, read.body.data, read.body.len);
  ql_buf_add(out, read.events.data, read.events.len);
  ql_sse_free(&read.sse);
  ql_http_answer_free(&answer);
  ql_buf_free(&headers);
  ql_buf_free(&read.body);
  ql_buf_free(&read.events);
}

// What http_parser makes of a CR by itself depends on how it was cut; it is no HTTP, and any reading of it will do.
static bool has_bare_cr(const uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (bytes[i] == '\r' && (i + 1 == len || bytes[i + 1] != '\n'))
      return true;
  return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  size_t sum = 0;
  for (size_t i = 0; i < len; i++)
    sum += bytes[i];
  struct ql_buf whole, cut;
  ql_buf_init(&whole, 0);
  ql_buf_init(&cut, 0);
  run((const char *)bytes, len, len + 1, &whole);
  run((const char *)bytes, len, sum % 64 + 1, &cut);
  if (!has_bare_cr(bytes, len) && (whole.len != cut.len || memcmp(whole.data, cut.data, whole.len) != 0))
    abort();
  ql_buf_free(&whole);
  ql_buf_free(&cut);
  return 0;
}
