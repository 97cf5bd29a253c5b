// SPDX-License-Identifier: Apache-2.0
// sim_conn: one connection of the simulated server; private to sim.c and sim_conn.c.
//
// Here is what the two share: the server's record, the connection's, and the three things sim.c asks of a
// connection. Not obvious: the connection *is* the exchange, since one waits for the other (see sim.h).
#ifndef QL_SIM_CONN_H
#define QL_SIM_CONN_H

#include "sim.h"
#include "sim_log.h"
#include "sim_pace.h"
#include "sim_request.h"

#include <uv.h>

enum { ql_sim_read_bytes = 65536, ql_sim_late_slots = 40 };

union ql_sim_io {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_tcp_t tcp;
  uv_pipe_t pipe;
};

struct ql_sim_listener {
  union ql_sim_io io;
  struct ql_sim *sim;
  bool open;
};

struct ql_sim_exchange {
  union ql_sim_io io;
  struct ql_sim *sim;
  struct ql_sim_exchange *next, *before, *next_waiting;
  bool is_tcp;
  bool closing; // uv_close is under way: touch nothing
  bool ending;  // the last reply is out, FIN is under way: what still comes is dropped
  bool answered, pumping;
  bool running, waiting; // for a place among max_running
  bool stuck;            // the client reads slowly
  bool held;             // the client writes too much

  struct ql_sim_request request;
  struct ql_buf input; // pipelined bytes that wait for the reply before them

  struct ql_sim_plan *plan; // not NULL: answering
  size_t step;
  uint64_t start_ns;
  uint64_t number; // of the request, over all connections
  struct ql_sim_turn turn;
  uv_shutdown_t shutdown;
};

struct ql_sim {
  struct ql_sim_listener tcp, unix_socket;
  struct ql_sim_options options;
  char *unix_path;
  struct ql_sim_pace *pace;
  struct ql_sim_log *log;
  struct ql_sim_exchange *first, *first_waiting, *last_waiting;
  struct ql_sim_stats stats;
  uint64_t late[ql_sim_late_slots]; // replies' events by the power of two of their lateness
  size_t handles;                   // that must still call back before the memory may go
  bool closed;
  char read_space[ql_sim_read_bytes];
};

void ql_sim_conn_accept(struct ql_sim_listener *listener);
void ql_sim_conn_close(struct ql_sim_exchange *conn, bool reset);
void ql_sim_conn_on_due(struct ql_sim_turn *turn);
void ql_sim_release(struct ql_sim *sim); // one handle less

#endif
