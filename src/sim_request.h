// SPDX-License-Identifier: Apache-2.0
// sim_request: bytes of a connection become whole HTTP/1.1 requests.
//
// Touches http_parser only; no socket. Not obvious: feeding stops right after each whole request, so that
// the caller keeps the bytes of the next one until the reply has left (pipelining keeps its order).
#ifndef QL_SIM_REQUEST_H
#define QL_SIM_REQUEST_H

#include "base.h"

#include <http_parser.h>

struct ql_sim_request {
  http_parser parser;
  size_t body_limit;
  struct ql_buf target, headers, body; // headers: name NUL value NUL …, names in lower case
  size_t header_count;
  bool in_value;
  bool wants_continue; // "Expect: 100-continue", and the body has not come yet
  int refusal;         // the HTTP status for a request that cannot be taken
};

enum ql_sim_fed {
  QL_SIM_MORE,    // all bytes used, the request is not whole yet
  QL_SIM_WHOLE,   // a request is whole; the rest belongs to the next
  QL_SIM_REFUSED, // see refusal; the connection cannot go on
};

void ql_sim_request_init(struct ql_sim_request *request, size_t body_limit);
void ql_sim_request_free(struct ql_sim_request *request);
enum ql_sim_fed ql_sim_request_feed(struct ql_sim_request *request, const char *bytes, size_t len, size_t *used);
// May the connection be used again after this request?
bool ql_sim_request_keeps_alive(const struct ql_sim_request *request);
bool ql_sim_request_header(const struct ql_sim_request *request, size_t index, const char **name, const char **value);

#endif
