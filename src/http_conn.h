// SPDX-License-Identifier: Apache-2.0
// http_conn: connections of the plain transport, from finding the address to being kept for the next request.
//
// Belongs to one I/O thread. A peer is a place to connect to, known by its text; its kept connections are used
// again, the latest first. What a connection says goes to http_plain.c by the three functions at the end.
// Names: numbers, UNIX sockets and localhost are known at once, 127.0.0.1 before ::1; others are looked up by a
// thread of their own, one per name, and asked for again when the answer is a minute old.
#ifndef QL_HTTP_CONN_H
#define QL_HTTP_CONN_H

#include "http_answer.h"
#include "http_internal.h"

enum ql_http_conn_state { QL_HTTP_CONN_NAMING, QL_HTTP_CONN_CONNECTING, QL_HTTP_CONN_BUSY, QL_HTTP_CONN_IDLE };

struct ql_http_conn {
  struct ql_http_watch watch; // first: epoll leads here
  struct ql_http_io *io;
  struct ql_http_peer *peer;
  struct ql_http_job *job;          // NULL: idle
  struct ql_http_conn *prev, *next; // idle: of its peer; naming: those that wait; else the graves
  struct ql_http_alarm alarm;       // to try again, when a UNIX socket's queue was full
  enum ql_http_conn_state state;
  bool is_reused;
  uint8_t begin, tried; // of the peer's addresses: the first, and how many will not do
  int reason;      // errno of the latest that failed
  uint32_t events; // what epoll was asked for
  size_t sent;     // of the request
  struct ql_http_answer answer;
};

// A kept connection to the job's peer, or NULL.
struct ql_http_conn *ql_http_conn_take(struct ql_http_io *io, struct ql_http_job *job);
// Begins a new one for the job; it may have failed, by ql_http_plain_unconnected, when this returns.
void ql_http_conn_open(struct ql_http_io *io, struct ql_http_job *job);
void ql_http_conn_keep(struct ql_http_conn *conn);  // idle from now on, if there is room
void ql_http_conn_close(struct ql_http_conn *conn); // also a kept one; its memory goes at the end of the turn
void ql_http_conn_want(struct ql_http_conn *conn, uint32_t events);
void ql_http_conns_bury(struct ql_http_io *io);  // at the end of a turn
void ql_http_conns_close(struct ql_http_io *io); // no job has one any more

// http_plain.c
void ql_http_plain_connected(struct ql_http_conn *conn);
void ql_http_plain_unconnected(struct ql_http_conn *conn, const char *what, const char *reason);
void ql_http_plain_ready(struct ql_http_conn *conn, uint32_t events);

#endif
