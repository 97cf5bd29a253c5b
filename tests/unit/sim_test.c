// SPDX-License-Identifier: Apache-2.0
// The simulated server's transport: how plans are laid out (pure), how requests are parsed (pure), and a live
// server on a UNIX or TCP socket with a blocking client on a second thread.
#include "check.h"
#include "sim.h"
#include "sim_request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// ---- plans ----------------------------------------------------------------------------------------------

static struct ql_sim_plan *three_events(void) {
  struct ql_sim_plan *plan = ql_sim_plan_new(200);
  plan->stream = true;
  plan->first_ns = 5;
  ql_sim_plan_event(plan, "a", 1, 0);
  ql_sim_plan_event(plan, "b", 1, 10);
  ql_sim_plan_event(plan, "c", 1, 20);
  return plan;
}

// The wire from the first step after the head on.
static const char *body_of(struct ql_sim_plan *plan) { return strstr(plan->wire.data, "\r\n\r\n") + 4; }

static void a_body_has_its_length(void) {
  struct ql_sim_plan *plan = ql_sim_plan_new(404);
  ql_sim_plan_header(plan, "X-Evil", "a\r\nSet-Cookie: b");
  ql_buf_adds(&plan->text, "hello");
  ql_sim_plan_lay(plan, 1, true);
  CHECK_STR(plan->wire.data, "HTTP/1.1 404 Not Found\r\nServer: qlua-sim\r\nX-Evil: aSet-Cookie: b\r\n"
                             "Content-Length: 5\r\n\r\nhello");
  CHECK_INT(plan->end, QL_SIM_KEEP);
  CHECK_INT(plan->step_count, 1);
  ql_sim_plan_free(plan);
}

static void events_are_chunks_at_their_times(void) {
  struct ql_sim_plan *plan = three_events();
  ql_sim_plan_lay(plan, 1, true);
  CHECK_STR(body_of(plan), "9\r\ndata: a\n\n\r\n9\r\ndata: b\n\n\r\n9\r\ndata: c\n\n\r\n0\r\n\r\n");
  CHECK_INT(plan->step_count, 4);
  CHECK_INT(plan->steps[0].due_ns, 0);
  CHECK_INT(plan->steps[1].due_ns, 5);
  CHECK_INT(plan->steps[2].due_ns, 15);
  CHECK_INT(plan->steps[3].due_ns, 35);
  ql_sim_plan_free(plan);
}

static void without_chunks_the_connection_ends(void) {
  struct ql_sim_plan *plan = three_events();
  ql_sim_plan_lay(plan, 0, true);
  CHECK(strstr(plan->wire.data, "Connection: close\r\n"));
  CHECK(!strstr(plan->wire.data, "chunked"));
  CHECK_STR(body_of(plan), "data: a\n\ndata: b\n\ndata: c\n\n");
  CHECK_INT(plan->end, QL_SIM_CLOSE);
  ql_sim_plan_free(plan);
}

static void events_merge_split_and_carry_comments(void) {
  struct ql_sim_plan *plan = three_events();
  plan->coalesce = 2;
  ql_sim_plan_lay(plan, 1, true);
  CHECK_STR(body_of(plan), "12\r\ndata: a\n\ndata: b\n\n\r\n9\r\ndata: c\n\n\r\n0\r\n\r\n");
  CHECK_INT(plan->steps[1].due_ns, 15);
  ql_sim_plan_free(plan);

  plan = ql_sim_plan_new(200);
  plan->stream = plan->crlf = true;
  plan->split_bytes = 7;
  ql_sim_plan_event(plan, "é\nx", 4, 0);
  ql_sim_plan_lay(plan, 1, true);
  CHECK_STR(body_of(plan), "7\r\ndata: \xc3\r\n7\r\n\xa9\r\ndata\r\n7\r\n: x\r\n\r\n\r\n0\r\n\r\n");
  ql_sim_plan_free(plan);

  plan = three_events();
  plan->comments = 2;
  ql_sim_plan_lay(plan, 1, true);
  CHECK_STR(body_of(plan), "e\r\n: keep-alive\n\n\r\n9\r\ndata: a\n\n\r\n9\r\ndata: b\n\n\r\n"
                           "e\r\n: keep-alive\n\n\r\n9\r\ndata: c\n\n\r\n0\r\n\r\n");
  ql_sim_plan_free(plan);
}

static void writes_are_cut_everywhere_and_lose_nothing(void) {
  struct ql_sim_plan *plan = three_events();
  plan->wire_bytes = 3;
  ql_sim_plan_lay(plan, 1, true);
  size_t total = 0;
  uint64_t before_ns = 0;
  for (size_t i = 0; i < plan->step_count; i++) {
    CHECK_INT(plan->steps[i].offset, total);
    CHECK(plan->steps[i].len <= 3 && plan->steps[i].due_ns >= before_ns);
    before_ns = plan->steps[i].due_ns;
    total += plan->steps[i].len;
  }
  CHECK_INT(total, plan->wire.len);
  ql_sim_plan_free(plan);
}

static void faults_cut_at_bytes_and_at_events(void) {
  for (size_t bytes = 1; bytes < 200; bytes++) {
    struct ql_sim_plan *plan = three_events();
    plan->fault = (struct ql_sim_fault){.end = QL_SIM_RST, .after_bytes = bytes};
    ql_sim_plan_lay(plan, 1, true);
    size_t sent = 0;
    for (size_t i = 0; i < plan->step_count; i++)
      sent += plan->steps[i].len;
    CHECK_INT(sent, bytes < plan->wire.len ? bytes : plan->wire.len);
    CHECK_INT(plan->end, QL_SIM_RST);
    ql_sim_plan_free(plan);
  }
  struct ql_sim_plan *plan = three_events();
  plan->fault = (struct ql_sim_fault){.end = QL_SIM_CLOSE, .after_events = 2};
  ql_sim_plan_lay(plan, 1, true);
  CHECK_INT(plan->step_count, 3);
  ql_sim_plan_free(plan);
}

static void a_stall_delays_what_comes_after(void) {
  struct ql_sim_plan *plan = three_events();
  plan->fault = (struct ql_sim_fault){.after_events = 1, .stall_ns = 1000};
  ql_sim_plan_lay(plan, 1, true);
  CHECK_INT(plan->step_count, 4);
  CHECK_INT(plan->steps[1].due_ns, 5);
  CHECK_INT(plan->steps[2].due_ns, 1015);
  CHECK_INT(plan->steps[3].due_ns, 1035);
  ql_sim_plan_free(plan);
}

static void stamps_are_written_in_place(void) {
  struct ql_sim_plan *plan = ql_sim_plan_new(200);
  plan->stream = plan->stamp = true;
  plan->coalesce = 2;
  ql_sim_plan_event(plan, QL_SIM_STAMP, sizeof QL_SIM_STAMP - 1, 0);
  ql_sim_plan_event(plan, QL_SIM_STAMP, sizeof QL_SIM_STAMP - 1, 0);
  ql_sim_plan_event(plan, QL_SIM_STAMP, sizeof QL_SIM_STAMP - 1, 0);
  ql_sim_plan_lay(plan, 1, true);
  CHECK_INT(plan->steps[1].stamps, 2);
  ql_sim_plan_stamp(plan, &plan->steps[1], 1234567890123456789u);
  ql_sim_plan_stamp(plan, &plan->steps[2], 7);
  CHECK_STR(body_of(plan), "5c\r\ndata: @ns=01234567890123456789;seq=00000000@\n\n"
                           "data: @ns=01234567890123456789;seq=00000001@\n\n\r\n"
                           "2e\r\ndata: @ns=00000000000000000007;seq=00000002@\n\n\r\n0\r\n\r\n");
  ql_sim_plan_free(plan);
}

// ---- requests -------------------------------------------------------------------------------------------

static void requests_come_in_any_pieces(void) {
  static const char bytes[] = "POST /a?b HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nContent-Length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\n\r\n";
  for (size_t piece = 1; piece < sizeof bytes; piece++) {
    struct ql_sim_request request;
    ql_sim_request_init(&request, 100);
    size_t at = 0, used = 0;
    enum ql_sim_fed fed = QL_SIM_MORE;
    while (fed == QL_SIM_MORE && at < sizeof bytes - 1) {
      size_t left = sizeof bytes - 1 - at;
      fed = ql_sim_request_feed(&request, bytes + at, left < piece ? left : piece, &used);
      at += used;
    }
    CHECK_INT(fed, QL_SIM_WHOLE);
    CHECK_STR(request.target.data, "/a?b");
    CHECK_STR(request.body.data, "hello");
    CHECK_STR(bytes + at, "GET /next HTTP/1.1\r\n\r\n");
    const char *name = "", *value = "";
    CHECK_INT(request.header_count, 3);
    CHECK(ql_sim_request_header(&request, 2, &name, &value));
    CHECK_STR(name, "content-length");
    CHECK_STR(value, "5");
    CHECK(ql_sim_request_header(&request, 1, &name, &value));
    CHECK_STR(value, "");
    CHECK(!ql_sim_request_header(&request, 3, &name, &value));
    ql_sim_request_free(&request);
  }
}

static int refusal_of(const char *bytes) {
  struct ql_sim_request request;
  ql_sim_request_init(&request, 4);
  size_t used;
  int refusal = ql_sim_request_feed(&request, bytes, strlen(bytes), &used) == QL_SIM_REFUSED ? request.refusal : 0;
  ql_sim_request_free(&request);
  return refusal;
}

static void bad_requests_are_refused(void) {
  CHECK_INT(refusal_of("\x16\x03\x01 this is TLS"), 400);
  CHECK_INT(refusal_of("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"), 413);
  CHECK_INT(refusal_of("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), 413);
  CHECK_INT(refusal_of("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nfour"), 0);
}

// ---- live -----------------------------------------------------------------------------------------------

struct live {
  struct ql_loop *loop;
  struct ql_sim *sim;
  struct ql_bell *bell;
  int port;
  char path[64];
  void (*client)(struct live *live);
  struct ql_sim_stats stats;
};

static void on_request(struct ql_sim_exchange *exchange, void *arg) {
  (void)arg;
  const char *target = ql_sim_target(exchange);
  if (strcmp(target, "/silent") == 0)
    return; // the transport must answer by itself
  struct ql_sim_plan *plan = ql_sim_plan_new(200);
  if (strncmp(target, "/stream", 7) == 0) {
    plan->stream = true;
    plan->finish = QL_SIM_STOP;
    for (int i = 0; i < 4; i++)
      ql_sim_plan_event(plan, "x", 1, 1000000);
    if (strcmp(target, "/stream/rst") == 0)
      plan->fault = (struct ql_sim_fault){.end = QL_SIM_RST, .after_events = 2};
    if (strcmp(target, "/stream/close") == 0)
      plan->fault = (struct ql_sim_fault){.end = QL_SIM_CLOSE, .after_events = 2};
    if (strcmp(target, "/stream/hang") == 0)
      plan->fault = (struct ql_sim_fault){.end = QL_SIM_HANG, .after_events = 1};
  } else if (strcmp(target, "/large") == 0) {
    for (int i = 0; i < 200000; i++)
      ql_buf_adds(&plan->text, "0123456789abcdef");
  } else {
    ql_buf_adds(&plan->text, target);
  }
  ql_sim_answer(exchange, plan);
}

static void on_bell(void *arg) {
  struct live *live = arg;
  ql_sim_read_stats(live->sim, &live->stats);
  ql_loop_stop(live->loop);
}

static void *run_client(void *arg) {
  struct live *live = arg;
  live->client(live);
  ql_bell_ring(live->bell);
  return NULL;
}

// A server with max_running places, and client on another thread until it returns.
static struct ql_sim_stats with_server(void (*client)(struct live *), size_t max_running) {
  signal(SIGPIPE, SIG_IGN);
  struct live live = {.client = client, .loop = ql_loop_open()};
  snprintf(live.path, sizeof live.path, "/tmp/qlua-sim-test-%d.sock", (int)getpid());
  struct ql_sim_options options = {.host = "127.0.0.1", .unix_socket = live.path, .body_limit = 1 << 20,
                                   .max_running = max_running, .on_request = on_request};
  struct ql_err err = {0};
  live.sim = ql_sim_open(live.loop, &options, &err);
  CHECK_STR(err.text, "");
  live.port = ql_sim_port(live.sim);
  live.bell = ql_bell_open(live.loop, on_bell, &live);
  pthread_t thread;
  pthread_create(&thread, NULL, run_client, &live);
  ql_loop_run(live.loop);
  pthread_join(thread, NULL);
  ql_sim_close(live.sim);
  ql_bell_close(live.bell);
  ql_loop_close(live.loop);
  return live.stats;
}

static int dial(const struct live *live) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)live->port)};
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval patience = {.tv_sec = 20}; // a lost byte must fail the test, not hang it
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
  return fd;
}

static void say(int fd, const char *text) { CHECK_INT(send(fd, text, strlen(text), 0), strlen(text)); }

// Read until the text ends with `end`, or the connection does; returns errno of the last read.
static int hear(int fd, struct ql_buf *heard, const char *end) {
  char space[65536];
  for (;;) {
    if (end && heard->len >= strlen(end) && memcmp(heard->data + heard->len - strlen(end), end, strlen(end)) == 0)
      return 0;
    ssize_t len = recv(fd, space, sizeof space, 0);
    if (len <= 0)
      return len < 0 ? errno : 0;
    ql_buf_add(heard, space, (size_t)len);
  }
}

static void pipeliner(struct live *live) {
  int fd = dial(live);
  struct ql_buf heard;
  ql_buf_init(&heard, 0);
  say(fd, "GET /one HTTP/1.1\r\n\r\nGET /stream HTTP/1.1\r\n\r\nGET /two HTTP/1.1\r\n\r\nPOST /silent HTTP/1.1\r\n"
          "Content-Length: 2\r\n\r\nhiGET /three HTTP/1.1\r\nConnection: close\r\n\r\n");
  CHECK_INT(hear(fd, &heard, NULL), 0);
  static const char *const order[] = {"/one", "data: x", "0\r\n\r\n", "/two", " 500 ", "/three"};
  const char *at = heard.data;
  for (size_t i = 0; at && i < QL_LEN(order); i++) {
    at = strstr(at, order[i]);
    CHECK(at != NULL);
  }
  ql_buf_free(&heard);
  close(fd);
}

static void pipelined_requests_are_answered_in_order(void) {
  struct ql_sim_stats stats = with_server(pipeliner, 0);
  CHECK_INT(stats.requests, 5);
  CHECK_INT(stats.accepted, 1);
  CHECK_INT(stats.finished[QL_SIM_STOP], 1);
  CHECK_INT(stats.running, 0);
}

static void breaker(struct live *live) {
  struct ql_buf heard;
  ql_buf_init(&heard, 0);
  int fd = dial(live);
  say(fd, "GET /stream/rst HTTP/1.1\r\n\r\n");
  CHECK_INT(hear(fd, &heard, NULL), ECONNRESET);
  close(fd);
  ql_buf_clear(&heard);
  fd = dial(live);
  say(fd, "GET /stream/close HTTP/1.1\r\n\r\n");
  CHECK_INT(hear(fd, &heard, NULL), 0);
  CHECK_STR(strstr(heard.data, "\r\n\r\n") + 4, "9\r\ndata: x\n\n\r\n9\r\ndata: x\n\n\r\n");
  close(fd);
  ql_buf_clear(&heard);
  fd = dial(live);
  say(fd, "GET /stream/hang HTTP/1.1\r\n\r\n");
  CHECK_INT(hear(fd, &heard, "data: x\n\n\r\n"), 0);
  close(fd); // its place must become free: with one place, the next stream would wait for ever
  ql_buf_clear(&heard);
  fd = dial(live);
  say(fd, "GET /stream HTTP/1.1\r\n\r\n");
  CHECK_INT(hear(fd, &heard, "0\r\n\r\n"), 0);
  close(fd);
  ql_buf_free(&heard);
}

static void broken_replies_are_broken_as_asked(void) {
  struct ql_sim_stats stats = with_server(breaker, 1);
  CHECK_INT(stats.cancelled, 1);
  CHECK_INT(stats.requests, 4);
}

static void crowd(struct live *live) {
  enum { count = 200 };
  int fds[count];
  for (int i = 0; i < count; i++) {
    fds[i] = dial(live);
    say(fds[i], "GET /stream HTTP/1.1\r\n\r\n");
  }
  struct ql_buf heard;
  ql_buf_init(&heard, 0);
  for (int i = 0; i < count; i++) {
    ql_buf_clear(&heard);
    CHECK_INT(hear(fds[i], &heard, "0\r\n\r\n"), 0);
    close(fds[i]);
  }
  ql_buf_free(&heard);
}

static void many_streams_share_few_places(void) {
  struct ql_sim_stats stats = with_server(crowd, 7);
  CHECK_INT(stats.finished[QL_SIM_STOP], 200);
  CHECK_INT(stats.running, 0);
  CHECK_INT(stats.waiting, 0);
  CHECK_INT(stats.events, 200 * 5);
}

static void slow_reader(struct live *live) {
  int fd = dial(live);
  say(fd, "GET /large HTTP/1.0\r\n\r\n");
  struct ql_buf heard;
  ql_buf_init(&heard, 0);
  CHECK_INT(hear(fd, &heard, NULL), 0);
  const char *body = strstr(heard.data, "\r\n\r\n") + 4;
  CHECK_INT(heard.len - (size_t)(body - heard.data), 200000 * 16);
  ql_buf_free(&heard);
  close(fd);
}

static void a_large_body_arrives_whole(void) { CHECK_INT(with_server(slow_reader, 0).requests, 1); }

static void a_taken_port_is_an_error(void) {
  struct ql_loop *loop = ql_loop_open();
  struct ql_sim_options options = {.host = "127.0.0.1", .on_request = on_request};
  struct ql_err err = {0};
  struct ql_sim *first = ql_sim_open(loop, &options, &err);
  options.port = ql_sim_port(first);
  CHECK(ql_sim_open(loop, &options, &err) == NULL);
  CHECK(strstr(err.text, "cannot listen on 127.0.0.1 port ") == err.text);
  options.host = "no.such.host";
  CHECK(ql_sim_open(loop, &options, &err) == NULL);
  CHECK_STR(err.text, "cannot listen on host 'no.such.host': want a numeric address");
  ql_sim_close(first);
  ql_loop_close(loop);
}

RUN(a_body_has_its_length, events_are_chunks_at_their_times, without_chunks_the_connection_ends,
    events_merge_split_and_carry_comments, writes_are_cut_everywhere_and_lose_nothing, faults_cut_at_bytes_and_at_events,
    a_stall_delays_what_comes_after, stamps_are_written_in_place, requests_come_in_any_pieces, bad_requests_are_refused,
    pipelined_requests_are_answered_in_order, broken_replies_are_broken_as_asked, many_streams_share_few_places,
    a_large_body_arrives_whole, a_taken_port_is_an_error)
