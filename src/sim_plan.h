// SPDX-License-Identifier: Apache-2.0
// sim_plan: what one simulated reply looks like on the wire, and when each piece of it leaves.
//
// Pure: takes a status, headers, a body or server-sent events with their pauses, and lays them out once
// as wire bytes and timed steps; the transport (sim.c) then only sends. All misbehaviour that a client must
// survive (cut UTF-8, merged events, comments, a reply that ends early) is decided here, so that it can be
// tested byte by byte. Not obvious: steps carry offsets, not pointers, since the wire buffer moves while it
// grows; and a send stamp has a fixed width, so that it can be written over its place just before the send.
#ifndef QL_SIM_PLAN_H
#define QL_SIM_PLAN_H

#include "base.h"

// 20 digits of nanoseconds, as many as 64 bits can need, and 8 of sequence number within the reply.
#define QL_SIM_STAMP "@ns=00000000000000000000;seq=00000000@"

enum ql_sim_end {
  QL_SIM_KEEP = 0, // the connection goes on as HTTP says
  QL_SIM_CLOSE,    // FIN
  QL_SIM_RST,      // reset (a plain close on a UNIX socket)
  QL_SIM_HANG,     // nothing more until the client gives up
};

// What kind of end a counted reply has had, for /metrics.
enum ql_sim_finish { QL_SIM_NOT_COUNTED = 0, QL_SIM_STOP, QL_SIM_LENGTH, QL_SIM_FINISHES };

struct ql_sim_fault {
  enum ql_sim_end end;  // what happens at the place; KEEP with stall_ns is a pause
  size_t after_bytes;   // bytes of the whole reply, head included; 0: see after_events
  size_t after_events;  // used when after_bytes is 0
  uint64_t stall_ns;
};

struct ql_sim_event {
  size_t offset, len; // in text
  uint64_t after_ns;  // since the event before it
};

struct ql_sim_step {
  size_t offset, len; // in wire
  uint64_t due_ns;    // since the start of the reply
  size_t first_stamp, stamps;
  size_t events; // how many events have been sent whole after this step
};

struct ql_sim_plan {
  int status;
  bool stream;           // events in chunks; otherwise one body with its length
  bool raw;              // text goes out as it is, no HTTP at all, and the connection is closed
  bool stamp, crlf;
  enum ql_sim_finish finish; // other than NOT_COUNTED: takes a place among the running
  uint64_t first_ns;     // until the body, or until the first event
  size_t split_bytes;    // each event in chunks of so many bytes
  size_t wire_bytes;     // each write cut into writes of so many bytes, also inside the chunk framing
  size_t coalesce;       // so many events in one chunk
  size_t comments;       // a comment line before every n-th event
  struct ql_sim_fault fault;
  struct ql_buf headers; // "Name: value\r\n" …
  struct ql_buf text;    // the body, or the text of all events
  struct ql_sim_event *events;
  size_t event_count, event_cap;

  // laid out by ql_sim_plan_lay
  struct ql_buf wire;
  struct ql_sim_step *steps;
  size_t step_count, step_cap;
  size_t *stamp_places;
  size_t stamp_count, stamp_cap;
  enum ql_sim_end end;
};

struct ql_sim_plan *ql_sim_plan_new(int status);
void ql_sim_plan_free(struct ql_sim_plan *plan); // NULL is fine
// Carriage returns and line feeds in either are dropped: a header cannot end the head.
void ql_sim_plan_header(struct ql_sim_plan *plan, const char *name, const char *value);
// One server-sent event; each line of data gets its "data: ".
void ql_sim_plan_event(struct ql_sim_plan *plan, const char *data, size_t len, uint64_t after_ns);
// Bytes in the place of an event, as they are.
void ql_sim_plan_bytes(struct ql_sim_plan *plan, const char *bytes, size_t len, uint64_t after_ns);
// Fill wire and steps. http_minor 0 means no chunks; keep_alive false adds "Connection: close".
void ql_sim_plan_lay(struct ql_sim_plan *plan, int http_minor, bool keep_alive);
// Write now_ns and the running number over the stamps of one step.
void ql_sim_plan_stamp(struct ql_sim_plan *plan, const struct ql_sim_step *step, uint64_t now_ns);

#endif
