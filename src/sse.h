// SPDX-License-Identifier: Apache-2.0
// sse: splits a server-sent event stream into events, however the bytes were cut on their way.
//
// Pure: bytes in, events out by callback; no clock, no socket. Lines end with LF, CR or CRLF, also
// when CR and LF come in different reads. An event is handed over at its blank line, but its time is
// that of the read which brought the last byte of its last data line: a server or a proxy may send
// the blank line much later. So the caller gives each read its time, and the parser hands it through.
// Bytes are never decoded: half a UTF-8 character at the end of a read is of no concern here.
#ifndef QL_SSE_H
#define QL_SSE_H

#include "base.h"

enum ql_sse_kind {
  QL_SSE_MESSAGE,
  QL_SSE_DONE, // data is [DONE], the mark of OpenAI's streams that nothing follows
};

// Pointers are valid during the callback. Name and id are followed by a NUL that is not counted, data is not.
struct ql_sse_event {
  enum ql_sse_kind kind;
  bool incomplete;       // the stream ended before the blank line
  const char *data;      // the data lines joined with LF
  size_t data_len;
  const char *name;      // of `event:`, or ""
  size_t name_len;
  const char *id;        // the last `id:` of the stream so far, or ""
  size_t id_len;
  uint32_t data_lines;   // 1: the data is one slice of the stream, [begin_offset, end_offset)
  uint64_t begin_offset; // in the stream: where the last data line's value begins
  uint64_t end_offset;   // in the stream: just past the last data line's last byte, line end not counted
  uint64_t at_ns;        // the time of the read that brought the byte before end_offset
};
typedef void (*ql_sse_on_event)(void *arg, const struct ql_sse_event *event);

struct ql_sse {
  // For the caller to read.
  uint64_t offset;        // bytes taken
  uint64_t comments;      // comment lines, such as a proxy's keep-alive
  uint64_t payload_bytes; // bytes of lines that are no comment: grows only when the stream says something
  int64_t retry_ms;       // the last `retry:`, -1 when there was none

  // The parser's own.
  size_t limit_bytes;
  struct ql_buf line, data, name, id;
  const char *lent; // the data, as long as it is one line that lies in the present read; else it is in `data`
  size_t lent_len;
  uint64_t line_offset, line_at_ns;
  uint64_t data_begin, data_end, data_at_ns;
  uint32_t data_lines;
  bool skip_lf, failed;
};

// limit_bytes bounds one line and one event's data; 0 means none.
void ql_sse_init(struct ql_sse *sse, size_t limit_bytes);
// One read. Returns -1 when an event is over the limit; the stream is then lost, and so says every later call.
int ql_sse_feed(struct ql_sse *sse, const char *bytes, size_t len, uint64_t at_ns, ql_sse_on_event on_event,
                void *arg, struct ql_err *err);
// The stream has ended: what is pending comes as one event that is flagged incomplete.
int ql_sse_end(struct ql_sse *sse, ql_sse_on_event on_event, void *arg, struct ql_err *err);
void ql_sse_free(struct ql_sse *sse);

#endif
