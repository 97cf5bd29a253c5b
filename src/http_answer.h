// SPDX-License-Identifier: Apache-2.0
// http_answer: one HTTP/1 answer from its bytes, however they were cut: headers into a buffer, body by a callback.
//
// Pure: no socket, no clock. Answers of 1xx are passed over, trailers are added to the headers, chunks are taken
// apart, and what needs no body has none, whatever its headers say. Touches http_parser only.
#ifndef QL_HTTP_ANSWER_H
#define QL_HTTP_ANSWER_H

#include "base.h"

#include <http_parser.h>

enum ql_http_answer_end {
  QL_HTTP_ANSWER_OPEN,     // more is to come
  QL_HTTP_ANSWER_WHOLE,    // bytes behind it, if any, are not taken
  QL_HTTP_ANSWER_REFUSED,  // on_body said so
  QL_HTTP_ANSWER_BROKEN,   // these are no HTTP/1; see ql_http_answer_reason
  QL_HTTP_ANSWER_LONG_LINE,
  QL_HTTP_ANSWER_LONG_HEAD,
  QL_HTTP_ANSWER_CUT, // the connection's end came too early
};

struct ql_http_answer {
  // For the caller to read.
  int status;          // 0: no final one yet
  bool has_headers;    // of the final answer, all of them
  bool has_bytes;      // any
  bool can_keep_alive; // of a whole one: the connection may be used again
  // Its own.
  http_parser parser;
  struct ql_buf *headers;
  struct ql_buf line; // a header line that was cut; kept from answer to answer
  const char *line_at; // the header line of which name and value lie in this read, else NULL
  size_t line_len;
  const char *read_at; // where the present read begins: a name that begins there goes on from the last
  bool in_value, is_head;
  enum ql_http_answer_end end;
  int (*on_body)(void *arg, const char *bytes, size_t len); // not 0: stop
  void *arg;
};

// Headers go to the packed form of http_headers.c. The answer's line buffer is kept: begin with all zero.
void ql_http_answer_begin(struct ql_http_answer *answer, bool is_head, struct ql_buf *headers,
                          int (*on_body)(void *arg, const char *bytes, size_t len), void *arg);
// One read; *used: how many bytes belong to this answer.
enum ql_http_answer_end ql_http_answer_feed(struct ql_http_answer *answer, const char *bytes, size_t len, size_t *used);
enum ql_http_answer_end ql_http_answer_close(struct ql_http_answer *answer); // the connection has ended
const char *ql_http_answer_reason(const struct ql_http_answer *answer);     // of a broken one, in http_parser's words
void ql_http_answer_free(struct ql_http_answer *answer);

#endif
