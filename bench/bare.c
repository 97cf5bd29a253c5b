// SPDX-License-Identifier: Apache-2.0
// bare: the floor under an HTTP client: one thread, epoll, recv, and as little work on the bytes as a client can do.
// It knows the mock's replies and no others: no redirects, no errors, no time-outs. What it says is a JSON object.
//
//   bare streams  --port N --path PATH --streams N [--cpu N] [--kernel-stamps] [--count-only]
//   bare requests --port N --path PATH --connections N --seconds S [--cpu N] [--lua SCORE.lua | --rate R]
//
// streams: every connection is made first; then all requests are sent, and all streams read to their end. An event is
// found by its lines, its content by the quote that ends it; --count-only counts line ends and looks no further.
// requests: every connection sends the next request when its reply is whole; --lua calls a function with each body.
// --rate: requests leave at i/R seconds on whichever connection is free, by a timerfd; the lag is from that moment to
// the request's arrival, which the mock's reply tells. One that finds no connection free waits, and its lag grows.

#include "wire.h"

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

int luaopen_cjson(lua_State *L);

#define BUFFER (64 * 1024)
#define TAIL 1024 // of an event that the last read cut

struct conn {
  int fd;
  bool done;
  uint32_t events, wanted_len; // wanted_len: of a plain reply, once its head is read
  uint64_t start_ns, last_at_ns, last_sent_ns; // start_ns: with --rate, when it was due
  uint32_t len; // bytes kept in tail
  char tail[TAIL];
};

static struct {
  int port, poll;
  const char *path, *lua;
  uint32_t count;
  double seconds, rate;
  bool kernel, count_only;
  int64_t offset;
  struct conn *conns;
  char *request;
  size_t request_len;
} bare;

static struct {
  uint64_t events, scored, reads, polls, bytes, replies, right, lost, no_stamp;
  uint64_t begin_ns, end_ns;
  struct hist error, ttft, lag, gap; // ttft, gap: of the absolute difference; signed sums below
  double ttft_sum, gap_sum, gap_squares;
} found;

static void fail(const char *what) {
  fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void *allocate(size_t count, size_t size) {
  void *list = calloc(count, size);
  if (!list)
    fail("memory");
  return list;
}

// ---- connections ------------------------------------------------------------------------------------------------

static void open_conn(struct conn *conn) {
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)bare.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&at, sizeof at) != 0)
    fail("connect");
  setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  if (bare.kernel && !ask_kernel_stamps(conn->fd))
    fail("SO_TIMESTAMPNS");
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
  epoll_ctl(bare.poll, EPOLL_CTL_ADD, conn->fd, &event);
}

static void make_request(bool stream) {
  char body[256], head[1024];
  int body_len = snprintf(body, sizeof body,
                          "{\"messages\":[{\"content\":\"What is the answer?\",\"role\":\"user\"}],\"model\":\"mock\",\"stream\":%s}",
                          stream ? "true" : "false");
  int head_len = snprintf(head, sizeof head,
                          "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                          bare.path, bare.port, body_len, body);
  bare.request = strdup(head);
  bare.request_len = (size_t)head_len;
}

static void send_request(struct conn *conn) {
  conn->start_ns = now_ns();
  if (send(conn->fd, bare.request, bare.request_len, MSG_NOSIGNAL) != (ssize_t)bare.request_len)
    fail("send");
}

// ---- events -----------------------------------------------------------------------------------------------------

static void score_first(int64_t difference) {
  found.ttft_sum += (double)difference;
  hist_add(&found.ttft, difference < 0 ? -difference : difference);
}

static void score_event(struct conn *conn, const char *stamp, const char *end, uint64_t at_ns) {
  if (end - stamp < STAMP_DIGITS + 2 + NUMBER_DIGITS)
    return;
  uint64_t sent_ns = get_digits(stamp, STAMP_DIGITS), number = get_digits(stamp + STAMP_DIGITS + 2, NUMBER_DIGITS);
  found.lost += number != conn->events;
  hist_add(&found.error, (int64_t)(at_ns - sent_ns));
  if (conn->events == 0) {
    const char *arrived = memmem(stamp, (size_t)(end - stamp), "@arrived=", 9);
    if (arrived)
      score_first((int64_t)(at_ns - conn->start_ns) - (int64_t)(sent_ns - get_digits(arrived + 9, STAMP_DIGITS)));
  } else {
    int64_t difference = (int64_t)(at_ns - conn->last_at_ns) - (int64_t)(sent_ns - conn->last_sent_ns);
    found.gap_sum += (double)difference;
    found.gap_squares += (double)difference * (double)difference;
    hist_add(&found.gap, difference < 0 ? -difference : difference);
  }
  conn->events++;
  conn->last_at_ns = at_ns;
  conn->last_sent_ns = sent_ns;
  found.scored++;
}

// One line of the stream, or of the frame about it.
static void read_line(struct conn *conn, const char *line, const char *end, uint64_t at_ns) {
  if (end - line < 7 || memcmp(line, "data: ", 6) != 0) {
    conn->done |= end - line == 2 && line[0] == '0';
    return;
  }
  found.events++;
  const char *content = memmem(line, (size_t)(end - line), "\"content\":\"", 11);
  if (!content)
    return;
  content += 11;
  const char *quote = memchr(content, '"', (size_t)(end - content));
  const char *stamp = quote ? memmem(content, (size_t)(quote - content), STAMP_MARK, 4) : NULL;
  if (stamp)
    score_event(conn, stamp + 4, quote, at_ns);
}

// Whole lines; what is left of the last goes into the tail.
static void read_lines(struct conn *conn, const char *data, size_t len, uint64_t at_ns) {
  const char *at = data, *end = data + len;
  for (const char *line_end; (line_end = memchr(at, '\n', (size_t)(end - at))); at = line_end + 1)
    read_line(conn, at, line_end, at_ns);
  conn->len = (uint32_t)(end - at);
  if (conn->len > TAIL)
    fail("an event is longer than those of the mock");
  memcpy(conn->tail, at, conn->len);
}

// An empty line ends an event: "\n\n". The frame's own lines end in "\r\n".
static void count_lines(struct conn *conn, const char *data, size_t len) {
  const char *end = data + len;
  for (const char *at = data; (at = memchr(at, '\n', (size_t)(end - at))); at++)
    found.events += at > data ? at[-1] == '\n' : conn->tail[0] == '\n';
  if (len)
    conn->tail[0] = end[-1];
  conn->done = len >= 5 && memcmp(end - 5, "0\r\n\r\n", 5) == 0;
}

static bool read_stream(struct conn *conn) {
  static char buffer[TAIL + BUFFER];
  uint64_t at_ns = 0;
  size_t kept = bare.count_only ? 0 : conn->len;
  ssize_t got = bare.kernel ? receive_stamped(conn->fd, buffer + kept, BUFFER, bare.offset, &at_ns)
                            : recv(conn->fd, buffer + kept, BUFFER, MSG_DONTWAIT);
  if (!at_ns) {
    at_ns = now_ns();
    found.no_stamp += bare.kernel;
  }
  if (got <= 0)
    fail("a stream ended early");
  found.reads++;
  found.bytes += (uint64_t)got;
  if (bare.count_only) {
    count_lines(conn, buffer, (size_t)got);
  } else {
    memcpy(buffer, conn->tail, kept);
    read_lines(conn, buffer, kept + (size_t)got, at_ns);
  }
  return conn->done;
}

static void run_streams(void) {
  struct epoll_event ready[512];
  uint64_t offset_at = now_ns();
  for (uint32_t i = 0; i < bare.count; i++)
    send_request(&bare.conns[i]);
  for (uint32_t left = bare.count; left;) {
    int count = epoll_wait(bare.poll, ready, 512, -1);
    found.polls++;
    for (int i = 0; i < count; i++)
      left -= read_stream(ready[i].data.ptr);
    if (now_ns() - offset_at > 500000000) {
      bare.offset = wall_offset();
      offset_at = now_ns();
    }
  }
}

// ---- plain replies ----------------------------------------------------------------------------------------------

static lua_State *open_lua(const char *path) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "cjson", luaopen_cjson, 0);
  lua_getfield(L, -1, "decode");
  if (luaL_dofile(L, path) != LUA_OK) {
    fprintf(stderr, "bare: %s\n", lua_tostring(L, -1));
    exit(1);
  }
  lua_insert(L, -2);
  lua_call(L, 1, 1); // the file's function takes the decoder and gives the scorer, which stays at the top
  return L;
}

static void call_lua(lua_State *L, const char *body, size_t len) {
  lua_pushvalue(L, -1);
  lua_pushlstring(L, body, len);
  lua_call(L, 1, 1);
  found.right += (uint64_t)lua_toboolean(L, -1);
  lua_pop(L, 1);
}

static void read_reply(struct conn *conn, lua_State *L) {
  static char buffer[BUFFER];
  ssize_t got = recv(conn->fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got <= 0)
    fail("a connection was closed");
  found.reads++;
  found.bytes += (uint64_t)got;
  const char *body = memmem(buffer, (size_t)got, "\r\n\r\n", 4);
  const char *length = memmem(buffer, (size_t)got, "content-length: ", 16);
  if (!body || !length || (size_t)(buffer + got - body - 4) != strtoul(length + 16, NULL, 10))
    fail("a reply did not come in one piece"); // the mock sends it in one
  const char *arrived = bare.rate > 0 ? memmem(buffer, (size_t)got, "x-arrived-ns: ", 14) : NULL;
  if (arrived)
    hist_add(&found.lag, (int64_t)(get_digits(arrived + 14, STAMP_DIGITS) - conn->start_ns));
  if (L)
    call_lua(L, body + 4, (size_t)(buffer + got - body - 4));
  found.replies++;
}

static void run_requests(void) {
  struct epoll_event ready[512];
  lua_State *L = bare.lua ? open_lua(bare.lua) : NULL;
  found.begin_ns = now_ns();
  uint64_t until_ns = found.begin_ns + (uint64_t)(bare.seconds * 1e9);
  for (uint32_t i = 0; i < bare.count; i++)
    send_request(&bare.conns[i]);
  while (now_ns() < until_ns) {
    int count = epoll_wait(bare.poll, ready, 512, 1000);
    found.polls++;
    for (int i = 0; i < count; i++) {
      read_reply(ready[i].data.ptr, L);
      send_request(ready[i].data.ptr);
    }
  }
}

// An absolute schedule: what is due goes at once, and the timer is set for the next.
static void run_schedule(void) {
  struct epoll_event ready[512];
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(bare.poll, EPOLL_CTL_ADD, timer, &event);
  uint64_t total = (uint64_t)(bare.rate * bare.seconds), sent = 0, period_ns = (uint64_t)(1e9 / bare.rate);
  struct conn **idle = allocate(bare.count, sizeof *idle);
  uint32_t idle_count = 0;
  for (; idle_count < bare.count; idle_count++)
    idle[idle_count] = &bare.conns[idle_count];
  uint64_t due_ns = now_ns() + 10000000;
  found.begin_ns = due_ns;
  while (found.replies < total) {
    for (; sent < total && idle_count && due_ns <= now_ns(); sent++, due_ns += period_ns) {
      struct conn *conn = idle[--idle_count];
      send_request(conn);
      conn->start_ns = due_ns;
    }
    struct itimerspec at = {.it_value = {(time_t)(due_ns / 1000000000u), (long)(due_ns % 1000000000u)}};
    if (sent < total)
      timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
    int count = epoll_wait(bare.poll, ready, 512, 1000);
    found.polls++;
    for (int i = 0; i < count; i++)
      if (ready[i].data.ptr) {
        read_reply(ready[i].data.ptr, NULL);
        idle[idle_count++] = ready[i].data.ptr;
      } else {
        uint64_t times;
        (void)!read(timer, &times, sizeof times);
      }
  }
  free(idle);
}

// ---- the report -------------------------------------------------------------------------------------------------

static void print_hist(const char *name, const struct hist *hist) {
  printf(",\"%s\":{\"count\":%lu,\"mean\":%.3f,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, hist->count,
         hist_mean(hist) / 1e3, hist_quantile(hist, 0.5) / 1e3, hist_quantile(hist, 0.99) / 1e3, (double)hist->max / 1e3);
}

static void print_found(const struct rusage *before, const struct rusage *after) {
  double user = seconds_of(after->ru_utime) - seconds_of(before->ru_utime);
  double sys = seconds_of(after->ru_stime) - seconds_of(before->ru_stime);
  double gaps = found.gap.count ? (double)found.gap.count : 1, mean = found.gap_sum / gaps;
  double variance = found.gap_squares / gaps - mean * mean;
  printf("{\"events\":%lu,\"scored\":%lu,\"lost\":%lu,\"reads\":%lu,\"polls\":%lu,\"bytes\":%lu,\"replies\":%lu,\"right\":%lu",
         found.events, found.scored, found.lost, found.reads, found.polls, found.bytes, found.replies, found.right);
  printf(",\"no_stamp\":%lu,\"seconds\":%.6f,\"user_s\":%.6f,\"sys_s\":%.6f,\"cpu_s\":%.6f,\"rss_bytes\":%ld,\"switches\":%ld",
         found.no_stamp, (double)(found.end_ns - found.begin_ns) / 1e9, user, sys, user + sys, after->ru_maxrss * 1024,
         after->ru_nivcsw - before->ru_nivcsw);
  print_hist("error_us", &found.error);
  print_hist("ttft_error_us", &found.ttft);
  print_hist("gap_error_us", &found.gap);
  print_hist("lag_us", &found.lag);
  printf(",\"ttft_bias_us\":%.3f", found.ttft.count ? found.ttft_sum / (double)found.ttft.count / 1e3 : 0.0);
  printf(",\"gap_sigma_us\":%.3f}\n", variance > 0 ? sqrt(variance) / 1e3 : 0.0);
}

static bool read_option(const char *key, const char *value) {
  if (strcmp(key, "--port") == 0)
    bare.port = (int)strtol(value, NULL, 10);
  else if (strcmp(key, "--path") == 0)
    bare.path = value;
  else if (strcmp(key, "--streams") == 0 || strcmp(key, "--connections") == 0)
    bare.count = (uint32_t)strtoul(value, NULL, 10);
  else if (strcmp(key, "--seconds") == 0)
    bare.seconds = strtod(value, NULL);
  else if (strcmp(key, "--rate") == 0)
    bare.rate = strtod(value, NULL);
  else if (strcmp(key, "--cpu") == 0)
    pin_to((int)strtol(value, NULL, 10));
  else if (strcmp(key, "--lua") == 0)
    bare.lua = value;
  else
    return false;
  return true;
}

int main(int argc, char **argv) {
  bool streams = argc > 1 && strcmp(argv[1], "streams") == 0, requests = argc > 1 && strcmp(argv[1], "requests") == 0;
  for (int i = 2; i < argc; i++) {
    bool kernel = strcmp(argv[i], "--kernel-stamps") == 0, count_only = strcmp(argv[i], "--count-only") == 0;
    bare.kernel |= kernel;
    bare.count_only |= count_only;
    if (!kernel && !count_only && (i + 1 == argc || !read_option(argv[i], argv[i + 1])))
      streams = requests = false;
    i += !kernel && !count_only;
  }
  if ((!streams && !requests) || !bare.port || !bare.path || !bare.count) {
    fputs("usage: bare streams|requests --port N --path PATH --streams N|--connections N …, as the head of bench/bare.c says\n",
          stderr);
    return 2;
  }
  raise_descriptors();
  bare.poll = epoll_create1(EPOLL_CLOEXEC);
  bare.offset = wall_offset();
  bare.conns = allocate(bare.count, sizeof *bare.conns);
  make_request(streams);
  for (uint32_t i = 0; i < bare.count; i++)
    open_conn(&bare.conns[i]);
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  found.begin_ns = now_ns();
  if (streams)
    run_streams();
  else if (bare.rate > 0)
    run_schedule();
  else
    run_requests();
  found.end_ns = now_ns();
  getrusage(RUSAGE_SELF, &after);
  print_found(&before, &after);
  return 0;
}
