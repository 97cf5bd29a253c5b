// SPDX-License-Identifier: Apache-2.0
// The HTTP client when all is well: connections, the window, marks, event streams, cancelling, closing.
#include "http_world.h"

static const struct play_scene scenes[] = {
    {"/ok", SCENE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok")},
    {"/gated", SCENE("@gate", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")},
    {"/empty", SCENE("HTTP/1.1 204 No Content\r\n\r\n")},
    {"/busy", SCENE("HTTP/1.1 429 Too Many Requests\r\nRetry-After:  7 \r\nX-Limit: a\r\nx-limit: b\r\nX-Other:\r\n"
                    "Content-Length: 16\r\nX-LIMIT: c\r\n\r\n{\"error\":\"busy\"}")},
    {"/bye", SCENE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye", "@close")},
    {"/continued", SCENE("HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                         "X-Late: 1\r\n\r\nok")},
    {"/stream", SCENE("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
                      "d\r\ndata: {\"a\":1}\r\n", "@gate", "2\r\n\n\n\r\n",
                      "28\r\n: ping\n\nevent: x\ndata: one\ndata: two\n\nda\r\n", "11\r\nta: [DONE]\n\ndata:\r\n",
                      "0\r\n\r\n")},
    {"/bad_request", SCENE("HTTP/1.1 400 Bad Request\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\n"
                           "data: x\n\n")},
    {"/json", SCENE("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\ndata: x\n\n")},
    {NULL, NULL},
};

static void a_kept_connection_is_used_again(void) {
  struct world world;
  world_open(&world, scenes, 1);
  for (int i = 0; i < 20; i++) {
    struct ql_http_reply *reply = ask(&world, "/ok");
    const struct ql_http_marks *marks = &reply->marks;
    CHECK_INT(reply->status, 200);
    CHECK_STR(body_of(reply), "ok");
    CHECK(reply->error == NULL);
    CHECK(marks->queued_ns > 0 && marks->queued_ns <= marks->start_ns);
    CHECK(i ? marks->connect_ns == 0 : marks->connect_ns >= marks->start_ns);
    CHECK(marks->first_byte_ns >= marks->start_ns && marks->first_byte_ns >= marks->connect_ns);
    CHECK(marks->last_byte_ns >= marks->first_byte_ns);
    CHECK(marks->reads >= 1);
    ql_http_reply_free(reply);
  }
  CHECK_INT(world.play.accepts, 1);
  CHECK_INT(stats_of(&world).connections, 1);
  CHECK_INT(stats_of(&world).done, 20);
  CHECK_INT(stats_of(&world).received_bytes, 40);
  world_close(&world);
}

static void the_window_is_filled_and_never_exceeded(void) {
  struct world world;
  struct answer answers[40] = {0};
  world_open(&world, scenes, 4);
  struct ql_http_request request = {.url = url_of(&world, "/gated")};
  for (int i = 0; i < 40; i++)
    send_request(&world, &request, &answers[i]);
  UNTIL(&world, world.play.active == 4);
  UNTIL(&world, stats_of(&world).queued == 36);
  CHECK_INT(stats_of(&world).in_flight, 4);
  atomic_store(&world.play.gate, 1);
  UNTIL(&world, stats_of(&world).done == 40);
  for (int i = 0; i < 40; i++) {
    UNTIL(&world, answers[i].count == 1);
    CHECK_INT(answers[i].reply->status, 200);
    ql_http_reply_free(answers[i].reply);
  }
  CHECK_INT(world.play.most_active, 4);
  CHECK_INT(world.play.accepts, 4);
  CHECK_INT(stats_of(&world).in_flight, 0);
  world_close(&world);
}

static void the_window_moves_on_while_the_main_thread_is_busy(void) {
  struct world world;
  struct answer answers[30] = {0};
  world_open(&world, scenes, 2);
  struct ql_http_request request = {.url = url_of(&world, "/ok")};
  for (int i = 0; i < 30; i++)
    send_request(&world, &request, &answers[i]);
  uint64_t patience_ns = ql_now_ns() + UINT64_C(30000000000);
  while (stats_of(&world).done < 30 && ql_now_ns() < patience_ns)
    usleep(1000); // the loop does not turn
  CHECK_INT(stats_of(&world).done, 30);
  CHECK_INT(answers[0].count, 0);
  for (int i = 0; i < 30; i++) {
    UNTIL(&world, answers[i].count == 1);
    ql_http_reply_free(answers[i].reply);
  }
  world_close(&world);
}

static void a_lost_kept_connection_is_replaced(void) {
  struct world world;
  world_open(&world, scenes, 1);
  for (int i = 0; i < 5; i++) {
    struct ql_http_reply *reply = ask(&world, "/bye");
    CHECK(reply->error == NULL);
    CHECK_STR(body_of(reply), "bye");
    ql_http_reply_free(reply);
  }
  world_close(&world);
}

static void fresh_connections_fill_the_pool(void) {
  struct world world;
  world_open(&world, scenes, 8);
  for (int i = 0; i < 8; i++) {
    struct ql_http_request request = {.url = url_of(&world, "/ok"), .fresh_connection = true};
    ql_http_reply_free(ask_with(&world, &request));
  }
  CHECK_INT(world.play.accepts, 8);
  struct answer answers[8] = {0};
  struct ql_http_request request = {.url = url_of(&world, "/gated")};
  for (int i = 0; i < 8; i++)
    send_request(&world, &request, &answers[i]);
  UNTIL(&world, world.play.active == 8);
  atomic_store(&world.play.gate, 1);
  for (int i = 0; i < 8; i++) {
    UNTIL(&world, answers[i].count == 1);
    CHECK_INT(answers[i].reply->marks.connect_ns, 0);
    ql_http_reply_free(answers[i].reply);
  }
  CHECK_INT(world.play.accepts, 8);
  world_close(&world);
}

static void headers_are_lower_case_and_joined(void) {
  struct world world;
  world_open(&world, scenes, 1);
  struct ql_http_reply *reply = ask(&world, "/busy");
  CHECK_INT(reply->status, 429);
  CHECK(reply->error == NULL);
  CHECK_STR(ql_http_reply_header(reply, "retry-after"), "7");
  CHECK_STR(ql_http_reply_header(reply, "x-limit"), "a, b, c");
  CHECK_STR(ql_http_reply_header(reply, "x-other"), "");
  CHECK_STR(ql_http_reply_header(reply, "content-length"), "16");
  CHECK(ql_http_reply_header(reply, "limit") == NULL);
  CHECK_STR(body_of(reply), "{\"error\":\"busy\"}");
  ql_http_reply_free(reply);
  reply = ask(&world, "/continued");
  CHECK_INT(reply->status, 200);
  CHECK(ql_http_reply_header(reply, "x-early") == NULL);
  CHECK_STR(ql_http_reply_header(reply, "x-late"), "1");
  ql_http_reply_free(reply);
  reply = ask(&world, "/empty");
  CHECK_INT(reply->status, 204);
  CHECK_INT(reply->marks.first_byte_ns, 0);
  CHECK(reply->marks.last_byte_ns >= reply->marks.start_ns);
  ql_http_reply_free(reply);
  world_close(&world);
}

static void a_request_is_sent_as_it_was_asked(void) {
  struct world world;
  world_open(&world, scenes, 1);
  struct ql_http_request request = {
      .url = url_of(&world, "/ok?a=1"),
      .headers = SCENE("X-One: 1", "X-Empty:", "Authorization: Bearer k"),
      .body = "{\"q\":\"\\u0000\"}",
      .body_len = 14,
  };
  ql_http_reply_free(ask_with(&world, &request));
  const char *sent = world.play.last_request;
  CHECK(strstr(sent, "POST /ok?a=1 HTTP/1.1\r\n") == sent);
  CHECK(strstr(sent, "\r\nX-One: 1\r\n") != NULL);
  CHECK(strstr(sent, "\r\nX-Empty:\r\n") != NULL);
  CHECK(strstr(sent, "\r\nAuthorization: Bearer k\r\n") != NULL);
  CHECK(strstr(sent, "\r\nContent-Type: application/json\r\n") != NULL);
  CHECK(strstr(sent, "\r\nContent-Length: 14\r\n") != NULL);
  CHECK(strstr(sent, "\r\n\r\n{\"q\":\"\\u0000\"}") != NULL);
  CHECK(strcasestr(sent, "expect:") == NULL);
  static const char *const methods[] = {"GET", "PUT", "DELETE", "PATCH", "HEAD", "POST"};
  for (size_t i = 0; i < QL_LEN(methods); i++) {
    char line[32];
    request = (struct ql_http_request){.url = url_of(&world, "/empty"), .method = methods[i]};
    ql_http_reply_free(ask_with(&world, &request));
    snprintf(line, sizeof line, "%s /empty HTTP/1.1\r\n", methods[i]);
    CHECK(strstr(sent, line) == sent);
  }
  world_close(&world);
}

static void a_large_body_is_sent_without_waiting(void) {
  struct world world;
  world_open(&world, scenes, 1);
  size_t len = 900000; // under the play's buffer, over what libcurl would ask "100 Continue" for with its default
  char *body = ql_malloc(len);
  memset(body, 'x', len);
  struct ql_http_request request = {.url = url_of(&world, "/ok"), .body = body, .body_len = len};
  struct ql_http_reply *reply = ask_with(&world, &request);
  CHECK_INT(reply->status, 200);
  CHECK(strcasestr(world.play.last_request, "expect:") == NULL);
  ql_http_reply_free(reply);
  free(body);
  world_close(&world);
}

static void check_event(const struct ql_http_reply *reply, size_t index, const char *want, uint32_t end_offset) {
  size_t len;
  CHECK(index < reply->event_count);
  if (index >= reply->event_count)
    return;
  const char *data = ql_http_event_data(reply, index, &len);
  CHECK_INT(len, strlen(want));
  CHECK(len == strlen(want) && memcmp(data, want, len) == 0);
  CHECK_INT(reply->events[index].end_offset, end_offset);
}

static void an_event_has_the_time_of_its_data_not_of_its_blank_line(void) {
  struct world world;
  struct answer answer = {0};
  world_open(&world, scenes, 1);
  struct ql_http_request request = {.url = url_of(&world, "/stream"), .sse = true};
  send_request(&world, &request, &answer);
  UNTIL(&world, stats_of(&world).received_bytes == 13); // the JSON, not its line end
  uint64_t gate_ns = ql_now_ns();
  atomic_store(&world.play.gate, 1);
  UNTIL(&world, answer.count == 1);
  struct ql_http_reply *reply = answer.reply;
  CHECK(reply->error == NULL);
  CHECK_INT(reply->event_count, 4);
  check_event(reply, 0, "{\"a\":1}", 13);
  check_event(reply, 1, "one\ntwo", 51);
  check_event(reply, 2, "[DONE]", 65);
  check_event(reply, 3, "", 72);
  CHECK(reply->events[3].incomplete && !reply->events[2].incomplete);
  CHECK_STR(reply->joined.data + reply->events[1].name_at, "x");
  CHECK_INT(reply->comments, 1);
  CHECK(reply->events[0].at_ns < gate_ns);
  CHECK(reply->events[1].at_ns > gate_ns);
  CHECK(reply->events[2].done && !reply->events[1].done);
  ql_http_reply_free(reply);
  world_close(&world);
}

static void only_a_stream_is_split(void) {
  struct world world;
  world_open(&world, scenes, 1);
  static const char *const paths[] = {"/bad_request", "/json"};
  for (size_t i = 0; i < QL_LEN(paths); i++) {
    struct ql_http_request request = {.url = url_of(&world, paths[i]), .sse = true};
    struct ql_http_reply *reply = ask_with(&world, &request);
    CHECK_INT(reply->event_count, 0);
    CHECK_STR(body_of(reply), "data: x\n\n");
    ql_http_reply_free(reply);
  }
  world_close(&world);
}

static void one_is_cancelled_and_the_others_go_on(void) {
  struct world world;
  struct answer answers[4] = {0};
  uint64_t numbers[4];
  world_open(&world, scenes, 2);
  struct ql_http_request request = {.url = url_of(&world, "/gated")};
  for (int i = 0; i < 4; i++)
    numbers[i] = send_request(&world, &request, &answers[i]);
  UNTIL(&world, world.play.active == 2);
  ql_http_cancel(world.lane, numbers[0]);
  ql_http_cancel(world.lane, numbers[3]);
  ql_http_cancel(world.lane, 12345); // nobody's
  UNTIL(&world, answers[0].count == 1 && answers[3].count == 1);
  CHECK_ERROR(answers[0].reply, QL_E_CANCELLED, "cancelled in flight");
  CHECK_ERROR(answers[3].reply, QL_E_CANCELLED, "cancelled before it was sent");
  CHECK_INT(answers[3].reply->marks.start_ns, 0);
  atomic_store(&world.play.gate, 1);
  UNTIL(&world, answers[1].count == 1 && answers[2].count == 1);
  CHECK_INT(answers[1].reply->status, 200);
  CHECK_INT(answers[2].reply->status, 200);
  for (int i = 0; i < 4; i++)
    ql_http_reply_free(answers[i].reply);
  world_close(&world);
}

static void closing_calls_every_callback_once(void) {
  struct world world;
  struct answer answers[60] = {0}, others[10] = {0};
  world_open(&world, scenes, 3);
  struct ql_http_lane_options options = {.max_in_flight = 2};
  struct ql_http_lane *other = ql_http_lane_open(world.http, &options);
  struct ql_http_request request = {.url = url_of(&world, "/gated")};
  for (int i = 0; i < 10; i++)
    CHECK(send_by(other, &request, on_answer, &others[i], NULL) != 0);
  for (int i = 0; i < 60; i++)
    send_request(&world, &request, &answers[i]);
  UNTIL(&world, world.play.active == 5);
  ql_http_lane_close(other); // one lane by itself, its replies by the bell
  for (int i = 0; i < 10; i++)
    UNTIL(&world, others[i].count == 1);
  CHECK_INT(answers[0].count, 0);
  world_close(&world); // the other with the whole client, while work is queued
  for (int i = 0; i < 60; i++) {
    CHECK_INT(answers[i].count, 1);
    CHECK_ERROR(answers[i].reply, QL_E_CANCELLED, "cancelled");
    ql_http_reply_free(answers[i].reply);
  }
  for (int i = 0; i < 10; i++) {
    CHECK_INT(others[i].count, 1);
    CHECK_ERROR(others[i].reply, QL_E_CANCELLED, "cancelled");
    ql_http_reply_free(others[i].reply);
  }
}

// Replies, cancelling and sending cross each other at random places: what the thread sanitizer is for.
static void each_of_many_is_answered_once(void) {
  enum { LANES = 3, EACH = 400 };
  static struct answer answers[LANES][EACH];
  struct ql_http_lane *lanes[LANES];
  struct world world;
  uint64_t answered = 0, cancelled = 0, ok = 0;
  memset(answers, 0, sizeof answers);
  world_open(&world, scenes, 1);
  struct ql_http_request request = {.url = url_of(&world, "/ok"), .total_ms = 60000};
  for (int lane = 0; lane < LANES; lane++) {
    struct ql_http_lane_options options = {.max_in_flight = 5 + (uint32_t)lane};
    lanes[lane] = ql_http_lane_open(world.http, &options);
  }
  for (int i = 0; i < EACH; i++) {
    for (int lane = 0; lane < LANES; lane++) {
      uint64_t number = send_by(lanes[lane], &request, on_answer, &answers[lane][i], NULL);
      CHECK(number != 0);
      if (i % 7 == lane)
        ql_http_cancel(lanes[lane], number);
    }
    if (i % 50 == 0)
      ql_loop_turn(world.loop, 1);
    if (i == EACH / 2)
      ql_http_lane_cancel(lanes[0]);
  }
  ql_http_lane_close(lanes[1]);
  for (int lane = 0; lane < LANES; lane++)
    for (int i = 0; i < EACH; i++) {
      UNTIL(&world, answers[lane][i].count > 0);
      struct ql_http_reply *reply = answers[lane][i].reply;
      answered += (uint64_t)answers[lane][i].count;
      cancelled += reply->error && reply->error->kind == QL_E_CANCELLED;
      ok += !reply->error && reply->status == 200;
      ql_http_reply_free(reply);
    }
  CHECK_INT(answered, LANES * EACH);
  CHECK_INT(ok + cancelled, LANES * EACH);
  CHECK(ok > 0);
  CHECK(cancelled > 0);
  world_close(&world);
}

static void the_queue_has_an_end(void) {
  struct world world;
  struct answer answers[5] = {0};
  struct ql_err err = {0};
  world_open(&world, scenes, 1);
  struct ql_http_lane_options options = {.max_in_flight = 1, .max_queued = 3};
  struct ql_http_lane *lane = ql_http_lane_open(world.http, &options);
  struct ql_http_request request = {.url = url_of(&world, "/gated")};
  CHECK(send_by(lane, &request, on_answer, &answers[0], &err) != 0);
  UNTIL(&world, world.play.active == 1);
  for (int i = 1; i < 4; i++)
    CHECK(send_by(lane, &request, on_answer, &answers[i], &err) != 0);
  CHECK(send_by(lane, &request, on_answer, &answers[4], &err) == 0);
  CHECK_INT(err.kind, QL_E_LIMIT);
  ql_http_lane_cancel(lane);
  for (int i = 0; i < 4; i++) {
    UNTIL(&world, answers[i].count == 1);
    ql_http_reply_free(answers[i].reply);
  }
  CHECK_INT(answers[4].count, 0);
  world_close(&world);
}

// In the order of their moments, not in that of sending.
static void a_start_waits_for_its_moment(void) {
  struct world world;
  struct answer answers[3] = {0};
  world_open(&world, scenes, 1);
  uint64_t now_ns = ql_now_ns(), ms = 1000000;
  const uint64_t after_ms[] = {40, 10, 25};
  struct ql_http_request request = {.url = url_of(&world, "/ok")};
  for (int i = 0; i < 3; i++) {
    request.start_at_ns = now_ns + after_ms[i] * ms;
    send_request(&world, &request, &answers[i]);
  }
  for (int i = 0; i < 3; i++)
    UNTIL(&world, answers[i].count == 1);
  for (int i = 0; i < 3; i++) {
    const struct ql_http_marks *marks = &answers[i].reply->marks;
    CHECK(answers[i].reply->error == NULL);
    CHECK_INT(marks->due_ns, now_ns + after_ms[i] * ms);
    CHECK(marks->start_ns >= marks->due_ns);
    CHECK_INT(answers[i].reply->stamp_source != QL_HTTP_NO_STAMP, 1);
  }
  if (answers[2].reply->marks.queued_ns < answers[1].reply->marks.due_ns) { // else this machine stood still meanwhile
    CHECK(answers[1].reply->marks.start_ns < answers[2].reply->marks.start_ns);
    CHECK(answers[2].reply->marks.start_ns < answers[0].reply->marks.start_ns);
  }
  for (int i = 0; i < 3; i++)
    ql_http_reply_free(answers[i].reply);
  world_close(&world);
}

static void a_start_that_waits_takes_no_place_and_can_be_cancelled(void) {
  struct world world;
  struct answer answers[30] = {0};
  uint64_t numbers[30];
  world_open(&world, scenes, 2);
  struct ql_http_lane_options options = {.max_in_flight = 1};
  struct ql_http_lane *other = ql_http_lane_open(world.http, &options);
  struct ql_http_request request = {.url = url_of(&world, "/ok")};
  for (int i = 0; i < 30; i++) {
    request.start_at_ns = ql_now_ns() + UINT64_C(3600000000000) + (uint64_t)((i * 7) % 30);
    numbers[i] = send_by(i < 20 ? world.lane : other, &request, on_answer, &answers[i], NULL);
    CHECK(numbers[i] != 0);
  }
  CHECK_INT(stats_of(&world).queued, 20);
  struct ql_http_reply *reply = ask(&world, "/ok"); // behind the twenty, in a window of two
  CHECK(reply->error == NULL);
  CHECK_INT(reply->marks.due_ns, 0);
  ql_http_reply_free(reply);
  ql_http_cancel(world.lane, numbers[3]);
  UNTIL(&world, answers[3].count == 1);
  ql_http_lane_close(other);
  UNTIL(&world, answers[20].count == 1 && answers[29].count == 1);
  CHECK_INT(answers[0].count, 0);
  world_close(&world);
  for (int i = 0; i < 30; i++) {
    CHECK_INT(answers[i].count, 1);
    CHECK_ERROR(answers[i].reply, QL_E_CANCELLED, "cancelled before it was sent");
    CHECK_INT(answers[i].reply->marks.start_ns, 0);
    ql_http_reply_free(answers[i].reply);
  }
}

RUN_BOTH(a_kept_connection_is_used_again, the_window_is_filled_and_never_exceeded,
    the_window_moves_on_while_the_main_thread_is_busy, a_lost_kept_connection_is_replaced,
    fresh_connections_fill_the_pool, headers_are_lower_case_and_joined, a_request_is_sent_as_it_was_asked,
    a_large_body_is_sent_without_waiting, an_event_has_the_time_of_its_data_not_of_its_blank_line,
    only_a_stream_is_split, one_is_cancelled_and_the_others_go_on, closing_calls_every_callback_once,
    each_of_many_is_answered_once, the_queue_has_an_end, a_start_waits_for_its_moment,
    a_start_that_waits_takes_no_place_and_can_be_cancelled)
