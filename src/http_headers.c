// SPDX-License-Identifier: Apache-2.0
// http_headers: response headers in one buffer, "name NUL value NUL" each, names in lower case.
//
// Pure. A name that comes again is joined to its first value by ", " as RFC 9110 5.3 has it, so that
// every reader finds one value per name. A reply has a dozen or two: a linear search beats a table.

#include "http_internal.h"

#include <stdlib.h>
#include <string.h>

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }
static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// The place of the value of a name, or SIZE_MAX.
static size_t find(const struct ql_buf *headers, const char *name, size_t len) {
  for (size_t at = 0; at < headers->len;) {
    size_t name_len = strlen(headers->data + at);
    size_t value_at = at + name_len + 1;
    if (name_len == len && memcmp(headers->data + at, name, len) == 0)
      return value_at;
    at = value_at + strlen(headers->data + value_at) + 1;
  }
  return SIZE_MAX;
}

static void join(struct ql_buf *headers, size_t value_at, const char *value, size_t len) {
  size_t end = value_at + strlen(headers->data + value_at);
  size_t tail = headers->len - end;
  char *rest = ql_malloc(tail);
  memcpy(rest, headers->data + end, tail);
  headers->len = end;
  ql_buf_adds(headers, ", ");
  ql_buf_add(headers, value, len);
  ql_buf_add(headers, rest, tail);
  free(rest);
}

bool ql_http_headers_add(struct ql_buf *headers, const char *line, size_t len) {
  if (headers->len + len + 2 > QL_HTTP_MAX_HEADER_BYTES)
    return false;
  const char *colon = memchr(line, ':', len);
  if (!colon || colon == line || memchr(line, '\0', len))
    return true; // not a header; curl has let it pass, so do we
  const char *value = colon + 1, *end = line + len;
  while (value < end && is_blank(*value))
    value++;
  while (end > value && is_blank(end[-1]))
    end--;
  size_t name_at = headers->len, name_len = (size_t)(colon - line);
  ql_buf_add(headers, line, name_len);
  ql_buf_add(headers, "", 1);
  for (size_t i = name_at; i < name_at + name_len; i++)
    headers->data[i] = lower(headers->data[i]);
  struct ql_buf before = {.data = headers->data, .len = name_at};
  size_t old = find(&before, headers->data + name_at, name_len);
  if (old != SIZE_MAX) {
    headers->len = name_at;
    join(headers, old, value, (size_t)(end - value));
    return true;
  }
  ql_buf_add(headers, value, (size_t)(end - value));
  ql_buf_add(headers, "", 1);
  return true;
}

const char *ql_http_headers_find(const struct ql_buf *headers, const char *lower_name) {
  size_t at = find(headers, lower_name, strlen(lower_name));
  return at == SIZE_MAX ? NULL : headers->data + at;
}

const char *ql_http_reply_header(const struct ql_http_reply *reply, const char *lower_name) {
  return ql_http_headers_find(&reply->headers, lower_name);
}

const char *ql_http_event_data(const struct ql_http_reply *reply, size_t index, size_t *len) {
  const struct ql_http_event *event = &reply->events[index];
  *len = event->data_len;
  if (event->joined_at == QL_HTTP_IN_BODY)
    return reply->body.data + (event->end_offset - event->data_len);
  return reply->joined.data + event->joined_at;
}

void ql_http_reply_free(struct ql_http_reply *reply) {
  if (!reply)
    return;
  ql_buf_free(&reply->headers);
  ql_buf_free(&reply->body);
  ql_buf_free(&reply->joined);
  free(reply->events);
  free(reply->error);
  free(reply);
}
