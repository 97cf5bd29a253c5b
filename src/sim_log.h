// SPDX-License-Identifier: Apache-2.0
// sim_log: when the simulated server had each request whole and sent each piece of its reply; private to sim.
//
// JSON lines, by which a client's schedule and stamps can be checked from the other side. Touches stdio. Not
// obvious: lines are only buffered while it serves, so that the log costs the sends little; they are on disk
// once the server is closed.
#ifndef QL_SIM_LOG_H
#define QL_SIM_LOG_H

#include "base.h"

struct ql_sim_log;

struct ql_sim_log *ql_sim_log_open(const char *path, struct ql_err *err);
void ql_sim_log_close(struct ql_sim_log *log); // NULL is fine; so it is below
// id: the client's own name for the request, or NULL
void ql_sim_log_request(struct ql_sim_log *log, uint64_t number, const char *target, const char *id, uint64_t at_ns);
// events: how many have been sent whole with this piece
void ql_sim_log_sent(struct ql_sim_log *log, uint64_t number, size_t events, uint64_t at_ns);
void ql_sim_log_end(struct ql_sim_log *log, uint64_t number, uint64_t at_ns);

#endif
