// SPDX-License-Identifier: Apache-2.0
// What only the plain transport has: the kernel's stamps, its own framing, addresses, retries, and several threads.
#include "http_internal.h"
#include "http_world.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

static const struct play_scene scenes[] = {
    {"/ok", SCENE(OK_HEAD "Content-Length: 2\r\n\r\nok")},
    {"/stream", SCENE(OK_HEAD "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
                      "9\r\ndata: a\n\n\r\n", "@gate", "12\r\ndata: b\n\ndata: c\n\n\r\n", "0\r\n\r\n")},
    {"/until_close", SCENE(OK_HEAD "\r\n", "one ", "two", "@close")},
    {"/old", SCENE("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "@close")},
    {"/unchanged", SCENE("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n")},
    {"/none", SCENE("HTTP/1.1 204 No Content\r\nContent-Length: 10\r\n\r\n")},
    {"/head", SCENE(OK_HEAD "Content-Length: 10\r\nX-Last: 1\r\n\r\n")},
    {"/more", SCENE(OK_HEAD "Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n")},
    {"/early", SCENE("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" OK_HEAD
                     "Content-Length: 2\r\n\r\nok")},
    {"/both", SCENE(OK_HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=1\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")},
    {"/folded", SCENE(OK_HEAD "X-A: one\r\n two\r\nContent-Length: 2\r\n\r\nok")},
    {"/bare", SCENE("HTTP/1.1 200\nContent-Length: 2\n\nok")},
    {"/switch", SCENE("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")},
    {"/nothing", SCENE("@close")},
    {"/held", SCENE(OK_HEAD "\r\n", "@gate", "x", "@close")},
    {NULL, NULL},
};

// What this kernel does by itself, without the code under test.
static bool kernel_stamps_here(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0), to = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  bool has_stamp = false;
  CHECK(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1) == 0);
  CHECK(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
  CHECK(connect(to, (struct sockaddr *)&at, sizeof at) == 0);
  int from = accept(listener, NULL, NULL);
  setsockopt(to, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  for (int i = 0; i < 100 && !has_stamp; i++) { // stamping begins a moment after the first socket has asked
    char bytes[8], control[256];
    struct iovec place = {bytes, sizeof bytes};
    struct msghdr message = {
        .msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_INT(send(from, "x", 1, 0), 1);
    CHECK_INT(recvmsg(to, &message, 0), 1);
    has_stamp = message.msg_controllen > 0;
    usleep(1000);
  }
  close(from);
  close(to);
  close(listener);
  return has_stamp;
}

static void the_kernel_stamps_what_comes_over_tcp(void) {
  struct world world;
  struct answer answer = {0};
  bool has_stamps = kernel_stamps_here();
  world_open(&world, scenes, 1);
  for (int i = 0; has_stamps && i < 100; i++) { // until it stamps for this client too
    struct ql_http_reply *reply = ask(&world, "/ok");
    bool is_kernel = reply->stamp_source == QL_HTTP_KERNEL_STAMP;
    ql_http_reply_free(reply);
    if (is_kernel)
      break;
    usleep(1000);
  }
  uint64_t reads_before = stats_of(&world).reads, kernel_before = stats_of(&world).kernel_reads;
  uint64_t delays_before = stats_of(&world).stamp_delay.count;
  struct ql_http_request request = {.url = url_of(&world, "/stream"), .sse = true};
  send_request(&world, &request, &answer);
  UNTIL(&world, stats_of(&world).events == 1);
  uint64_t gate_ns = ql_now_ns();
  atomic_store(&world.play.gate, 1);
  UNTIL(&world, answer.count == 1);
  uint64_t end_ns = ql_now_ns();
  struct ql_http_reply *reply = answer.reply;
  struct ql_http_stats stats = stats_of(&world);
  CHECK_INT(reply->event_count, 3);
  CHECK_INT(reply->stamp_source, has_stamps ? QL_HTTP_KERNEL_STAMP : QL_HTTP_USER_STAMP);
  CHECK(reply->marks.sent_ns >= reply->marks.start_ns && reply->marks.sent_ns < gate_ns);
  CHECK(reply->events[0].at_ns >= reply->marks.start_ns && reply->events[0].at_ns <= gate_ns);
  CHECK(reply->events[1].at_ns >= gate_ns - 1000000 && reply->events[1].at_ns <= end_ns); // by two clocks
  CHECK(reply->events[1].at_ns == reply->events[2].at_ns);
  CHECK_INT(stats.kernel_reads - kernel_before, has_stamps ? stats.reads - reads_before : 0);
  CHECK(has_stamps ? stats.stamp_delay.count - delays_before >= stats.reads - reads_before
                   : stats.stamp_delay.count == 0);
  CHECK(stats.stamp_delay.p50_ns <= stats.stamp_delay.p99_ns && stats.stamp_delay.p99_ns <= stats.stamp_delay.max_ns);
  CHECK(!has_stamps || (stats.clock_error_ns > 0 && stats.clock_error_ns < 1000000));
  CHECK_INT(stats.shared_reads, 1);
  CHECK(stats.wakeups > 0 && stats.wakeup_events > 0);
  ql_http_reply_free(reply);
  world_close(&world);
}

static void framing_is_what_the_protocol_says(void) {
  static const struct {
    const char *path, *method, *body;
    int status, accepts; // of this request, on a connection that stands
  } cases[] = {
      {"/ok", NULL, "ok", 200, 0},       {"/until_close", NULL, "one two", 200, 0}, {"/ok", NULL, "ok", 200, 1},
      {"/old", NULL, "ok", 200, 0},      {"/unchanged", NULL, "", 304, 1},          {"/none", NULL, "", 204, 0},
      {"/head", "HEAD", "", 200, 0},     {"/more", NULL, "ok", 200, 0},             {"/early", NULL, "ok", 200, 1},
      {"/both", NULL, "ok", 200, 0},     {"/folded", NULL, "ok", 200, 0},           {"/bare", NULL, "ok", 200, 0},
      {"/missing", NULL, "", 404, 0},
  };
  struct world world;
  world_open(&world, scenes, 1);
  ql_http_reply_free(ask(&world, "/ok"));
  for (size_t i = 0; i < QL_LEN(cases); i++) {
    int accepts = atomic_load(&world.play.accepts);
    struct ql_http_request request = {
        .url = url_of(&world, cases[i].path), .method = cases[i].method, .transport = QL_HTTP_PLAIN};
    struct ql_http_reply *reply = ask_with(&world, &request);
    CHECK(reply->error == NULL);
    CHECK_INT(reply->status, cases[i].status);
    CHECK_STR(body_of(reply), cases[i].body);
    CHECK_INT(atomic_load(&world.play.accepts) - accepts, cases[i].accepts);
    if (strcmp(cases[i].path, "/both") == 0)
      CHECK_STR(ql_http_reply_header(reply, "x-sum"), "7");
    ql_http_reply_free(reply);
  }
  struct ql_http_reply *reply = ask(&world, "/switch");
  CHECK_ERROR(reply, QL_E_PROTOCOL, "switching protocols");
  ql_http_reply_free(reply);
  world_close(&world);
}

// The play reads the request on the kept connection and hangs up; a new one gets one more try, and no third.
static void a_dead_kept_connection_is_replaced_once(void) {
  struct world world;
  world_open(&world, scenes, 1);
  ql_http_reply_free(ask(&world, "/ok"));
  struct ql_http_request request = {.url = url_of(&world, "/nothing"), .body = "x", .body_len = 1};
  struct ql_http_reply *reply = ask_with(&world, &request);
  CHECK_ERROR(reply, QL_E_PROTOCOL, "closed the connection without an answer");
  CHECK(reply->marks.connect_ns > 0);
  ql_http_reply_free(reply);
  CHECK_INT(world.play.requests, 3);
  CHECK_INT(stats_of(&world).retries, 1);
  reply = ask_with(&world, &request); // no kept one
  CHECK_ERROR(reply, QL_E_PROTOCOL, "closed the connection without an answer");
  ql_http_reply_free(reply);
  CHECK_INT(world.play.requests, 4);
  world_close(&world);
}

static void names_lead_to_addresses(void) {
  struct world world;
  char url[64];
  world_open(&world, scenes, 1);
  snprintf(url, sizeof url, "http://localhost:%d/ok", world.play.port);
  for (int i = 0; i < 2; i++) {
    struct ql_http_request request = {.url = url, .transport = QL_HTTP_PLAIN};
    struct ql_http_reply *reply = ask_with(&world, &request);
    CHECK(reply->error == NULL);
    CHECK(reply->marks.sent_ns > 0);
    ql_http_reply_free(reply);
  }
  CHECK_INT(world.play.accepts, 1);
  struct ql_http_request request = {.url = "http://nobody.invalid/ok", .transport = QL_HTTP_PLAIN};
  struct ql_http_reply *reply = ask_with(&world, &request);
  CHECK_ERROR(reply, QL_E_CONNECT, "http://nobody.invalid/ok: no such host");
  ql_http_reply_free(reply);
  CHECK_INT(stats_of(&world).connect_failures, 1);
  struct answer answer = {0};
  send_request(&world, &request, &answer); // closed while it may be asking
  world_close(&world);
  CHECK_INT(answer.count, 1);
  ql_http_reply_free(answer.reply);
}

// Nobody accepts at first: where TCP would wait, a UNIX socket refuses, and is asked again.
static void a_full_queue_of_a_unix_socket_is_waited_for(void) {
  enum { COUNT = 6 };
  static const char reply_text[] = OK_HEAD "Content-Length: 2\r\n\r\nok";
  struct world world;
  struct answer answers[COUNT] = {0};
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  char folder[] = "/tmp/qlua_queue_XXXXXX", request_text[1024];
  int guests[COUNT], guest_count = 0;
  CHECK(mkdtemp(folder) != NULL);
  snprintf(un.sun_path, sizeof un.sun_path, "%s/s", folder);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK(bind(listener, (struct sockaddr *)&un, sizeof un) == 0 && listen(listener, 0) == 0);
  world_open(&world, scenes, COUNT);
  struct ql_http_request request = {.url = "http://h/", .unix_socket = un.sun_path};
  for (int i = 0; i < COUNT; i++)
    send_request(&world, &request, &answers[i]);
  UNTIL(&world, stats_of(&world).in_flight == COUNT && stats_of(&world).connections >= 1);
  uint64_t wakeups = stats_of(&world).wakeups;
  UNTIL(&world, stats_of(&world).wakeups > wakeups + 5); // it has asked again
  CHECK(stats_of(&world).connections < COUNT);
  CHECK_INT(stats_of(&world).done, 0);
  uint64_t until_ns = ql_now_ns() + UINT64_C(30000000000);
  while (stats_of(&world).done < COUNT && ql_now_ns() < until_ns) {
    int fd = guest_count < COUNT ? accept(listener, NULL, NULL) : -1;
    if (fd >= 0) {
      guests[guest_count++] = fd;
      CHECK(recv(fd, request_text, sizeof request_text, 0) > 0);
      CHECK(send(fd, reply_text, sizeof reply_text - 1, MSG_NOSIGNAL) > 0);
    }
    ql_loop_turn(world.loop, 1);
  }
  for (int i = 0; i < COUNT; i++) {
    UNTIL(&world, answers[i].count == 1);
    CHECK(answers[i].reply->error == NULL);
    ql_http_reply_free(answers[i].reply);
  }
  CHECK_INT(stats_of(&world).connect_failures, 0);
  world_close(&world);
  for (int i = 0; i < guest_count; i++)
    close(guests[i]);
  close(listener);
  unlink(un.sun_path);
  rmdir(folder);
}

static void what_it_cannot_carry_is_refused_or_left_to_curl(void) {
  struct world world;
  world_open(&world, scenes, 1);
  const struct {
    struct ql_http_request request;
    const char *text;
  } cases[] = {
      {{.url = "https://127.0.0.1/"}, "cannot carry its url"},
      {{.url = "http://user:pw@127.0.0.1/"}, "cannot carry its url"},
      {{.url = "http://127.0.0.1/", .max_redirects = 1}, "cannot carry max_redirects"},
      {{.url = "http://127.0.0.1/", .sink_path = "/nonexistent/x"}, "cannot carry sink_path"},
      {{.url = "http://127.0.0.1/", .headers = SCENE("Transfer-Encoding: chunked")}, "cannot carry its headers"},
  };
  for (size_t i = 0; i < QL_LEN(cases); i++) {
    struct ql_err err = {0};
    struct ql_http_request request = cases[i].request;
    request.transport = QL_HTTP_PLAIN;
    CHECK(ql_http_send(world.lane, &request, on_answer, NULL, &err) == 0);
    CHECK_INT(err.kind, QL_E_USAGE);
    CHECK(strstr(err.text, cases[i].text) != NULL);
  }
  char url[96];
  snprintf(url, sizeof url, "HTTP://127.0.0.1:%d/a/../ok?x={y}#z", world.play.port); // made ordinary by libcurl
  struct ql_http_request request = {.url = url};
  struct ql_http_reply *reply = ask_with(&world, &request);
  CHECK_STR(body_of(reply), "ok");
  ql_http_reply_free(reply);
  world_close(&world);
}

static void an_ordinary_url_is_taken_apart(void) {
  struct ql_http_url url;
  static const char *const ordinary[] = {"http://h", "http://h/", "http://h?a", "http://1.2.3.4:80/a%20b?c=/d&e",
                                         "http://[::1]:8000/v1", "http://a-b.c_d:65535/"};
  static const char *const odd[] = {"https://h/", "HTTP://h/", "http://", "http://h:/", "http://h:65536/", "http://h:0/",
                                    "http://u@h/", "http://h/#f", "http://h/a b", "http://h/../x", "http://h/{x}",
                                    "http://[::1", "http://h\\x", "http://h/\x80", "h", ""};
  for (size_t i = 0; i < QL_LEN(ordinary); i++)
    CHECK(ql_http_url_split(ordinary[i], &url));
  for (size_t i = 0; i < QL_LEN(odd); i++)
    CHECK(!ql_http_url_split(odd[i], &url));
  CHECK(ql_http_url_split("http://[::1]:8000/v1?q", &url));
  CHECK(url.host_len == 5 && url.port_len == 4 && url.path_len == 3 && url.target_len == 5);
}

// Hundreds of streams over four loops, sending, answering and cancelling at once: for the thread sanitizer.
static void four_threads_share_the_work(void) {
  enum { STREAMS = 240, ROUNDS = 3 };
  static struct answer answers[STREAMS];
  struct world world;
  world_threads = 4;
  world_open(&world, scenes, 200);
  atomic_store(&world.play.gate, 1);
  struct ql_http_request request = {.url = url_of(&world, "/stream"), .sse = true, .total_ms = 60000};
  uint64_t ok = 0, cancelled = 0;
  for (int round = 0; round < ROUNDS; round++) {
    memset(answers, 0, sizeof answers);
    for (int i = 0; i < STREAMS; i++) {
      request.start_at_ns = i % 3 ? 0 : ql_now_ns() + (uint64_t)(i % 40) * 100000;
      uint64_t number = send_request(&world, &request, &answers[i]);
      if (i % 17 == round)
        ql_http_cancel(world.lane, number);
    }
    for (int i = 0; i < STREAMS; i++) {
      UNTIL(&world, answers[i].count == 1);
      struct ql_http_reply *reply = answers[i].reply;
      ok += !reply->error && reply->event_count == 3;
      cancelled += reply->error && reply->error->kind == QL_E_CANCELLED;
      ql_http_reply_free(reply);
    }
  }
  struct ql_http_stats stats = stats_of(&world);
  CHECK_INT(ok + cancelled, STREAMS * ROUNDS);
  CHECK(ok > 0);
  CHECK_INT(stats.done, STREAMS * ROUNDS);
  CHECK_INT(stats.in_flight + stats.queued, 0);
  CHECK_INT(stats.io_threads, 4);
  CHECK(stats.events >= 3 * ok);
  CHECK(stats.dispatch_lag.count > 0);
  for (uint32_t i = 0; i < 4; i++) {
    struct ql_http_thread_stats thread;
    ql_http_thread_stats(world.lane, i, &thread);
    CHECK(thread.wakeup_events > 100); // each had its share
  }
  world_close(&world);
  world_threads = 1;
}

static void a_window_smaller_than_the_threads_holds(void) {
  struct world world;
  struct answer answers[20] = {0};
  world_threads = 4;
  world_open(&world, scenes, 2);
  struct ql_http_request request = {.url = url_of(&world, "/stream"), .sse = true};
  for (int i = 0; i < 20; i++)
    send_request(&world, &request, &answers[i]);
  UNTIL(&world, stats_of(&world).in_flight == 2 && stats_of(&world).queued == 18);
  atomic_store(&world.play.gate, 1);
  for (int i = 0; i < 20; i++) {
    UNTIL(&world, answers[i].count == 1);
    ql_http_reply_free(answers[i].reply);
  }
  CHECK(atomic_load(&world.play.most_active) <= 2);
  world_close(&world);
  world_threads = 1;
}

// A child that shares the client's sockets, and nothing else of ours, until it is killed: what a fork is until it executes.
static pid_t fork_holder(int port) {
  pid_t child = fork();
  if (child != 0)
    return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int fd = 0; fd < 1024; fd++) {
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    bool is_ours = getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.sin_family == AF_INET &&
                   ntohs(peer.sin_port) == port;
    if (!is_ours)
      close(fd);
  }
  for (;;)
    pause();
}

static void a_child_that_shares_a_socket_wakes_nobody(void) {
  const enum ql_http_transport transports[] = {QL_HTTP_PLAIN, QL_HTTP_CURL};
  for (size_t i = 0; i < QL_LEN(transports); i++) {
    struct world world;
    struct answer answer = {0};
    world_open(&world, scenes, 4);
    struct ql_http_request request = {.url = url_of(&world, "/held"), .transport = transports[i]};
    send_request(&world, &request, &answer);
    UNTIL(&world, atomic_load(&world.play.requests) == 1);
    pid_t child = fork_holder(world.play.port);
    CHECK(child > 0);
    atomic_store(&world.play.gate, 1);
    UNTIL(&world, answer.count == 1);
    CHECK_INT(answer.reply->body.len, 1);
    uint64_t wakeups_before = stats_of(&world).wakeups;
    for (int n = 0; n < 20; n++) // over what the connection's memory was
      ql_http_reply_free(ask(&world, "/ok"));
    CHECK(stats_of(&world).wakeups - wakeups_before < 1000); // not kept awake by it either
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ql_http_reply_free(answer.reply);
    world_close(&world);
  }
}

RUN(the_kernel_stamps_what_comes_over_tcp, a_child_that_shares_a_socket_wakes_nobody, framing_is_what_the_protocol_says, a_dead_kept_connection_is_replaced_once,
    names_lead_to_addresses, a_full_queue_of_a_unix_socket_is_waited_for,
    what_it_cannot_carry_is_refused_or_left_to_curl, an_ordinary_url_is_taken_apart,
    four_threads_share_the_work, a_window_smaller_than_the_threads_holds)
