// SPDX-License-Identifier: Apache-2.0
// The HTTP client when things go wrong: time limits, broken answers, too much of something, proxies.
#include "http_world.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define STREAM_HEAD OK_HEAD "Content-Type: text/event-stream\r\n\r\n"

static char huge_line[130 * 1024], many_lines[300 * 1024];

static const struct play_scene scenes[] = {
    {"/ok", SCENE(OK_HEAD "Content-Length: 2\r\n\r\nok")},
    {"/silent", SCENE("@gate")},
    {"/headers_only", SCENE(OK_HEAD "Content-Length: 5\r\n\r\n", "@gate")},
    {"/stall", SCENE(OK_HEAD "Content-Length: 100\r\n\r\npart", "@gate")},
    {"/pings", SCENE(STREAM_HEAD "data: a\n\n: first ping\n\n", "@ping 10")},
    {"/cut_chunk", SCENE(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n8\r\ndata: a\n\r\n20\r\n\ndata: b", "@close")},
    {"/no_last_chunk", SCENE(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n", "@close")},
    {"/short", SCENE(OK_HEAD "Content-Length: 10\r\n\r\n1234", "@close")},
    {"/rst", SCENE(OK_HEAD "Content-Length: 10\r\n\r\n123", "@gate", "@rst")},
    {"/rst_at_once", SCENE("@rst")},
    {"/nothing", SCENE("@close")},
    {"/half_headers", SCENE("HTTP/1.1 200 OK\r\nContent-Le", "@close")},
    {"/garbage", SCENE("SSH-2.0-OpenSSH_9.2\r\n", "@close")},
    {"/bad_chunk", SCENE(OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "@close")},
    {"/huge_line", SCENE(OK_HEAD, huge_line, "\r\nContent-Length: 0\r\n\r\n", "@close")},
    {"/many_lines", SCENE(OK_HEAD, many_lines, "Content-Length: 0\r\n\r\n", "@close")},
    {"/long", SCENE(OK_HEAD "Content-Length: 12\r\n\r\n", "123456", "789012")},
    {"/long_event", SCENE(STREAM_HEAD "data: ok\n\ndata: 123456789012345678901234567890\n\n", "@gate")},
    {NULL, NULL},
};

static struct ql_http_reply *ask_limited(struct world *world, const char *path, uint32_t first_byte_ms,
                                         uint32_t idle_ms, uint32_t total_ms, bool sse) {
  struct ql_http_request request = {.url = url_of(world, path),
                                    .sse = sse,
                                    .first_byte_ms = first_byte_ms,
                                    .idle_ms = idle_ms,
                                    .total_ms = total_ms};
  return ask_with(world, &request);
}

static void each_time_limit_has_its_own_words(void) {
  struct world world;
  world_open(&world, scenes, 4);
  // Nobody answers the TLS greeting, so the connection never stands.
  char url[64];
  snprintf(url, sizeof url, "https://127.0.0.1:%d/", world.play.port);
  struct ql_http_request request = {.url = url, .connect_ms = 60, .first_byte_ms = 1, .total_ms = 20000};
  struct ql_http_reply *reply = ask_with(&world, &request);
  CHECK_ERROR(reply, QL_E_TIMEOUT, "no connection within 60 ms");
  CHECK_INT(reply->status, 0);
  ql_http_reply_free(reply);
  reply = ask_limited(&world, "/silent", 50, 1, 20000, false);
  CHECK_ERROR(reply, QL_E_TIMEOUT, "no first byte within 50 ms");
  CHECK_INT(reply->status, 0);
  ql_http_reply_free(reply);
  reply = ask_limited(&world, "/headers_only", 50, 1, 20000, false);
  CHECK_ERROR(reply, QL_E_TIMEOUT, "no first byte within 50 ms");
  CHECK_INT(reply->status, 200);
  ql_http_reply_free(reply);
  reply = ask_limited(&world, "/stall", 20000, 50, 20000, false);
  CHECK_ERROR(reply, QL_E_TIMEOUT, "no further byte within 50 ms");
  CHECK_STR(body_of(reply), "part");
  ql_http_reply_free(reply);
  reply = ask_limited(&world, "/stall", 20000, 20000, 70, false);
  CHECK_ERROR(reply, QL_E_TIMEOUT, "not finished within 70 ms");
  CHECK_STR(body_of(reply), "part");
  ql_http_reply_free(reply);
  world_close(&world);
}

// If they did, only the total limit would end this.
static void comments_do_not_keep_a_stream_alive(void) {
  struct world world;
  world_open(&world, scenes, 4);
  struct ql_http_reply *reply = ask_limited(&world, "/pings", 20000, 150, 20000, true);
  CHECK_ERROR(reply, QL_E_TIMEOUT, "no further event within 150 ms");
  CHECK_INT(reply->event_count, 1);
  CHECK(reply->comments >= 1);
  ql_http_reply_free(reply);
  world_close(&world);
}

static void broken_answers_are_errors_and_what_came_is_kept(void) {
  static const struct {
    const char *path, *text, *body;
    int events;
  } cases[] = {
      {"/cut_chunk", "the body ended early, after 16 bytes", "data: a\n\ndata: b", 2},
      {"/no_last_chunk", "the body ended early, after 9 bytes", "data: a\n\n", 1},
      {"/short", "the body ended early: want 10 bytes, got 4", "1234", 0},
      {"/nothing", "closed the connection without an answer", "", 0},
      {"/half_headers", "ended inside its headers", "", 0},
      {"/rst_at_once", "the connection broke", "", 0},
      {"/garbage", "want an http/1 answer", "", 0},
      {"/bad_chunk", "", "", 0},
  };
  struct world world;
  world_open(&world, scenes, 4);
  for (size_t i = 0; i < QL_LEN(cases); i++) {
    struct ql_http_reply *reply = ask_limited(&world, cases[i].path, 20000, 0, 0, true);
    CHECK_ERROR(reply, QL_E_PROTOCOL, cases[i].text);
    CHECK_STR(body_of(reply), cases[i].body);
    CHECK_INT(reply->event_count, cases[i].events);
    ql_http_reply_free(reply);
  }
  struct ql_http_reply *reply = ask(&world, "/ok");
  CHECK(reply->error == NULL);
  ql_http_reply_free(reply);
  world_close(&world);
}

static void a_reset_keeps_what_came_before(void) {
  struct world world;
  struct answer answer = {0};
  world_open(&world, scenes, 1);
  struct ql_http_request request = {.url = url_of(&world, "/rst")};
  send_request(&world, &request, &answer);
  UNTIL(&world, stats_of(&world).received_bytes == 3);
  atomic_store(&world.play.gate, 1);
  UNTIL(&world, answer.count == 1);
  CHECK_ERROR(answer.reply, QL_E_PROTOCOL, "onnection reset by peer");
  CHECK_STR(body_of(answer.reply), "123");
  ql_http_reply_free(answer.reply);
  world_close(&world);
}

static void too_much_is_refused(void) {
  struct world world;
  world_open(&world, scenes, 4);
  memcpy(huge_line, "X-Huge: ", 8);
  memset(huge_line + 8, 'x', sizeof huge_line - 9);
  for (size_t at = 0; at + 200 < sizeof many_lines; at += 190)
    snprintf(many_lines + at, sizeof many_lines - at, "X-%05zu: %0179d\r\n", at / 190, 7);
  struct ql_http_reply *reply = ask(&world, "/huge_line");
  CHECK_ERROR(reply, QL_E_LIMIT, "header");
  ql_http_reply_free(reply);
  reply = ask(&world, "/many_lines");
  CHECK_ERROR(reply, QL_E_LIMIT, "want at most 262144 bytes of headers");
  ql_http_reply_free(reply);
  struct ql_http_request request = {.url = url_of(&world, "/long"), .max_body_bytes = 8};
  reply = ask_with(&world, &request);
  CHECK_ERROR(reply, QL_E_LIMIT, "want a body of at most 8 bytes");
  CHECK_STR(body_of(reply), "12345678");
  ql_http_reply_free(reply);
  request = (struct ql_http_request){.url = url_of(&world, "/long"), .max_body_bytes = 12};
  reply = ask_with(&world, &request);
  CHECK(reply->error == NULL);
  ql_http_reply_free(reply);
  request = (struct ql_http_request){.url = url_of(&world, "/long_event"), .sse = true, .max_event_bytes = 16};
  reply = ask_with(&world, &request);
  CHECK_ERROR(reply, QL_E_LIMIT, "want an event of at most 16 bytes");
  CHECK_INT(reply->event_count, 1);
  ql_http_reply_free(reply);
  world_close(&world);
}

static void nobody_there_is_a_connect_error(void) {
  struct world world;
  world_open(&world, scenes, 4);
  struct play other; // a port that was free a moment ago
  play_open(&other, scenes, NULL);
  play_close(&other);
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", other.port);
  struct ql_http_request request = {.url = url};
  struct ql_http_reply *reply = ask_with(&world, &request);
  CHECK_ERROR(reply, QL_E_CONNECT, "onnection refused");
  CHECK_INT(reply->marks.connect_ns, 0);
  ql_http_reply_free(reply);
  request = (struct ql_http_request){.url = "http://localhost/", .unix_socket = "/nonexistent/qlua.sock"};
  reply = ask_with(&world, &request);
  CHECK_ERROR(reply, QL_E_CONNECT, "no connection");
  ql_http_reply_free(reply);
  CHECK_INT(stats_of(&world).failed, 2);
  world_close(&world);
}

static void a_unix_socket_is_a_server_too(void) {
  struct world world;
  struct play local;
  char folder[] = "/tmp/qlua_http_XXXXXX", path[64];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/s", folder);
  world_open(&world, scenes, 4);
  play_open(&local, scenes, path);
  struct ql_http_request request = {.url = "http://server.invalid/ok", .unix_socket = path};
  struct ql_http_reply *reply = ask_with(&world, &request);
  CHECK(reply->error == NULL);
  CHECK_STR(body_of(reply), "ok");
  CHECK_INT(local.accepts, 1);
  CHECK(strstr(local.last_request, "\r\nHost: server.invalid\r\n") != NULL);
  ql_http_reply_free(reply);
  world_close(&world);
  play_close(&local);
  unlink(path);
  rmdir(folder);
}

// The proxy is the play itself: what went by it was asked for by its absolute url.
static void proxies_are_for_others_only(void) {
  struct play proxy;
  char address[64];
  const struct play_scene by_proxy[] = {
      {"http://far.example.invalid/", SCENE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy")}, {NULL, NULL}};
  play_open(&proxy, by_proxy, NULL);
  snprintf(address, sizeof address, "http://127.0.0.1:%d", proxy.port);
  setenv("http_proxy", address, 1);
  setenv("ALL_PROXY", address, 1);
  setenv("NO_PROXY", "near.example.invalid", 1);
  struct world world;
  world_open(&world, scenes, 4);
  struct ql_http_reply *reply = ask(&world, "/ok");
  CHECK_STR(body_of(reply), "ok");
  ql_http_reply_free(reply);
  char url[64];
  snprintf(url, sizeof url, "http://localhost:%d/ok", world.play.port);
  struct ql_http_request request = {.url = url};
  reply = ask_with(&world, &request);
  CHECK_STR(body_of(reply), "ok");
  ql_http_reply_free(reply);
  CHECK_INT(proxy.accepts, 0);
  request = (struct ql_http_request){.url = "http://far.example.invalid/"};
  reply = ask_with(&world, &request);
  CHECK_STR(body_of(reply), "proxy");
  ql_http_reply_free(reply);
  request = (struct ql_http_request){.url = "http://near.example.invalid/", .connect_ms = 5000};
  reply = ask_with(&world, &request);
  CHECK(reply->error != NULL);
  ql_http_reply_free(reply);
  CHECK_INT(proxy.requests, 1);
  world_close(&world);
  play_close(&proxy);
  unsetenv("http_proxy");
  unsetenv("ALL_PROXY");
  unsetenv("NO_PROXY");
}

static void loopback_has_many_names(void) {
  static const char *const near[] = {"127.0.0.1", "127.9.8.7", "::1", "[::1]", "localhost", "LocalHost.", "a.localhost",
                                     "0.0.0.0", "[::]", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"};
  static const char *const far[] = {"128.0.0.1", "example.com", "localhost.example.com", "::2", "", "127.example.com",
                                    "mylocalhost", "10.0.0.1", "::ffff:10.0.0.1"};
  for (size_t i = 0; i < QL_LEN(near); i++)
    CHECK(ql_http_is_loopback(near[i]));
  for (size_t i = 0; i < QL_LEN(far); i++)
    CHECK(!ql_http_is_loopback(far[i]));
}

static void what_cannot_be_sent_is_refused_at_once(void) {
  struct world world;
  struct answer answer = {0};
  char long_path[200];
  memset(long_path, 'x', sizeof long_path - 1);
  long_path[199] = '\0';
  world_open(&world, scenes, 4);
  const struct {
    struct ql_http_request request;
    const char *text;
  } cases[] = {
      {{0}, "field 'url' is missing"},
      {{.url = "no url at all"}, "url 'no url at all': want http"},
      {{.url = "ftp://host/file"}, "want http or https, got ftp"},
      {{.url = "http://h/", .headers = SCENE("a: b\r\nc: d")}, "want one line 'name: value'"},
      {{.url = "http://h/", .headers = SCENE("nothing")}, "want one line 'name: value'"},
      {{.url = "http://h/", .method = "GET / HTTP/1.1\r\n"}, "want capital letters"},
      {{.url = "http://h/", .unix_socket = long_path}, "unix socket"},
      {{.url = "http://h/", .sse = true, .max_body_bytes = (size_t)5 << 30}, "less than 4 GiB"},
  };
  for (size_t i = 0; i < QL_LEN(cases); i++) {
    struct ql_err err = {0};
    CHECK(send_by(world.lane, &cases[i].request, on_answer, &answer, &err) == 0);
    CHECK_INT(err.kind, QL_E_USAGE);
    CHECK(strstr(err.text, cases[i].text) != NULL);
  }
  CHECK_INT(answer.count, 0);
  world_close(&world);
}

RUN_BOTH(each_time_limit_has_its_own_words, comments_do_not_keep_a_stream_alive,
    broken_answers_are_errors_and_what_came_is_kept, a_reset_keeps_what_came_before, too_much_is_refused,
    nobody_there_is_a_connect_error, a_unix_socket_is_a_server_too, proxies_are_for_others_only,
    loopback_has_many_names, what_cannot_be_sent_is_refused_at_once)
