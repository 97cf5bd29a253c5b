// SPDX-License-Identifier: Apache-2.0
// http_wire: a request as the plain transport sends it, head and body in one piece.
//
// Runs on the main thread. One allocation holds the names and, but for a stream, the bytes; so the I/O thread has one
// call to make for a request and nothing to put together.

#include "http_internal.h"

#include <stdio.h>
#include <string.h>

static void add(char **at, const char *bytes, size_t len) {
  memcpy(*at, bytes, len);
  *at += len;
}
#define ADD_TEXT(at, text) add(at, text, sizeof(text) - 1)

static void add_text(char **at, const char *text) { add(at, text, strlen(text)); }

static void add_number(char **at, size_t number) {
  char digits[24];
  int len = snprintf(digits, sizeof digits, "%zu", number);
  add(at, digits, (size_t)len);
}

// "host" or "host:port" as the Host header has it: 80 is not spoken.
static void add_host(char **at, const struct ql_http_url *url) {
  add(at, url->host, url->host_len);
  if (!url->port || (url->port_len == 2 && memcmp(url->port, "80", 2) == 0))
    return;
  ADD_TEXT(at, ":");
  add(at, url->port, url->port_len);
}

static void add_head(char **at, const struct ql_http_request *request, const struct ql_http_url *url,
                     const struct ql_http_header_facts *facts, const char *method, bool has_body) {
  add_text(at, method);
  ADD_TEXT(at, " ");
  if (!url->target_len || url->target[0] != '/')
    ADD_TEXT(at, "/");
  add(at, url->target, url->target_len);
  ADD_TEXT(at, " HTTP/1.1\r\n");
  if (!facts->has_host) {
    ADD_TEXT(at, "Host: ");
    add_host(at, url);
    ADD_TEXT(at, "\r\n");
  }
  if (!facts->has_accept)
    ADD_TEXT(at, "Accept: */*\r\n");
  for (const char *const *header = request->headers; header && *header; header++) {
    add_text(at, *header);
    ADD_TEXT(at, "\r\n");
  }
  if (request->body && !facts->has_type)
    ADD_TEXT(at, "Content-Type: application/json\r\n");
  if (!facts->has_agent)
    ADD_TEXT(at, "User-Agent: qlua\r\n");
  if (has_body) {
    ADD_TEXT(at, "Content-Length: ");
    add_number(at, request->body_len);
    ADD_TEXT(at, "\r\n");
  }
  ADD_TEXT(at, "\r\n");
}

#define HEAD_ROOM 256 // for what add_head adds by itself

void ql_http_wire_write(struct ql_http_job *job, const struct ql_http_request *request, const struct ql_http_url *url,
                       const struct ql_http_header_facts *facts) {
  const char *method = request->method ? request->method : request->body ? "POST" : "GET";
  job->wire.is_head = strcmp(method, "HEAD") == 0;
  bool has_body = !job->wire.is_head && (request->body || strcmp(method, "POST") == 0);
  size_t host_size = url->host_len + url->port_len + 1;
  size_t unix_size = request->unix_socket ? strlen(request->unix_socket) : 0;
  size_t where_len = job->where ? 0 : (size_t)(url->target - url->host) + url->path_len + sizeof "http:///";
  size_t names_size = where_len + unix_size + host_size + 16;
  size_t wire_size = strlen(method) + url->target_len + host_size + facts->bytes + HEAD_ROOM +
                     (has_body ? request->body_len : 0);
  job->arena = ql_malloc(names_size + (request->sse ? 0 : wire_size));
  char *at = job->arena;
  if (!job->where) {
    size_t path_len = url->path_len < 200 ? url->path_len : 200;
    job->where = at;
    ADD_TEXT(&at, "http://");
    add(&at, url->host, (size_t)(url->target - url->host) + path_len);
    add(&at, path_len ? "" : "/", path_len ? 1 : 2); // with its end
  }
  job->wire.peer = at;
  if (request->unix_socket) {
    ADD_TEXT(&at, "unix ");
    add(&at, request->unix_socket, unix_size);
  } else {
    add(&at, url->host, url->host_len);
    ADD_TEXT(&at, ":");
    add(&at, url->port ? url->port : "80", url->port ? url->port_len : 2);
  }
  ADD_TEXT(&at, "\0");
  if (request->sse)
    at = job->wire.memory = ql_malloc(wire_size);
  job->wire.bytes = at;
  add_head(&at, request, url, facts, method, has_body);
  if (has_body && request->body_len)
    add(&at, request->body, request->body_len);
  job->wire.len = (size_t)(at - job->wire.bytes);
  struct ql_http_request *r = &job->request;
  r->method = r->url = r->body = r->unix_socket = r->ca_file = r->pin = NULL;
  r->headers = NULL;
}
