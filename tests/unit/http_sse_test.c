// SPDX-License-Identifier: Apache-2.0
// Every stream of tests/cases/sse from a local server, in every framing, cut at every byte of what goes over the wire,
// by both transports: the reply's events must be those of the .want file, and none may be older than its own bytes.
//
// A cut is one for the reader too: the server waits, between two parts, until the first has been taken out of the
// socket (SIOCOUTQ of a UNIX socket counts what the peer has not read).
#include "http_answer.h"
#include "http_world.h"
#include "sse.h"
#include "sse_cases.h"

#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>

enum framing { CHUNKED, CHUNKED_SMALL, LENGTH, UNTIL_CLOSE, FRAMINGS };

// ---- what goes over the wire --------------------------------------------------------------------------

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

static void add_chunk(struct ql_buf *wire, const char *bytes, size_t len) {
  if (!len)
    return;
  ql_buf_addf(wire, "%zx\r\n", len);
  ql_buf_add(wire, bytes, len);
  ql_buf_adds(wire, "\r\n");
}

// CHUNKED: a boundary at `boundary` of the body; CHUNKED_SMALL: one each 7 bytes, anywhere in lines and characters.
static void frame(struct ql_buf *wire, enum framing framing, const char *body, size_t len, size_t boundary) {
  ql_buf_clear(wire);
  if (framing == LENGTH) {
    ql_buf_addf(wire, HEAD "Content-Length: %zu\r\n\r\n", len);
    ql_buf_add(wire, body, len);
  } else if (framing == UNTIL_CLOSE) {
    ql_buf_adds(wire, HEAD "\r\n");
    ql_buf_add(wire, body, len);
  } else {
    ql_buf_adds(wire, HEAD "Transfer-Encoding: chunked\r\n\r\n");
    if (framing == CHUNKED) {
      add_chunk(wire, body, boundary);
      add_chunk(wire, body + boundary, len - boundary);
    } else {
      for (size_t at = 0; at < len; at += 7)
        add_chunk(wire, body + at, len - at < 7 ? len - at : 7);
    }
    ql_buf_adds(wire, "0\r\n\r\n");
  }
}

static size_t head_length(const struct ql_buf *wire) { return (size_t)(strstr(wire->data, "\r\n\r\n") + 4 - wire->data); }

// The .want file without what a reply does not hold: the id of each event, and retry.
static char *wanted(const char *want) {
  struct ql_buf text;
  ql_buf_init(&text, 0);
  for (const char *line = want; *line;) {
    const char *end = strchr(line, '\n');
    if (strncmp(line, "message", 7) == 0 || strncmp(line, "done", 4) == 0) {
      const char *at = line;
      for (int column = 0; column < 3; column++)
        at = strchr(at, '\t') + 1;
      ql_buf_add(&text, line, (size_t)(at - line));
      at = strchr(at, '\t') + 1;
      ql_buf_add(&text, at, (size_t)(end + 1 - at));
    } else if (strncmp(line, "retry", 5) != 0) {
      ql_buf_add(&text, line, (size_t)(end + 1 - line));
    }
    line = end + 1;
  }
  return ql_buf_take(&text, NULL);
}

static void add_event(struct ql_buf *text, bool done, bool incomplete, uint64_t end_offset, const char *name,
                      const char *data, size_t len) {
  ql_buf_addf(text, "%s%s\t%llu\t", done ? "done" : "message", incomplete ? "!" : "", (unsigned long long)end_offset);
  sse_add_escaped(text, name, strlen(name));
  ql_buf_adds(text, "\t");
  sse_add_escaped(text, data, len);
  ql_buf_adds(text, "\n");
}

// ---- without a socket: every pair of cuts, and the read that an event's time is of ---------------------

struct pure {
  struct ql_sse sse;
  struct ql_buf text;
  uint64_t body_len, begun[4], ended[4]; // of the body, by read
  uint64_t read;
  bool has_wrong_time;
};

static void on_pure_event(void *arg, const struct ql_sse_event *event) {
  struct pure *pure = arg;
  add_event(&pure->text, event->kind == QL_SSE_DONE, event->incomplete, event->end_offset, event->name, event->data,
            event->data_len);
  // The last byte of its data line came with the read whose time it has.
  pure->has_wrong_time |= event->end_offset <= pure->begun[event->at_ns] ||
                          event->end_offset > pure->ended[event->at_ns];
}

static int on_pure_body(void *arg, const char *bytes, size_t len) {
  struct pure *pure = arg;
  pure->body_len += len;
  pure->ended[pure->read] = pure->body_len;
  return ql_sse_feed(&pure->sse, bytes, len, pure->read, on_pure_event, pure, NULL);
}

static void run_pure(const char *name, const struct ql_buf *wire, size_t first, size_t second, const char *want) {
  const size_t cuts[] = {0, first, second, wire->len};
  struct pure pure = {.read = 0};
  struct ql_http_answer answer = {0};
  struct ql_buf headers;
  size_t used;
  ql_buf_init(&headers, 0);
  ql_buf_init(&pure.text, 0);
  ql_sse_init(&pure.sse, 0);
  ql_http_answer_begin(&answer, false, &headers, on_pure_body, &pure);
  for (int i = 0; i < 3; i++) {
    pure.read = (uint64_t)i;
    pure.begun[i] = pure.ended[i] = pure.body_len;
    ql_http_answer_feed(&answer, wire->data + cuts[i], cuts[i + 1] - cuts[i], &used);
  }
  bool is_whole = ql_http_answer_close(&answer) == QL_HTTP_ANSWER_WHOLE;
  pure.read = 3;
  ql_sse_end(&pure.sse, on_pure_event, &pure, NULL);
  ql_buf_addf(&pure.text, "comments\t%llu\n", (unsigned long long)pure.sse.comments);
  bool ok = is_whole && strcmp(pure.text.data, want) == 0 && !pure.has_wrong_time;
  CHECK(ok);
  if (!ok)
    fprintf(stderr, "%s, cut at %zu and %zu%s\nwant:\n%sgot:\n%s", name, first, second,
            pure.has_wrong_time ? ", wrong time" : "", want, pure.text.data);
  ql_sse_free(&pure.sse);
  ql_http_answer_free(&answer);
  ql_buf_free(&headers);
  ql_buf_free(&pure.text);
}

static uint64_t seed = 20260101;
static size_t below(size_t limit) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return limit ? (size_t)(seed >> 33) % limit : 0;
}

static void pure_case(void *arg, const struct sse_case *one) {
  (void)arg;
  struct ql_buf wire;
  char *want = wanted(one->want);
  ql_buf_init(&wire, 0);
  for (enum framing framing = 0; framing < FRAMINGS; framing++) {
    frame(&wire, framing, one->bytes, one->len, below(one->len + 1));
    size_t head = head_length(&wire), body = wire.len - head;
    bool is_small = body < 80;
    for (size_t first = head; first <= wire.len; first++)
      for (size_t second = is_small ? first : first + below(wire.len - first + 1); second <= wire.len;
           second += is_small ? 1 : wire.len)
        run_pure(one->name, &wire, first, second, want);
  }
  ql_buf_free(&wire);
  free(want);
}

static void every_case_through_the_framing(void) { CHECK(sse_each_case(pure_case, NULL) >= 45); }

// ---- over sockets -------------------------------------------------------------------------------------

#define PLAYS 6
#define SENDERS 4

// One wire and one cut per connection's request: "GET /INDEX".
struct play_of {
  struct ql_buf wire;
  size_t cuts[2];
  bool closes;
  uint64_t sent_ns[3]; // just before each part
  atomic_bool is_over;  // the sender is done with it
};

struct stage {
  int listener;
  pthread_t senders[SENDERS];
  atomic_int is_over;
  struct play_of plays[PLAYS];
  char folder[32], path[64];
};

// False when the reader is gone.
static bool wait_until_taken(const struct stage *stage, int fd) {
  int left = 1;
  while (!atomic_load(&stage->is_over) && ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0)
    sched_yield();
  return left == 0;
}

static bool send_all(int fd, const char *bytes, size_t len) {
  while (len) {
    ssize_t put = send(fd, bytes, len, MSG_NOSIGNAL);
    if (put <= 0)
      return false;
    bytes += put;
    len -= (size_t)put;
  }
  return true;
}

static bool perform(struct stage *stage, int fd, struct play_of *play) {
  const size_t ends[] = {0, play->cuts[0], play->cuts[1], play->wire.len};
  for (int i = 0; i < 3; i++) {
    play->sent_ns[i] = ql_now_ns();
    if (!send_all(fd, play->wire.data + ends[i], ends[i + 1] - ends[i]) || !wait_until_taken(stage, fd))
      return false;
  }
  return !play->closes;
}

static void serve_one(struct stage *stage, int fd) {
  char text[1024];
  size_t len = 0;
  bool goes_on = true;
  while (goes_on) {
    ssize_t got = recv(fd, text + len, sizeof text - 1 - len, 0);
    if (got <= 0)
      break;
    len += (size_t)got;
    text[len] = '\0';
    if (!strstr(text, "\r\n\r\n"))
      continue;
    struct play_of *play = &stage->plays[text[5] - '0'];
    goes_on = perform(stage, fd, play);
    atomic_store(&play->is_over, true);
    len = 0;
  }
  close(fd);
}

static void *serve(void *arg) {
  struct stage *stage = arg;
  while (!atomic_load(&stage->is_over)) {
    struct pollfd at = {.fd = stage->listener, .events = POLLIN};
    int fd = poll(&at, 1, 20) > 0 ? accept(stage->listener, NULL, NULL) : -1;
    if (fd >= 0)
      serve_one(stage, fd);
  }
  return NULL;
}

static void stage_open(struct stage *stage) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  memset(stage, 0, sizeof *stage);
  snprintf(stage->folder, sizeof stage->folder, "/tmp/qlua_sse_XXXXXX");
  CHECK(mkdtemp(stage->folder) != NULL);
  snprintf(stage->path, sizeof stage->path, "%s/s", stage->folder);
  snprintf(un.sun_path, sizeof un.sun_path, "%s", stage->path);
  stage->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK(bind(stage->listener, (struct sockaddr *)&un, sizeof un) == 0 && listen(stage->listener, 64) == 0);
  for (int i = 0; i < PLAYS; i++)
    ql_buf_init(&stage->plays[i].wire, 0);
  for (int i = 0; i < SENDERS; i++)
    pthread_create(&stage->senders[i], NULL, serve, stage);
}

static void stage_close(struct stage *stage) {
  atomic_store(&stage->is_over, 1);
  for (int i = 0; i < SENDERS; i++)
    pthread_join(stage->senders[i], NULL);
  for (int i = 0; i < PLAYS; i++)
    ql_buf_free(&stage->plays[i].wire);
  close(stage->listener);
  unlink(stage->path);
  rmdir(stage->folder);
}

struct tour {
  struct stage stage;
  struct world world;
  size_t played, with_cut;
};

// In which part of the wire the byte before `offset` of the body goes out, where the body lies as it is.
static int part_of(const struct play_of *play, uint64_t offset) {
  size_t at = head_length(&play->wire) + (size_t)offset;
  return at <= play->cuts[0] ? 0 : at <= play->cuts[1] ? 1 : 2;
}

static bool is_too_old(const struct play_of *play, enum framing framing, const struct ql_http_event *event) {
  if (framing == CHUNKED || framing == CHUNKED_SMALL || !event->data_len)
    return false;
  return event->at_ns < play->sent_ns[part_of(play, event->end_offset)];
}

static void compare(const char *name, enum framing framing, const struct play_of *play,
                    const struct ql_http_reply *reply, const char *want) {
  struct ql_buf text;
  ql_buf_init(&text, 0);
  bool is_old = false;
  for (size_t i = 0; i < reply->event_count; i++) {
    const struct ql_http_event *event = &reply->events[i];
    size_t len;
    const char *data = ql_http_event_data(reply, i, &len);
    add_event(&text, event->done, event->incomplete, event->end_offset,
              event->name_at == QL_HTTP_IN_BODY ? "" : reply->joined.data + event->name_at, data, len);
    is_old |= is_too_old(play, framing, event);
  }
  ql_buf_addf(&text, "comments\t%llu\n", (unsigned long long)reply->comments);
  bool ok = !reply->error && !is_old && strcmp(text.data, want) == 0;
  CHECK(ok);
  if (!ok)
    fprintf(stderr, "%s, framing %d, cut at %zu and %zu%s%s\nwant:\n%sgot:\n%s", name, framing, play->cuts[0],
            play->cuts[1], is_old ? ", an event older than its bytes: " : ": ",
            reply->error ? reply->error->text : "", want, text.data);
  ql_buf_free(&text);
}

// Plays as many as fit, then looks at them all.
static void flush(struct tour *tour, const char *name, const enum framing *framings, size_t count, const char *want) {
  struct answer answers[PLAYS] = {0};
  for (size_t i = 0; i < count; i++) {
    char url[32];
    snprintf(url, sizeof url, "http://h/%zu", i);
    atomic_store(&tour->stage.plays[i].is_over, false);
    struct ql_http_request request = {.url = url, .unix_socket = tour->stage.path, .sse = true};
    send_request(&tour->world, &request, &answers[i]);
  }
  for (size_t i = 0; i < count; i++) {
    UNTIL(&tour->world, answers[i].count == 1 && atomic_load(&tour->stage.plays[i].is_over));
    if (answers[i].count != 1)
      continue;
    compare(name, framings[i], &tour->stage.plays[i], answers[i].reply, want);
    ql_http_reply_free(answers[i].reply);
    tour->played++;
  }
}

// Every cut of a small stream; of a longer one, every cut within a stride that moves, so that all bytes come by.
static void tour_case(void *arg, const struct sse_case *one) {
  struct tour *tour = arg;
  enum framing framings[PLAYS];
  size_t count = 0;
  char *want = wanted(one->want);
  if (one->len == 0) {
    free(want);
    return; // a body without a byte is no stream: nothing to split
  }
  for (enum framing framing = 0; framing < FRAMINGS; framing++) {
    size_t stride = framing == CHUNKED_SMALL || one->len > 200 ? 3 : 1;
    for (size_t at = below(stride); at <= one->len; at += stride) {
      struct play_of *play = &tour->stage.plays[count];
      frame(&play->wire, framing, one->bytes, one->len, below(one->len + 1));
      size_t head = head_length(&play->wire);
      play->cuts[0] = head + at * (play->wire.len - head) / (one->len + 1);
      play->cuts[1] = play->cuts[0] + below(play->wire.len - play->cuts[0]);
      play->closes = framing == UNTIL_CLOSE;
      framings[count++] = framing;
      if (count == PLAYS) {
        flush(tour, one->name, framings, count, want);
        count = 0;
      }
    }
  }
  flush(tour, one->name, framings, count, want);
  free(want);
}

static void every_case_over_sockets(void) {
  static struct tour tour;
  const struct play_scene none[] = {{NULL, NULL}};
  memset(&tour, 0, sizeof tour);
  stage_open(&tour.stage);
  world_open(&tour.world, none, SENDERS);
  CHECK(sse_each_case(tour_case, &tour) >= 45);
  CHECK(tour.played > 4000);
  world_close(&tour.world);
  stage_close(&tour.stage);
}

// A megabyte in one event, in chunks and parts of any size.
static void a_megabyte_event_arrives_whole(void) {
  struct tour tour;
  const struct play_scene none[] = {{NULL, NULL}};
  struct ql_buf body;
  memset(&tour, 0, sizeof tour);
  ql_buf_init(&body, 0);
  ql_buf_adds(&body, "data: {\"text\":\"");
  for (size_t i = 0; i < 1 << 20; i++)
    ql_buf_add(&body, &"abcdefghijklmnopqrstuvwxyz"[i % 26], 1);
  ql_buf_adds(&body, "\"}\n\ndata: [DONE]\n\n");
  stage_open(&tour.stage);
  world_open(&tour.world, none, 1);
  for (enum framing framing = 0; framing < FRAMINGS; framing++) {
    struct play_of *play = &tour.stage.plays[0];
    frame(&play->wire, framing, body.data, body.len, below(body.len));
    play->cuts[0] = 200 + below(play->wire.len - 400);
    play->cuts[1] = play->wire.len - below(50);
    play->closes = framing == UNTIL_CLOSE;
    struct ql_http_request request = {.url = "http://h/0", .unix_socket = tour.stage.path, .sse = true};
    atomic_store(&play->is_over, false);
    struct ql_http_reply *reply = ask_with(&tour.world, &request);
    UNTIL(&tour.world, atomic_load(&play->is_over)); // the sender has let go of it
    size_t len = 0;
    CHECK(reply->error == NULL);
    CHECK_INT(reply->event_count, 2);
    const char *data = reply->event_count ? ql_http_event_data(reply, 0, &len) : "";
    CHECK_INT(len, (1 << 20) + 11);
    CHECK(len == (1 << 20) + 11 && memcmp(data, body.data + 6, len) == 0);
    ql_http_reply_free(reply);
  }
  world_close(&tour.world);
  stage_close(&tour.stage);
  ql_buf_free(&body);
}

RUN_BOTH(every_case_through_the_framing, every_case_over_sockets, a_megabyte_event_arrives_whole)
