// SPDX-License-Identifier: Apache-2.0
// http_url: takes an ordinary http:// address apart without libcurl, which needs a dozen allocations for it.
//
// Pure. Only what needs no thought is taken: no user, no fragment, no dot segments, no character that would have to
// be escaped. Whatever else there is, libcurl's parser knows, and gives a form that is ordinary.

#include "http_internal.h"

#include <string.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_name(char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '_'; }
static bool is_address(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}
static bool is_target(char c) { return c > ' ' && c < 127 && !strchr("\"#<>\\^`{|}", c); }

static size_t run_of(const char *text, bool (*is_member)(char)) {
  size_t len = 0;
  while (text[len] && is_member(text[len]))
    len++;
  return len;
}

static bool split_host(const char **at, struct ql_http_url *parts) {
  parts->host = *at;
  if (**at != '[') {
    parts->host_len = run_of(*at, is_name);
    *at += parts->host_len;
    return parts->host_len > 0;
  }
  size_t len = run_of(*at + 1, is_address);
  if (!len || (*at)[len + 1] != ']')
    return false;
  parts->host_len = len + 2;
  *at += len + 2;
  return true;
}

static bool split_port(const char **at, struct ql_http_url *parts) {
  parts->port = NULL;
  parts->port_len = 0;
  if (**at != ':')
    return true;
  parts->port = *at + 1;
  parts->port_len = run_of(parts->port, is_digit);
  *at = parts->port + parts->port_len;
  unsigned number = 0;
  for (size_t i = 0; i < parts->port_len && i < 6; i++)
    number = number * 10 + (unsigned)(parts->port[i] - '0');
  return parts->port_len > 0 && parts->port_len < 6 && parts->port[0] != '0' && number < 65536;
}

bool ql_http_url_split(const char *url, struct ql_http_url *parts) {
  if (strncmp(url, "http://", 7) != 0)
    return false;
  const char *at = url + 7;
  if (!split_host(&at, parts) || !split_port(&at, parts) || (*at && *at != '/' && *at != '?'))
    return false;
  parts->target = at;
  parts->target_len = run_of(at, is_target);
  const char *query = memchr(at, '?', parts->target_len);
  parts->path_len = query ? (size_t)(query - at) : parts->target_len;
  return !at[parts->target_len] && !memmem(at, parts->path_len, "/.", 2);
}
