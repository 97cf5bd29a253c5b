// SPDX-License-Identifier: Apache-2.0
// sim_conn: requests of one connection come in, plans go out. See sim_conn.h.
//
// Life of a connection: reading (bytes go into the parser) → answering (bytes are kept, the plan's steps are
// sent when due) → reading again, or closing. Reading never stops while answering, since that is how a client
// that has left is noticed; only a client that sends without end is held back. A reply that is out at once
// returns through pump, not by recursion, so a long pipeline does not grow the stack.
#include "sim_conn.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { kept_input_bytes = 1 << 20, queued_output_bytes = 1 << 18 };

static void pump(struct ql_sim_exchange *conn);
static void start_waiting(struct ql_sim *sim);
static void start_reading(struct ql_sim_exchange *conn);

// ---- closing -----------------------------------------------------------------------------------------

static void on_conn_closed(uv_handle_t *handle) {
  struct ql_sim_exchange *conn = handle->data;
  ql_sim_request_free(&conn->request);
  ql_buf_free(&conn->input);
  ql_sim_release(conn->sim);
  free(conn);
}

static void leave_waiting(struct ql_sim *sim, struct ql_sim_exchange *conn) {
  struct ql_sim_exchange **link = &sim->first_waiting, *before = NULL;
  for (; *link && *link != conn; link = &(*link)->next_waiting)
    before = *link;
  if (!*link)
    return;
  *link = conn->next_waiting;
  if (sim->last_waiting == conn)
    sim->last_waiting = before;
  conn->waiting = false;
  sim->stats.waiting--;
}

static void drop_plan(struct ql_sim_exchange *conn) {
  struct ql_sim *sim = conn->sim;
  ql_sim_pace_drop(sim->pace, &conn->turn);
  if (conn->waiting)
    leave_waiting(sim, conn);
  ql_sim_plan_free(conn->plan);
  conn->plan = NULL;
  conn->stuck = false;
  if (conn->running) {
    conn->running = false;
    sim->stats.running--;
    start_waiting(sim);
  }
}

void ql_sim_conn_close(struct ql_sim_exchange *conn, bool reset) {
  if (conn->closing)
    return;
  conn->closing = true;
  struct ql_sim *sim = conn->sim;
  if (conn->plan) {
    sim->stats.cancelled++;
    drop_plan(conn);
  }
  sim->stats.open--;
  if (conn->before)
    conn->before->next = conn->next;
  else
    sim->first = conn->next;
  if (conn->next)
    conn->next->before = conn->before;
  if (!reset || !conn->is_tcp || uv_tcp_close_reset(&conn->io.tcp, on_conn_closed))
    uv_close(&conn->io.handle, on_conn_closed);
}

static void on_shut(uv_shutdown_t *shutdown, int status) {
  (void)status;
  ql_sim_conn_close(shutdown->data, false);
}

static void finish_output(struct ql_sim_exchange *conn) {
  conn->ending = true;
  conn->shutdown.data = conn;
  if (uv_shutdown(&conn->shutdown, &conn->io.stream, on_shut))
    ql_sim_conn_close(conn, false);
}

// ---- sending -----------------------------------------------------------------------------------------

struct pending_write {
  uv_write_t write;
  char bytes[];
};

static void on_written(uv_write_t *write, int status) {
  struct ql_sim_exchange *conn = write->data;
  free(write);
  if (conn->closing)
    return;
  if (status < 0)
    ql_sim_conn_close(conn, false);
  else if (conn->stuck && uv_stream_get_write_queue_size(&conn->io.stream) == 0) {
    conn->stuck = false;
    ql_sim_pace_put(conn->sim->pace, &conn->turn, ql_now_ns());
  }
}

static bool send_bytes(struct ql_sim_exchange *conn, char *bytes, size_t len) {
  if (uv_stream_get_write_queue_size(&conn->io.stream) == 0) {
    uv_buf_t whole = uv_buf_init(bytes, (unsigned)len);
    int sent = uv_try_write(&conn->io.stream, &whole, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
      ql_sim_conn_close(conn, false);
      return false;
    }
    if (sent > 0)
      bytes += sent, len -= (size_t)sent;
    if (!len)
      return true;
  }
  struct pending_write *pending = ql_malloc(sizeof *pending + len);
  memcpy(pending->bytes, bytes, len);
  pending->write.data = conn;
  uv_buf_t rest = uv_buf_init(pending->bytes, (unsigned)len);
  if (uv_write(&pending->write, &conn->io.stream, &rest, 1, on_written)) {
    free(pending);
    ql_sim_conn_close(conn, false);
    return false;
  }
  return true;
}

static void note_lateness(struct ql_sim *sim, uint64_t late_ns) {
  if (late_ns > sim->stats.late_max_ns)
    sim->stats.late_max_ns = late_ns;
  unsigned slot = 0;
  while (late_ns >> slot && slot < ql_sim_late_slots - 1)
    slot++;
  sim->late[slot]++;
  sim->stats.events++;
}

static void finish_plan(struct ql_sim_exchange *conn) {
  struct ql_sim_plan *plan = conn->plan;
  enum ql_sim_end end = plan->end;
  if (conn->sim->log)
    ql_sim_log_end(conn->sim->log, conn->number, ql_now_ns());
  if (end == QL_SIM_HANG)
    return; // stays among the running until the client leaves
  if (plan->finish)
    conn->sim->stats.finished[plan->finish]++;
  drop_plan(conn);
  if (end == QL_SIM_RST)
    ql_sim_conn_close(conn, true);
  else if (end == QL_SIM_CLOSE)
    finish_output(conn);
  else if (!conn->pumping)
    pump(conn);
}

// Send every step that is due, then wait for the next.
static void advance(struct ql_sim_exchange *conn) {
  struct ql_sim_plan *plan = conn->plan;
  uint64_t now_ns = ql_now_ns();
  while (conn->step < plan->step_count) {
    struct ql_sim_step *step = &plan->steps[conn->step];
    uint64_t due_ns = conn->start_ns + step->due_ns;
    if (due_ns > now_ns) {
      ql_sim_pace_put(conn->sim->pace, &conn->turn, due_ns);
      return;
    }
    if (uv_stream_get_write_queue_size(&conn->io.stream) > queued_output_bytes) {
      conn->stuck = true; // the client reads slowly: on_written goes on
      return;
    }
    if (plan->stream)
      note_lateness(conn->sim, now_ns - due_ns);
    uint64_t sent_ns = step->stamps || conn->sim->log ? ql_now_ns() : now_ns;
    if (step->stamps)
      ql_sim_plan_stamp(plan, step, sent_ns);
    ql_sim_log_sent(conn->sim->log, conn->number, step->events, sent_ns);
    conn->step++;
    if (!send_bytes(conn, plan->wire.data + step->offset, step->len))
      return;
  }
  finish_plan(conn);
}

void ql_sim_conn_on_due(struct ql_sim_turn *turn) {
  advance((struct ql_sim_exchange *)(void *)((char *)turn - offsetof(struct ql_sim_exchange, turn)));
}

static void take_place(struct ql_sim_exchange *conn) {
  if (conn->plan->finish) {
    conn->running = true;
    conn->sim->stats.running++;
  }
  conn->start_ns = ql_now_ns();
  conn->step = 0;
}

static bool is_full(const struct ql_sim *sim) {
  return sim->options.max_running && sim->stats.running >= sim->options.max_running;
}

static void start_waiting(struct ql_sim *sim) {
  while (sim->first_waiting && !is_full(sim) && !sim->closed) {
    struct ql_sim_exchange *conn = sim->first_waiting;
    leave_waiting(sim, conn);
    take_place(conn);
    ql_sim_pace_put(sim->pace, &conn->turn, conn->start_ns); // not at once: this may be inside another's end
  }
}

void ql_sim_answer(struct ql_sim_exchange *conn, struct ql_sim_plan *plan) {
  struct ql_sim *sim = conn->sim;
  if (conn->answered || conn->closing) {
    ql_sim_plan_free(plan);
    return;
  }
  conn->answered = true;
  conn->plan = plan;
  ql_sim_plan_lay(plan, conn->request.parser.http_minor, ql_sim_request_keeps_alive(&conn->request));
  if (!plan->finish || !is_full(sim)) {
    take_place(conn);
    advance(conn);
    return;
  }
  conn->waiting = true;
  conn->next_waiting = NULL;
  if (sim->last_waiting)
    sim->last_waiting->next_waiting = conn;
  else
    sim->first_waiting = conn;
  sim->last_waiting = conn;
  sim->stats.waiting++;
}

static void answer_plainly(struct ql_sim_exchange *conn, int status, const char *type, const char *message) {
  struct ql_sim_plan *plan = ql_sim_plan_new(status);
  ql_sim_plan_header(plan, "Content-Type", "application/json");
  ql_buf_addf(&plan->text, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":%d}}", message, type,
              status);
  ql_sim_answer(conn, plan);
}

// ---- reading -----------------------------------------------------------------------------------------

static void refuse(struct ql_sim_exchange *conn) {
  ql_buf_clear(&conn->input);
  int status = conn->request.refusal;
  if (status == 413)
    answer_plainly(conn, status, "BadRequestError", "the request's body is too large");
  else if (status == 431)
    answer_plainly(conn, status, "BadRequestError", "the request's head is too large");
  else
    answer_plainly(conn, status, "BadRequestError", "Invalid HTTP request received.");
}

static const char *header_of(const struct ql_sim_exchange *conn, const char *wanted) {
  const char *name, *value;
  for (size_t i = 0; ql_sim_request_header(&conn->request, i, &name, &value); i++)
    if (strcmp(name, wanted) == 0)
      return value;
  return NULL;
}

// Parse until one request is whole or the bytes are used up; returns how many were used.
static size_t take_bytes(struct ql_sim_exchange *conn, const char *bytes, size_t len) {
  struct ql_sim *sim = conn->sim;
  size_t used = 0;
  conn->answered = false;
  switch (ql_sim_request_feed(&conn->request, bytes, len, &used)) {
  case QL_SIM_MORE:
    if (conn->request.wants_continue) {
      static char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
      conn->request.wants_continue = false;
      send_bytes(conn, go_on, sizeof go_on - 1);
    }
    break;
  case QL_SIM_WHOLE:
    conn->number = ++sim->stats.requests;
    if (sim->log)
      ql_sim_log_request(sim->log, conn->number, conn->request.target.data, header_of(conn, "x-request-id"), ql_now_ns());
    sim->options.on_request(conn, sim->options.arg);
    if (!conn->answered)
      answer_plainly(conn, 500, "InternalServerError", "the simulated server has failed, see its log");
    ql_sim_pace_run(sim->pace); // of a thousand requests in one turn, the last must not hold up the first's events
    break;
  case QL_SIM_REFUSED:
    refuse(conn);
    break;
  }
  return used;
}

// Go on with the bytes that waited for the reply before them.
static void pump(struct ql_sim_exchange *conn) {
  conn->pumping = true;
  while (conn->input.len && !conn->plan && !conn->closing && !conn->ending) {
    size_t used = take_bytes(conn, conn->input.data, conn->input.len);
    ql_buf_drop(&conn->input, used);
  }
  conn->pumping = false;
  if (conn->held && !conn->closing && conn->input.len < kept_input_bytes)
    start_reading(conn);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *space) {
  (void)suggested;
  struct ql_sim_exchange *conn = handle->data;
  *space = uv_buf_init(conn->sim->read_space, ql_sim_read_bytes);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *space) {
  struct ql_sim_exchange *conn = stream->data;
  if (len < 0) {
    ql_sim_conn_close(conn, false);
    return;
  }
  size_t used = 0;
  if (!conn->plan && !conn->input.len && !conn->ending) { // the usual case: nothing waits, no copy
    conn->pumping = true;
    used = take_bytes(conn, space->base, (size_t)len);
    conn->pumping = false;
  }
  if (conn->closing || conn->ending || used == (size_t)len)
    return;
  ql_buf_add(&conn->input, space->base + used, (size_t)len - used);
  if (conn->input.len >= kept_input_bytes) { // pipelines without end: the kernel may hold the rest
    conn->held = true;
    uv_read_stop(stream);
  }
  if (!conn->plan)
    pump(conn);
}

static void start_reading(struct ql_sim_exchange *conn) {
  conn->held = false;
  uv_read_start(&conn->io.stream, on_alloc, on_read);
}

void ql_sim_conn_accept(struct ql_sim_listener *listener) {
  uv_stream_t *stream = &listener->io.stream;
  struct ql_sim *sim = listener->sim;
  struct ql_sim_exchange *conn = ql_calloc(1, sizeof *conn);
  conn->sim = sim;
  conn->is_tcp = listener == &sim->tcp;
  if (conn->is_tcp)
    uv_tcp_init(stream->loop, &conn->io.tcp);
  else
    uv_pipe_init(stream->loop, &conn->io.pipe, 0);
  conn->io.handle.data = conn;
  ql_sim_request_init(&conn->request, sim->options.body_limit);
  ql_buf_init(&conn->input, 0);
  conn->next = sim->first;
  if (sim->first)
    sim->first->before = conn;
  sim->first = conn;
  sim->handles++;
  sim->stats.open++;
  if (uv_accept(stream, &conn->io.stream)) {
    ql_sim_conn_close(conn, false);
    return;
  }
  sim->stats.accepted++;
  if (conn->is_tcp)
    uv_tcp_nodelay(&conn->io.tcp, 1);
  start_reading(conn);
}
