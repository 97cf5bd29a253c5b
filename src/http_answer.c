// SPDX-License-Identifier: Apache-2.0
// http_answer: see http_answer.h. http_parser does the reading; this file gives its callbacks one meaning.
//
// Not obvious: http_parser bounds the bytes of a head by a limit for the whole process, which the simulated server
// relies on. Heads here have limits of their own, so its counter is put back before each read, which it allows: a
// read is smaller than its limit.

#include "http_answer.h"
#include "http_internal.h"

#include <string.h>

static void end_with(struct ql_http_answer *answer, enum ql_http_answer_end end) {
  if (answer->end == QL_HTTP_ANSWER_OPEN)
    answer->end = end;
}

// ---- header lines -------------------------------------------------------------------------------------

// A line that lies whole in this read is taken from there; else it is put together from its pieces.
static int end_line(struct ql_http_answer *answer) {
  const char *line = answer->line_at;
  size_t len = answer->line_len;
  if (!line) {
    line = answer->line.data;
    len = answer->line.len;
  }
  bool ok = !len || ql_http_headers_add(answer->headers, line, len);
  answer->line_at = NULL;
  answer->line_len = 0;
  answer->in_value = false;
  ql_buf_clear(&answer->line);
  if (!ok)
    end_with(answer, QL_HTTP_ANSWER_LONG_HEAD);
  return ok ? 0 : -1;
}

static int keep(struct ql_http_answer *answer, const char *at, size_t len) {
  if (answer->line.len + len <= QL_HTTP_MAX_HEADER_LINE) {
    ql_buf_add(&answer->line, at, len);
    return 0;
  }
  end_with(answer, QL_HTTP_ANSWER_LONG_LINE);
  return -1;
}

static int on_name(http_parser *parser, const char *at, size_t len) {
  struct ql_http_answer *answer = parser->data;
  bool goes_on = !answer->in_value && answer->line.len && at == answer->read_at;
  if (goes_on)
    return keep(answer, at, len);
  if (end_line(answer) != 0) // also a name that no colon followed, which is no header
    return -1;
  answer->line_at = at;
  answer->line_len = len;
  return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len) {
  struct ql_http_answer *answer = parser->data;
  bool is_first = !answer->in_value;
  answer->in_value = true;
  if (answer->line_at && is_first) {
    answer->line_len = (size_t)(at + len - answer->line_at); // name, colon and value as they lie
    return 0;
  }
  if (answer->line_at) { // a folded line goes on
    const char *line = answer->line_at;
    answer->line_at = NULL;
    if (keep(answer, line, answer->line_len) != 0)
      return -1;
  }
  if (is_first && keep(answer, ":", 1) != 0)
    return -1;
  return keep(answer, at, len);
}

// The read's bytes are about to go: what lies in them is copied.
static void save_line(struct ql_http_answer *answer) {
  if (!answer->line_at)
    return;
  const char *line = answer->line_at;
  answer->line_at = NULL;
  keep(answer, line, answer->line_len);
}

// ---- the rest -----------------------------------------------------------------------------------------

static bool is_early(const http_parser *parser) { return parser->status_code < 200; }

static int on_begin(http_parser *parser) {
  struct ql_http_answer *answer = parser->data;
  ql_buf_clear(answer->headers); // of a 1xx
  return 0;
}

static int on_headers_complete(http_parser *parser) {
  struct ql_http_answer *answer = parser->data;
  if (end_line(answer) != 0)
    return -1;
  if (parser->status_code == 101) { // nobody asked for another protocol
    end_with(answer, QL_HTTP_ANSWER_BROKEN);
    return -1;
  }
  if (is_early(parser))
    return 1;
  answer->status = (int)parser->status_code;
  answer->has_headers = true;
  return answer->is_head || answer->status == 204 || answer->status == 304; // 1: no body
}

static int on_body(http_parser *parser, const char *at, size_t len) {
  struct ql_http_answer *answer = parser->data;
  if (answer->on_body(answer->arg, at, len) == 0)
    return 0;
  end_with(answer, QL_HTTP_ANSWER_REFUSED);
  return -1;
}

static int on_message_complete(http_parser *parser) {
  struct ql_http_answer *answer = parser->data;
  if (is_early(parser))
    return 0;
  if (end_line(answer) != 0) // of a trailer
    return -1;
  answer->can_keep_alive = http_should_keep_alive(parser);
  end_with(answer, QL_HTTP_ANSWER_WHOLE);
  http_parser_pause(parser, 1);
  return 0;
}

static const http_parser_settings settings = {.on_message_begin = on_begin,
                                              .on_header_field = on_name,
                                              .on_header_value = on_value,
                                              .on_headers_complete = on_headers_complete,
                                              .on_body = on_body,
                                              .on_message_complete = on_message_complete};

void ql_http_answer_begin(struct ql_http_answer *answer, bool is_head, struct ql_buf *headers,
                          int (*body)(void *arg, const char *bytes, size_t len), void *arg) {
  struct ql_buf line = answer->line;
  *answer = (struct ql_http_answer){.line = line, .headers = headers, .is_head = is_head, .on_body = body, .arg = arg};
  ql_buf_clear(&answer->line);
  http_parser_init(&answer->parser, HTTP_RESPONSE);
  answer->parser.data = answer;
  answer->parser.allow_chunked_length = 1; // RFC 9112 6.3: then the chunks count
  answer->parser.lenient_http_headers = 1; // a value's bytes are no concern of ours
}

enum ql_http_answer_end ql_http_answer_feed(struct ql_http_answer *answer, const char *bytes, size_t len,
                                            size_t *used) {
  *used = 0;
  if (answer->end != QL_HTTP_ANSWER_OPEN || !len)
    return answer->end;
  answer->has_bytes = true;
  answer->parser.nread = 0;
  answer->read_at = bytes;
  *used = http_parser_execute(&answer->parser, &settings, bytes, len);
  save_line(answer);
  if (answer->parser.http_errno != HPE_OK && answer->parser.http_errno != HPE_PAUSED)
    end_with(answer, QL_HTTP_ANSWER_BROKEN);
  return answer->end;
}

enum ql_http_answer_end ql_http_answer_close(struct ql_http_answer *answer) {
  if (answer->end != QL_HTTP_ANSWER_OPEN)
    return answer->end;
  if (answer->has_bytes)
    http_parser_execute(&answer->parser, &settings, NULL, 0);
  answer->can_keep_alive = false;
  end_with(answer, QL_HTTP_ANSWER_CUT);
  return answer->end;
}

const char *ql_http_answer_reason(const struct ql_http_answer *answer) {
  if (answer->parser.status_code == 101 && !answer->has_headers)
    return "switching protocols";
  return http_errno_description((enum http_errno)answer->parser.http_errno);
}

void ql_http_answer_free(struct ql_http_answer *answer) { ql_buf_free(&answer->line); }
