// SPDX-License-Identifier: Apache-2.0
// sim: the transport of the simulated server: HTTP/1.1 in, timed bytes out.
//
// Takes whole requests from any number of keep-alive connections (TCP or UNIX socket), asks its owner for a
// plan, and carries the plan out on the main loop with a timer of its own. Knows nothing of what is asked or
// answered. Touches libuv and http_parser. Not obvious: a pipelined request waits, unparsed, until the reply
// before it has left, so each connection has one exchange at a time and the exchange is the connection.
#ifndef QL_SIM_H
#define QL_SIM_H

#include "base.h"
#include "loop.h"
#include "sim_plan.h"

struct ql_sim;
struct ql_sim_exchange; // valid during on_request only

struct ql_sim_options {
  const char *host;        // NULL: no TCP
  int port;                // 0: any free one
  const char *unix_socket; // NULL: none; a stale socket file there is replaced
  size_t body_limit;       // bytes of a request's body; beyond it 413
  const char *send_log;    // NULL: none; when requests were received and pieces sent (sim_log.h)
  bool reuse_port;         // SO_REUSEPORT: others may listen there too
  size_t max_running;      // counted replies at once, others wait their turn; 0: no limit
  // Must call ql_sim_answer before it returns, else the client gets a 500.
  void (*on_request)(struct ql_sim_exchange *exchange, void *arg);
  void *arg;
};

struct ql_sim_stats {
  uint64_t accepted, requests, events, cancelled; // cancelled: the client left before the reply was out
  uint64_t finished[QL_SIM_FINISHES];
  size_t open, running, waiting;
  uint64_t late_max_ns, late_p99_ns; // actual minus planned send; p99 is the upper edge of a power of two
};

struct ql_sim *ql_sim_open(struct ql_loop *loop, const struct ql_sim_options *options, struct ql_err *err);
void ql_sim_close(struct ql_sim *sim); // drops all connections; memory goes on the loop's next turns
int ql_sim_port(const struct ql_sim *sim);
void ql_sim_read_stats(const struct ql_sim *sim, struct ql_sim_stats *stats);
void ql_sim_set_max_running(struct ql_sim *sim, size_t max_running);

const char *ql_sim_method(const struct ql_sim_exchange *exchange);
const char *ql_sim_target(const struct ql_sim_exchange *exchange); // path and query as sent
const char *ql_sim_body(const struct ql_sim_exchange *exchange, size_t *len);
// The index-th header, its name in lower case; false when there are no more.
bool ql_sim_header(const struct ql_sim_exchange *exchange, size_t index, const char **name, const char **value);
// Takes the plan.
void ql_sim_answer(struct ql_sim_exchange *exchange, struct ql_sim_plan *plan);

#endif
