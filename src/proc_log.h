// SPDX-License-Identifier: Apache-2.0
// proc_log: a program's output as clean lines: some for error messages, most in a file of bounded size.
//
// A line ends at \n, \r\n or \r (progress bars redraw with it). Terminal escapes are taken out and secrets
// replaced before anything is kept anywhere. The file gets the first head_bytes as they come, and what was
// last (ring_bytes) when the log is closed, with a line between them that says how much is missing.
#ifndef QL_PROC_LOG_H
#define QL_PROC_LOG_H

#include "base.h"

#define QL_LOG_TAIL_LINES 64u
#define QL_LOG_HEAD_BYTES (4u << 20)
#define QL_LOG_RING_BYTES (1u << 20)
#define QL_LOG_LINE_BYTES (16u << 10) // the rest of a longer line is dropped and the cut marked

struct ql_log;
struct ql_log_options {
  const char *path;           // appended to; NULL: no file
  const char *const *secrets; // ends with NULL; copied
  size_t head_bytes, ring_bytes; // 0: the values above
  void (*on_line)(const char *line, size_t len, void *arg); // must not close the log
  void *arg;
};

struct ql_log *ql_log_open(const struct ql_log_options *options, struct ql_err *err);
void ql_log_feed(struct ql_log *log, const char *bytes, size_t len);
void ql_log_flush(struct ql_log *log); // a last line without an end becomes a line
void ql_log_close(struct ql_log *log);

uint64_t ql_log_lines(const struct ql_log *log); // so far
size_t ql_log_tail_count(const struct ql_log *log);
const char *ql_log_tail(const struct ql_log *log, size_t i); // 0 is the oldest kept

// Replaces secrets and what looks like one (`Bearer …`, `sk-…`, `hf_…`, `api_key=…`) by ***.
void ql_redact(struct ql_buf *out, const char *text, size_t len, char *const *secrets);

#endif
