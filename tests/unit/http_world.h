// SPDX-License-Identifier: Apache-2.0
// http_world: what the tests of the HTTP client share: a loop, a client, a lane and a play (play.h).
#ifndef QL_HTTP_WORLD_H
#define QL_HTTP_WORLD_H

#include "check.h"
#include "http.h"
#include "play.h"

// AUTO, which here means the plain one wherever a test does not need libcurl, then CURL: see RUN_BOTH.
static enum ql_http_transport world_transport = QL_HTTP_AUTO;
static uint32_t world_threads = 1;

struct world {
  struct ql_loop *loop;
  struct ql_http *http;
  struct ql_http_lane *lane;
  struct play play;
};

struct answer {
  struct ql_http_reply *reply; // the latest
  int count;
};

static inline void world_open(struct world *world, const struct play_scene *scenes, uint32_t max_in_flight) {
  struct ql_err err;
  struct ql_http_lane_options options = {.max_in_flight = max_in_flight};
  play_open(&world->play, scenes, NULL);
  world->loop = ql_loop_open();
  world->http = ql_http_open(world->loop, &(struct ql_http_options){.io_threads = world_threads}, &err);
  CHECK(world->http != NULL);
  world->lane = ql_http_lane_open(world->http, &options);
}

static inline void world_close(struct world *world) {
  ql_http_close(world->http);
  ql_loop_close(world->loop);
  play_close(&world->play);
}

static inline void on_answer(void *arg, struct ql_http_reply *reply) {
  struct answer *answer = arg;
  ql_http_reply_free(answer->reply);
  answer->reply = reply;
  answer->count++;
}

static inline const char *url_of(struct world *world, const char *path) {
  static char url[4][256];
  static int next;
  char *text = url[next++ % 4];
  snprintf(text, sizeof url[0], "http://127.0.0.1:%d%s", world->play.port, path);
  return text;
}

// As ql_http_send, by the transport of the moment.
static inline uint64_t send_by(struct ql_http_lane *lane, const struct ql_http_request *asked,
                               ql_http_on_reply on_reply, void *arg, struct ql_err *err) {
  struct ql_http_request request = *asked;
  if (request.transport == QL_HTTP_AUTO)
    request.transport = world_transport;
  return ql_http_send(lane, &request, on_reply, arg, err);
}

static inline uint64_t send_request(struct world *world, const struct ql_http_request *request,
                                    struct answer *answer) {
  struct ql_err err = {0};
  uint64_t number = send_by(world->lane, request, on_answer, answer, &err);
  CHECK(number != 0);
  if (!number)
    fprintf(stderr, "not sent: %s\n", err.text);
  return number;
}

// Turns the loop until the condition holds. Only a test that fails anyway waits until the end of patience.
#define UNTIL(world, condition)                                                                                        \
  do {                                                                                                                 \
    uint64_t until_ns_ = ql_now_ns() + UINT64_C(30000000000);                                                          \
    while (!(condition) && ql_now_ns() < until_ns_)                                                                    \
      ql_loop_turn((world)->loop, 1);                                                                                  \
    CHECK(condition);                                                                                                  \
  } while (0)

static inline struct ql_http_stats stats_of(struct world *world) {
  struct ql_http_stats stats;
  ql_http_lane_stats(world->lane, &stats);
  return stats;
}

// Sends one request and waits for its reply, which the caller frees.
static inline struct ql_http_reply *ask_with(struct world *world, const struct ql_http_request *request) {
  struct answer answer = {0};
  send_request(world, request, &answer);
  UNTIL(world, answer.count > 0);
  CHECK_INT(answer.count, 1);
  return answer.reply;
}

static inline struct ql_http_reply *ask(struct world *world, const char *path) {
  struct ql_http_request request = {.url = url_of(world, path)};
  return ask_with(world, &request);
}

static inline const char *body_of(const struct ql_http_reply *reply) {
  return reply->body.data ? reply->body.data : "";
}

#define CHECK_ERROR(reply, kind_, part)                                                                                \
  do {                                                                                                                 \
    CHECK((reply)->error != NULL);                                                                                     \
    if ((reply)->error) {                                                                                              \
      CHECK_STR(ql_kind_name((reply)->error->kind), ql_kind_name(kind_));                                              \
      CHECK(strstr((reply)->error->text, part) != NULL);                                                               \
      if (!strstr((reply)->error->text, part))                                                                         \
        fprintf(stderr, "  want \"…%s…\", got \"%s\"\n", part, (reply)->error->text);                                  \
    }                                                                                                                  \
  } while (0)

// The tests by one transport, then by the other.
#define RUN_BOTH(...)                                                                                                  \
  int main(void) {                                                                                                     \
    static const check_test tests[] = {__VA_ARGS__};                                                                   \
    int failed = check_main(__FILE__ " (plain)", tests, sizeof tests / sizeof tests[0]);                              \
    world_transport = QL_HTTP_CURL;                                                                                    \
    return check_main(__FILE__ " (curl)", tests, sizeof tests / sizeof tests[0]) || failed;                            \
  }

#define SCENE(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
