// SPDX-License-Identifier: Apache-2.0
// sim_request: http_parser's callbacks, gathered into one record. See sim_request.h.
//
// Not obvious: a header may reach the callbacks in any number of pieces, so a NUL is written only when the
// next part begins; and a body that is announced too large is refused before it has been sent.
#include "sim_request.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

static int on_message_begin(http_parser *parser) {
  struct ql_sim_request *request = parser->data;
  ql_buf_clear(&request->target);
  ql_buf_clear(&request->headers);
  ql_buf_clear(&request->body);
  request->header_count = 0;
  request->in_value = false;
  return 0;
}

static int on_url(http_parser *parser, const char *at, size_t len) {
  struct ql_sim_request *request = parser->data;
  ql_buf_add(&request->target, at, len);
  return 0;
}

static void end_value(struct ql_sim_request *request) {
  if (request->in_value)
    ql_buf_add(&request->headers, "", 1);
  request->in_value = false;
}

static int on_header_field(http_parser *parser, const char *at, size_t len) {
  struct ql_sim_request *request = parser->data;
  end_value(request);
  for (size_t i = 0; i < len; i++) {
    char lower = (char)tolower((unsigned char)at[i]);
    ql_buf_add(&request->headers, &lower, 1);
  }
  return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t len) {
  struct ql_sim_request *request = parser->data;
  if (!request->in_value) {
    ql_buf_add(&request->headers, "", 1);
    request->header_count++;
  }
  request->in_value = true;
  ql_buf_add(&request->headers, at, len);
  return 0;
}

static int on_headers_complete(http_parser *parser) {
  struct ql_sim_request *request = parser->data;
  end_value(request);
  if (parser->content_length != ULLONG_MAX && parser->content_length > request->body_limit)
    return -1;
  const char *name, *value;
  for (size_t i = 0; ql_sim_request_header(request, i, &name, &value); i++)
    if (strcmp(name, "expect") == 0 && strcasecmp(value, "100-continue") == 0)
      request->wants_continue = true;
  return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len) {
  struct ql_sim_request *request = parser->data;
  request->wants_continue = false; // the client did not wait
  return ql_buf_add(&request->body, at, len) ? 0 : -1;
}

static int on_message_complete(http_parser *parser) {
  struct ql_sim_request *request = parser->data;
  request->wants_continue = false;
  http_parser_pause(parser, 1);
  return 0;
}

static const http_parser_settings settings = {.on_message_begin = on_message_begin,
                                              .on_url = on_url,
                                              .on_header_field = on_header_field,
                                              .on_header_value = on_header_value,
                                              .on_headers_complete = on_headers_complete,
                                              .on_body = on_body,
                                              .on_message_complete = on_message_complete};

void ql_sim_request_init(struct ql_sim_request *request, size_t body_limit) {
  memset(request, 0, sizeof *request);
  http_parser_init(&request->parser, HTTP_REQUEST);
  request->parser.data = request;
  request->body_limit = body_limit;
  ql_buf_init(&request->target, 0); // http_parser limits the head itself
  ql_buf_init(&request->headers, 0);
  ql_buf_init(&request->body, body_limit);
}

void ql_sim_request_free(struct ql_sim_request *request) {
  ql_buf_free(&request->target);
  ql_buf_free(&request->headers);
  ql_buf_free(&request->body);
}

enum ql_sim_fed ql_sim_request_feed(struct ql_sim_request *request, const char *bytes, size_t len, size_t *used) {
  *used = http_parser_execute(&request->parser, &settings, bytes, len);
  enum http_errno cause = HTTP_PARSER_ERRNO(&request->parser);
  if (cause == HPE_PAUSED) {
    http_parser_pause(&request->parser, 0);
    return QL_SIM_WHOLE;
  }
  if (cause == HPE_OK && !request->parser.upgrade)
    return QL_SIM_MORE;
  *used = len;
  if (cause == HPE_CB_headers_complete || cause == HPE_CB_body)
    request->refusal = 413;
  else
    request->refusal = cause == HPE_HEADER_OVERFLOW ? 431 : 400;
  return QL_SIM_REFUSED;
}

bool ql_sim_request_keeps_alive(const struct ql_sim_request *request) {
  return !request->refusal && !request->parser.upgrade && http_should_keep_alive(&request->parser);
}

bool ql_sim_request_header(const struct ql_sim_request *request, size_t index, const char **name, const char **value) {
  if (index >= request->header_count)
    return false;
  const char *at = request->headers.data;
  for (; index; index--)
    for (int part = 0; part < 2; part++)
      at += strlen(at) + 1;
  *name = at;
  *value = at + strlen(at) + 1;
  return true;
}
