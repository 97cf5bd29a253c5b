// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes, cut anywhere, must give the same events as the same bytes in one read.
// The sum of the bytes chooses the cuts, so that a seed is a stream as it is. Seeds: tests/cases/sse/*.sse.
#include "sse.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void on_event(void *arg, const struct ql_sse_event *event) {
  ql_buf_addf(arg, "%d%d %llu %llu %u\n", event->kind, event->incomplete, (unsigned long long)event->begin_offset,
              (unsigned long long)event->end_offset, event->data_lines);
  ql_buf_add(arg, event->data, event->data_len);
  ql_buf_add(arg, event->name, event->name_len + 1);
  ql_buf_add(arg, event->id, event->id_len + 1);
}

static void run(const char *stream, size_t len, size_t step, struct ql_buf *out) {
  struct ql_sse sse;
  ql_sse_init(&sse, 256);
  int failed = 0;
  for (size_t from = 0; from < len && !failed; from += step) {
    size_t part = len - from < step ? len - from : step;
    char *copy = ql_malloc(part);
    memcpy(copy, stream + from, part);
    failed = ql_sse_feed(&sse, copy, part, 1, on_event, out, NULL);
    free(copy);
  }
  failed |= ql_sse_end(&sse, on_event, out, NULL);
  ql_buf_addf(out, "%d %llu %llu", failed, (unsigned long long)sse.comments, (unsigned long long)sse.retry_ms);
  if (!failed && sse.offset != len)
    abort();
  ql_sse_free(&sse);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  size_t sum = 0;
  for (size_t i = 0; i < len; i++)
    sum += bytes[i];
  struct ql_buf whole, cut;
  ql_buf_init(&whole, 0);
  ql_buf_init(&cut, 0);
  const char *stream = (const char *)bytes;
  run(stream, len, len + 1, &whole);
  run(stream, len, sum % 64 + 1, &cut);
  // Over the limit, a cut stream may have counted fewer comments in its last read; the events agree.
  if (whole.len != cut.len || (whole.len && memcmp(whole.data, cut.data, whole.len) != 0))
    abort();
  ql_buf_free(&whole);
  ql_buf_free(&cut);
  return 0;
}
