// SPDX-License-Identifier: Apache-2.0
// http_plain: one request's way over a connection of our own: sent, read, stamped, ended.
//
// Runs on the I/O thread. One readiness is one recvmsg into the thread's buffer; the clock is read before anything
// is done with what came, and the kernel's own stamp, where there is one, replaces that reading. The bytes are
// copied once, into the reply. A read costs no allocation but what its body or events outgrow; see http_body.c.
// A kept connection may have been closed by the server just before it was used: then nothing of an answer comes,
// and the request goes out once more, on a new one, as libcurl does it.

#include "http_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

// ---- the end ------------------------------------------------------------------------------------------

static void complete(struct ql_http_job *job, const struct ql_http_answer *answer) {
  struct ql_http_reply *reply = job->reply;
  ql_http_body_end(job);
  reply->status = answer ? answer->status : 0;
  if (reply->marks.last_byte_ns)
    reply->stamp_source = job->has_user_stamp ? QL_HTTP_USER_STAMP : QL_HTTP_KERNEL_STAMP;
  reply->error = job->failure;
  job->failure = NULL;
  job->conn = NULL;
  ql_http_job_ended(job); // may start another on the connection
}

static void give_up(struct ql_http_conn *conn) {
  struct ql_http_job *job = conn->job;
  conn->job = NULL;
  ql_http_conn_close(conn); // its memory lasts until the end of the turn
  complete(job, &conn->answer);
}

void ql_http_plain_stop(struct ql_http_job *job) { give_up(job->conn); }

void ql_http_plain_unconnected(struct ql_http_conn *conn, const char *what, const char *reason) {
  struct ql_http_job *job = conn->job;
  ql_http_count(&job->part->connect_failures, 1);
  ql_fail(ql_http_failure_of(job), QL_E_CONNECT, "%s: %s: %s", job->where, what, reason);
  give_up(conn);
}

static void say_broken(struct ql_http_conn *conn, const char *doing, int reason) {
  char words[128];
  ql_http_quote(words, sizeof words, strerror(reason));
  ql_fail(ql_http_failure_of(conn->job), QL_E_PROTOCOL, "%s: the connection broke while %s: %s", conn->job->where,
          doing, words);
}

static void say_cut(const struct ql_http_job *job, const struct ql_http_answer *answer, struct ql_err *err) {
  const struct ql_http_reply *reply = job->reply;
  const char *length = ql_http_headers_find(&reply->headers, "content-length");
  bool has_length = length && !ql_http_headers_find(&reply->headers, "transfer-encoding");
  if (!answer->has_bytes)
    ql_fail(err, QL_E_PROTOCOL, "%s: the server closed the connection without an answer", job->where);
  else if (!answer->has_headers)
    ql_fail(err, QL_E_PROTOCOL, "%s: the answer ended inside its headers", job->where);
  else if (has_length)
    ql_fail(err, QL_E_PROTOCOL, "%s: the body ended early: want %s bytes, got %zu", job->where, length,
            reply->body.len);
  else
    ql_fail(err, QL_E_PROTOCOL, "%s: the body ended early, after %zu bytes", job->where, reply->body.len);
}

static void say_end(struct ql_http_job *job, const struct ql_http_answer *answer, enum ql_http_answer_end end) {
  if (job->failure)
    return; // said by whoever refused
  struct ql_err *err = ql_http_failure_of(job);
  char words[128];
  ql_http_quote(words, sizeof words, ql_http_answer_reason(answer));
  if (end == QL_HTTP_ANSWER_LONG_LINE)
    ql_fail(err, QL_E_LIMIT, "%s: a header line is too long", job->where);
  else if (end == QL_HTTP_ANSWER_LONG_HEAD)
    ql_fail(err, QL_E_LIMIT, "%s: want at most %d bytes of headers, got more", job->where, QL_HTTP_MAX_HEADER_BYTES);
  else if (end == QL_HTTP_ANSWER_CUT)
    say_cut(job, answer, err);
  else if (answer->has_headers)
    ql_fail(err, QL_E_PROTOCOL, "%s: the body is broken: %s", job->where, words);
  else
    ql_fail(err, QL_E_PROTOCOL, "%s: want an http/1 answer, got something else: %s", job->where, words);
}

static void finish(struct ql_http_conn *conn, bool has_rest) {
  struct ql_http_job *job = conn->job;
  conn->job = NULL;
  if (conn->answer.can_keep_alive && !has_rest && conn->sent == job->wire.len)
    ql_http_conn_keep(conn);
  else
    ql_http_conn_close(conn);
  // The connection may go to the next job inside complete, and its answer with it.
  const struct ql_http_answer answer = {.status = conn->answer.status};
  complete(job, &answer);
}

// ---- sending ------------------------------------------------------------------------------------------

// Whether nothing was heard on a kept connection, and the request is to go out anew.
static bool retry(struct ql_http_conn *conn) {
  struct ql_http_job *job = conn->job;
  if (!conn->is_reused || conn->answer.has_bytes || job->is_retried)
    return false;
  struct ql_http_io *io = conn->io;
  job->is_retried = true;
  job->connected_ns = job->reply->marks.sent_ns = 0;
  ql_http_count(&job->part->retries, 1);
  conn->job = NULL;
  ql_http_conn_close(conn);
  ql_http_limits_arm(job); // there is a connection to wait for again
  ql_http_conn_open(io, job);
  return true;
}

// What cannot be sent may have been answered already: a failure is kept until the reading says the same.
static void send_rest(struct ql_http_conn *conn) {
  struct ql_http_job *job = conn->job;
  const struct ql_http_wire *wire = &job->wire;
  while (conn->sent < wire->len) {
    ssize_t put = send(conn->watch.fd, wire->bytes + conn->sent, wire->len - conn->sent, MSG_NOSIGNAL);
    if (put > 0) {
      conn->sent += (size_t)put;
      continue;
    }
    if (errno == EINTR)
      continue;
    if (errno == EAGAIN) {
      ql_http_conn_want(conn, EPOLLIN | EPOLLOUT);
      return;
    }
    conn->reason = errno;
    break;
  }
  if (conn->sent == wire->len)
    job->reply->marks.sent_ns = ql_http_io_now(conn->io);
  ql_http_conn_want(conn, EPOLLIN);
}

static int on_body(void *arg, const char *bytes, size_t len);

static void begin(struct ql_http_conn *conn) {
  struct ql_http_job *job = conn->job;
  conn->sent = 0;
  conn->reason = 0;
  ql_http_answer_begin(&conn->answer, job->wire.is_head, &job->reply->headers, on_body, job);
  send_rest(conn);
}

void ql_http_plain_connected(struct ql_http_conn *conn) {
  struct ql_http_job *job = conn->job;
  ql_http_count(&job->part->connections, 1);
  job->connected_ns = job->reply->marks.connect_ns = ql_http_io_now(conn->io);
  ql_http_limits_arm(job);
  begin(conn);
}

void ql_http_plain_start(struct ql_http_job *job) {
  struct ql_http_io *io = job->part->io;
  ql_http_job_start_mark(job);
  struct ql_http_conn *conn = job->request.fresh_connection ? NULL : ql_http_conn_take(io, job);
  if (!conn) {
    ql_http_limits_begin(job);
    ql_http_conn_open(io, job);
    return;
  }
  job->connected_ns = job->reply->marks.start_ns;
  job->conn = conn;
  conn->job = job;
  begin(conn);
  ql_http_limits_begin(job);
}

// ---- reading ------------------------------------------------------------------------------------------

static int on_body(void *arg, const char *bytes, size_t len) {
  struct ql_http_job *job = arg;
  struct ql_http_io *io = job->part->io;
  struct ql_http_marks *marks = &job->reply->marks;
  ql_http_count(&job->part->received_bytes, len);
  marks->last_byte_ns = io->read_ns;
  if (!io->read_has_body) {
    io->read_has_body = true;
    marks->reads++;
    ql_http_count(&job->part->reads, 1);
    if (io->read_by_kernel)
      ql_http_count(&job->part->kernel_reads, 1);
  }
  if (!marks->first_byte_ns)
    ql_http_body_begin(job, job->conn->answer.status, io->read_ns);
  return ql_http_body_take(job, bytes, len, io->read_ns);
}

static uint64_t stamp_in(struct msghdr *message) {
  for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
    struct timespec stamp;
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_TIMESTAMPNS)
      continue;
    memcpy(&stamp, CMSG_DATA(at), sizeof stamp);
    return (uint64_t)stamp.tv_sec * 1000000000u + (uint64_t)stamp.tv_nsec;
  }
  return 0;
}

// Decides which reading of the clock this read has: io->read_ns.
static void stamp(struct ql_http_io *io, struct ql_http_job *job, struct msghdr *message) {
  uint64_t real_ns = message->msg_controllen ? stamp_in(message) : 0, at_ns = 0;
  if (real_ns) {
    if (ql_http_clock_renew(&io->clock, io->now_ns)) {
      atomic_store_explicit(&io->clock_error_ns, io->clock.worst_ns, memory_order_relaxed);
      atomic_store_explicit(&io->clock_steps, io->clock.steps, memory_order_relaxed);
    }
    at_ns = ql_http_clock_map(&io->clock, real_ns, job->reply->marks.start_ns, io->now_ns);
  }
  io->read_by_kernel = at_ns != 0;
  io->read_ns = at_ns ? at_ns : io->now_ns;
  io->read_has_body = false;
  if (at_ns)
    ql_http_hist_add(&job->part->stamp_delay, io->now_ns - at_ns);
  else
    job->has_user_stamp = true;
}

static void on_end_of_stream(struct ql_http_conn *conn, int reason) {
  struct ql_http_job *job = conn->job;
  if (retry(conn))
    return;
  if (conn->reason && !conn->answer.has_bytes) {
    say_broken(conn, "sending", conn->reason);
  } else if (reason) {
    say_broken(conn, "receiving", reason);
  } else {
    enum ql_http_answer_end end = ql_http_answer_close(&conn->answer);
    if (end != QL_HTTP_ANSWER_WHOLE)
      say_end(job, &conn->answer, end);
  }
  give_up(conn);
}

// Once an answer has begun the request is never sent again; ten thousand open streams should not hold their prompts.
static void forget_request(struct ql_http_conn *conn) {
  struct ql_http_wire *wire = &conn->job->wire;
  if (!wire->memory || conn->sent < wire->len)
    return;
  free(wire->memory);
  wire->memory = NULL;
  wire->bytes = NULL;
}

static void on_bytes(struct ql_http_conn *conn, size_t len) {
  struct ql_http_io *io = conn->io;
  struct ql_http_job *job = conn->job;
  forget_request(conn);
  struct ql_http_marks *marks = &job->reply->marks;
  size_t used;
  enum ql_http_answer_end end = ql_http_answer_feed(&conn->answer, io->bytes, len, &used);
  if (!marks->first_byte_ns)
    marks->last_byte_ns = io->read_ns;
  if (end == QL_HTTP_ANSWER_WHOLE) {
    finish(conn, used < len);
  } else if (end != QL_HTTP_ANSWER_OPEN) {
    say_end(job, &conn->answer, end);
    give_up(conn);
  }
}

static void on_readable(struct ql_http_conn *conn) {
  struct ql_http_io *io = conn->io;
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct timespec))];
  } control;
  struct iovec place = {io->bytes, QL_HTTP_READ_BYTES};
  struct msghdr message = {
      .msg_iov = &place, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(conn->watch.fd, &message, 0);
  ql_http_io_now(io); // before anything else
  if (got > 0) {
    stamp(io, conn->job, &message);
    on_bytes(conn, (size_t)got);
  } else if (got == 0) {
    on_end_of_stream(conn, 0);
  } else if (errno != EAGAIN && errno != EINTR) {
    on_end_of_stream(conn, errno);
  }
}

void ql_http_plain_ready(struct ql_http_conn *conn, uint32_t events) {
  if (events & EPOLLOUT && !(events & (EPOLLERR | EPOLLHUP)))
    send_rest(conn);
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
    on_readable(conn);
}
