// SPDX-License-Identifier: Apache-2.0
// Any output, fed whole and byte by byte: the same lines, no control characters, and the secret in none.
#include "proc_log.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const secrets[] = {"key", NULL};

static void check_line(const char *line, size_t len, void *arg) {
  (void)arg;
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)line[i] < ' ' && line[i] != '\t')
      abort();
  if (strstr(line, secrets[0]))
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ql_log_options options = {.secrets = secrets, .on_line = check_line};
  struct ql_log *whole = ql_log_open(&options, NULL), *bytes = ql_log_open(&options, NULL);
  ql_log_feed(whole, (const char *)data, size);
  for (size_t i = 0; i < size; i++)
    ql_log_feed(bytes, (const char *)data + i, 1);
  ql_log_flush(whole);
  ql_log_flush(bytes);
  if (ql_log_lines(whole) != ql_log_lines(bytes))
    abort();
  for (size_t i = 0; i < ql_log_tail_count(whole); i++)
    if (strcmp(ql_log_tail(whole, i), ql_log_tail(bytes, i)) != 0)
      abort();
  ql_log_close(whole);
  ql_log_close(bytes);
  return 0;
}
