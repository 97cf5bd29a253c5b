// SPDX-License-Identifier: Apache-2.0
// mock: the loop of the mock server: one thread, epoll, one heap of what is due, one timerfd. See mock.h.
//
//   mock [--port N] [--cpu N] [--model NAME] [--log FILE] [--user-stamps] [--KEY VALUE of a request's query…]
//
// It says "listening PORT" on stdout. GET /stats gives its own error as JSON. Streams in step share a due time, and
// their sends follow each other, some 7 us apart: that is the load asked for, and no lateness. Late is a tick that began
// after its time, and from there on whatever kept a send from following within 50 us. bench/README.md has the fields.

#include "mock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct bytes {
  char *data;
  size_t len, room;
};

enum state { IDLE, HELD, PACED, FLOODED };

struct conn {
  int fd;
  uint32_t id, sent;    // sent: events of this stream
  enum state state;
  bool broken, watches_out, answering;
  struct bytes in, out; // out: what the socket did not take
  struct plan plan;
  uint64_t due_ns, period_ns, arrived_ns, last_sent_ns;
  size_t heap_at;       // 1…: where it is in the heap; 0: not there
};

static struct {
  int poll, timer, listener;
  int64_t offset; // CLOCK_REALTIME less CLOCK_MONOTONIC
  uint64_t offset_at, armed_ns, tick_ns, tick_late_ns, last_send_ns;
  bool kernel_stamps;
  struct plan defaults;
  struct conn **heap, **held;
  size_t heap_len, heap_room, held_len, held_room;
  uint32_t next_id;
} mock;

static struct {
  uint64_t connections, open, requests, refused, streams, open_streams, events, sends, blocked, bytes, since_ns;
  uint64_t first_arrival_ns; // of a request, since the reset
  double cpu_s;
  struct hist late, ttft, gap;
} stats;

static volatile sig_atomic_t stopped;

static void fail(const char *what) {
  fprintf(stderr, "mock: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void *grow(void *list, size_t *room, size_t wanted, size_t size) {
  if (wanted <= *room)
    return list;
  while (*room < wanted)
    *room = *room ? *room * 2 : 1024;
  list = realloc(list, *room * size);
  if (!list)
    fail("memory");
  return list;
}

static double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

// ---- the heap -----------------------------------------------------------------------------------------------------

static bool sooner(const struct conn *a, const struct conn *b) {
  return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->id < b->id;
}

static void heap_put(size_t at, struct conn *conn) {
  mock.heap[at] = conn;
  conn->heap_at = at;
}

static void sift_up(size_t at, struct conn *conn) {
  for (; at > 1 && sooner(conn, mock.heap[at / 2]); at /= 2)
    heap_put(at, mock.heap[at / 2]);
  heap_put(at, conn);
}

static void sift_down(size_t at, struct conn *conn) {
  for (size_t child; (child = at * 2) <= mock.heap_len; at = child) {
    if (child < mock.heap_len && sooner(mock.heap[child + 1], mock.heap[child]))
      child++;
    if (!sooner(mock.heap[child], conn))
      break;
    heap_put(at, mock.heap[child]);
  }
  heap_put(at, conn);
}

static void heap_add(struct conn *conn) {
  mock.heap = grow(mock.heap, &mock.heap_room, mock.heap_len + 2, sizeof *mock.heap);
  sift_up(++mock.heap_len, conn);
}

static void heap_remove(struct conn *conn) {
  size_t at = conn->heap_at;
  struct conn *last = mock.heap[mock.heap_len--];
  conn->heap_at = 0;
  if (last == conn)
    return;
  sift_up(at, last);
  if (last->heap_at == at)
    sift_down(at, last);
}

// ---- sending ------------------------------------------------------------------------------------------------------

static void watch(struct conn *conn, bool out) {
  if (conn->watches_out == out)
    return;
  conn->watches_out = out;
  struct epoll_event event = {.events = EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0), .data.ptr = conn};
  epoll_ctl(mock.poll, EPOLL_CTL_MOD, conn->fd, &event);
}

static void append(struct bytes *to, const char *data, size_t len) {
  to->data = grow(to->data, &to->room, to->len + len + 1, 1);
  memcpy(to->data + to->len, data, len);
  to->len += len;
}

// What the socket does not take now waits in out, and goes when it can.
static void transmit(struct conn *conn, struct text text) {
  stats.sends++;
  stats.bytes += text.len;
  if (conn->out.len) {
    append(&conn->out, text.data, text.len);
    return;
  }
  ssize_t sent = send(conn->fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN) {
    conn->broken = true; // epoll says so too, and closes it there
    return;
  }
  size_t gone = sent < 0 ? 0 : (size_t)sent;
  if (gone == text.len)
    return;
  stats.blocked++;
  append(&conn->out, text.data + gone, text.len - gone);
  watch(conn, true);
}

static bool flush(struct conn *conn) {
  ssize_t sent = send(conn->fd, conn->out.data, conn->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0)
    return false;
  conn->out.len -= (size_t)sent;
  memmove(conn->out.data, conn->out.data + sent, conn->out.len);
  return conn->out.len == 0;
}

// ---- streams ------------------------------------------------------------------------------------------------------

static void next_request(struct conn *conn);

static void end_stream(struct conn *conn) {
  transmit(conn, text_end(conn->plan.chat, conn->plan.usage, conn->plan.tokens));
  stats.open_streams--;
  conn->state = IDLE;
}

#define FOLLOWS_NS 50000

static uint64_t lateness(uint64_t due_ns, uint64_t sent_ns) {
  uint64_t since_ns = sent_ns - mock.last_send_ns;
  if (due_ns != mock.tick_ns)
    mock.tick_late_ns = sent_ns - due_ns;
  else if (since_ns > FOLLOWS_NS)
    mock.tick_late_ns += since_ns;
  mock.tick_ns = due_ns;
  mock.last_send_ns = sent_ns;
  return mock.tick_late_ns;
}

static void send_event(struct conn *conn) {
  uint64_t sent_ns = now_ns();
  hist_add(&stats.late, (int64_t)lateness(conn->due_ns, sent_ns));
  log_note(conn->id, conn->due_ns, sent_ns, conn->sent);
  if (conn->sent == 0) {
    struct text head = text_head(conn->plan.chat), first = text_first(conn->plan.chat, sent_ns, conn->arrived_ns);
    char both[2048];
    memcpy(both, head.data, head.len);
    memcpy(both + head.len, first.data, first.len);
    hist_add(&stats.ttft, (int64_t)(sent_ns - conn->arrived_ns));
    transmit(conn, (struct text){both, head.len + first.len});
  } else {
    hist_add(&stats.gap, (int64_t)(sent_ns - conn->last_sent_ns));
    transmit(conn, text_event(conn->plan.chat, sent_ns, conn->sent));
  }
  conn->last_sent_ns = sent_ns;
  conn->sent++;
  stats.events++;
}

// At most so many before the sockets have a turn.
static void send_due(void) {
  uint64_t now = now_ns();
  for (int turns = 0; turns < 4096 && mock.heap_len && mock.heap[1]->due_ns <= now; turns++) {
    struct conn *conn = mock.heap[1];
    send_event(conn);
    if (conn->broken || conn->sent == conn->plan.tokens) {
      heap_remove(conn);
      end_stream(conn);
      next_request(conn);
    } else {
      conn->due_ns += conn->period_ns;
      sift_down(1, conn);
    }
    if (!mock.heap_len || mock.heap[1]->due_ns > now)
      now = now_ns();
  }
}

static void arm_timer(void) {
  uint64_t due_ns = mock.heap_len ? mock.heap[1]->due_ns : 0;
  if (due_ns == mock.armed_ns)
    return;
  mock.armed_ns = due_ns;
  struct itimerspec at = {.it_value = {(time_t)(due_ns / 1000000000u), (long)(due_ns % 1000000000u)}};
  timerfd_settime(mock.timer, TFD_TIMER_ABSTIME, &at, NULL);
}

// In step: on the next tick of the grid that all streams of this rate share. Spread: a share of a period later.
static void begin_paced(struct conn *conn, uint64_t from_ns, size_t place) {
  conn->period_ns = (uint64_t)(1e9 / conn->plan.rate);
  conn->due_ns = from_ns + conn->plan.first_ns;
  if (conn->plan.spread)
    conn->due_ns += (uint64_t)(place * 2654435761u % 65536) * conn->period_ns / 65536;
  else
    conn->due_ns += conn->period_ns - conn->due_ns % conn->period_ns;
  conn->state = PACED;
  heap_add(conn);
}

static void hold(struct conn *conn) {
  conn->state = HELD;
  mock.held = grow(mock.held, &mock.held_room, mock.held_len + 1, sizeof *mock.held);
  mock.held[mock.held_len++] = conn;
  if (mock.held_len < conn->plan.gate)
    return;
  uint64_t now = now_ns();
  for (size_t i = 0; i < mock.held_len; i++)
    begin_paced(mock.held[i], now, i);
  mock.held_len = 0;
}

static void leave_held(const struct conn *conn) {
  for (size_t i = 0; i < mock.held_len; i++)
    if (mock.held[i] == conn)
      mock.held[i--] = mock.held[--mock.held_len];
}

// Writes until the socket is full; level-triggered, so that it comes again when there is room.
static void flood(struct conn *conn) {
  for (int turns = 0; turns < 8 && !conn->out.len && !conn->broken; turns++) {
    uint32_t left = conn->plan.tokens - conn->sent, count = left < conn->plan.per_write ? left : conn->plan.per_write;
    uint64_t now = now_ns();
    transmit(conn, text_block(count, now, conn->sent));
    conn->sent += count;
    stats.events += count;
    if (conn->sent == conn->plan.tokens) {
      end_stream(conn);
      watch(conn, conn->out.len > 0);
      next_request(conn);
      return;
    }
  }
  watch(conn, true);
}

static void begin_stream(struct conn *conn) {
  stats.streams++;
  stats.open_streams++;
  conn->sent = 0;
  if (conn->plan.mode == MODE_FLOOD) {
    conn->state = FLOODED;
    transmit(conn, text_head(true));
    flood(conn);
  } else if (conn->plan.gate > 1) {
    hold(conn);
  } else {
    begin_paced(conn, conn->arrived_ns, conn->id);
  }
}

// ---- replies ------------------------------------------------------------------------------------------------------

static void put_hist(char *to, size_t size, const struct hist *hist) {
  snprintf(to, size, "{\"count\":%lu,\"mean\":%.3f,\"variance\":%.3f,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", hist->count,
           hist_mean(hist) / 1e3, hist_variance(hist) / 1e6, hist_quantile(hist, 0.5) / 1e3, hist_quantile(hist, 0.99) / 1e3,
           (double)hist->max / 1e3);
}

static void send_stats(struct conn *conn) {
  char body[2048], late[256], ttft[256], gap[256];
  put_hist(late, sizeof late, &stats.late);
  put_hist(ttft, sizeof ttft, &stats.ttft);
  put_hist(gap, sizeof gap, &stats.gap);
  snprintf(body, sizeof body,
           "{\"connections\":%lu,\"open\":%lu,\"requests\":%lu,\"refused\":%lu,\"streams\":%lu,\"open_streams\":%lu,"
           "\"events\":%lu,\"sends\":%lu,\"blocked\":%lu,\"bytes\":%lu,\"seconds\":%.6f,\"cpu_s\":%.6f,"
           "\"first_arrival_ns\":%lu,\"kernel_arrivals\":%s,\"late_us\":%s,\"ttft_us\":%s,\"gap_us\":%s}",
           stats.connections, stats.open, stats.requests, stats.refused, stats.streams, stats.open_streams, stats.events,
           stats.sends, stats.blocked, stats.bytes, (double)(now_ns() - stats.since_ns) / 1e9, cpu_seconds() - stats.cpu_s,
           stats.first_arrival_ns, mock.kernel_stamps ? "true" : "false", late, ttft, gap);
  transmit(conn, text_reply(200, "application/json", body));
}

static void reset_stats(void) {
  uint64_t open = stats.open, open_streams = stats.open_streams;
  memset(&stats, 0, sizeof stats);
  stats.open = open;
  stats.open_streams = open_streams;
  stats.since_ns = now_ns();
  stats.cpu_s = cpu_seconds();
}

static const char *model = "mock";

static void send_models(struct conn *conn) {
  char body[512];
  snprintf(body, sizeof body,
           "{\"object\":\"list\",\"data\":[{\"id\":\"%s\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"mock\",\"simulated\":true,"
           "\"root\":\"%s\",\"parent\":null,\"max_model_len\":1048576}]}",
           model, model);
  transmit(conn, text_reply(200, "application/json", body));
}

static void send_metrics(struct conn *conn) {
  char body[512];
  snprintf(body, sizeof body, "vllm:num_requests_running{model_name=\"%s\"} %lu\nvllm:generation_tokens_total{model_name=\"%s\"} %lu\n",
           model, stats.open_streams, model, stats.events);
  transmit(conn, text_reply(200, "text/plain; version=0.0.4", body));
}

static void send_refusal(struct conn *conn, const char *why) {
  char body[256];
  snprintf(body, sizeof body, "{\"error\":{\"message\":\"%s\",\"type\":\"BadRequestError\",\"code\":400}}", why);
  stats.refused++;
  transmit(conn, text_reply(400, "application/json", body));
}

static void send_plain(struct conn *conn) {
  const struct plan *plan = &conn->plan;
  struct text text = plan->echo ? echo_reply(plan->echo, plan->echo_len, plan->logprobs)
                                : text_plain(plan->chat, plan->logprobs, conn->arrived_ns);
  if (text.data)
    transmit(conn, text);
  else
    send_refusal(conn, "the prompt is empty or too long to echo");
}

static void answer(struct conn *conn) {
  switch (conn->plan.mode) {
  case MODE_PACED:
  case MODE_FLOOD:
    begin_stream(conn);
    break;
  case MODE_PLAIN:
    send_plain(conn);
    break;
  case MODE_STATS:
    send_stats(conn);
    break;
  case MODE_RESET:
    reset_stats();
    transmit(conn, text_reply(200, "text/plain", "ok"));
    break;
  case MODE_MODELS:
    send_models(conn);
    break;
  case MODE_METRICS:
    send_metrics(conn);
    break;
  case MODE_OK:
    transmit(conn, text_reply(200, "text/plain", "ok"));
    break;
  case MODE_REFUSED:
    send_refusal(conn, conn->plan.refusal);
    break;
  }
}

// ---- connections --------------------------------------------------------------------------------------------------

// Answers what is whole; a stream's connection waits for its end. An answer may end a stream at once, which asks for the
// next request: the loop here takes it.
static void next_request(struct conn *conn) {
  if (conn->answering)
    return;
  conn->answering = true;
  while (conn->state == IDLE && conn->in.len && !conn->broken) {
    size_t used = read_request(conn->in.data, conn->in.len, &mock.defaults, &conn->plan);
    if (!used)
      break;
    if (conn->plan.mode == MODE_PACED || conn->plan.mode == MODE_FLOOD || conn->plan.mode == MODE_PLAIN) {
      stats.requests++;
      if (!stats.first_arrival_ns)
        stats.first_arrival_ns = conn->arrived_ns;
      log_note(conn->id, 0, conn->arrived_ns, LOG_ARRIVAL);
    }
    answer(conn);
    conn->in.len -= used;
    memmove(conn->in.data, conn->in.data + used, conn->in.len + 1);
  }
  conn->answering = false;
}

static void close_conn(struct conn *conn) {
  if (conn->heap_at)
    heap_remove(conn);
  if (conn->state == HELD)
    leave_held(conn);
  if (conn->state != IDLE)
    stats.open_streams--;
  stats.open--;
  close(conn->fd);
  free(conn->in.data);
  free(conn->out.data);
  free(conn);
}

static ssize_t receive(struct conn *conn, uint64_t *at_ns) {
  struct bytes *in = &conn->in;
  in->data = grow(in->data, &in->room, in->len + 513, 1);
  char *to = in->data + in->len;
  size_t room = in->room - in->len - 1;
  ssize_t got = mock.kernel_stamps ? receive_stamped(conn->fd, to, room, mock.offset, at_ns)
                                   : recv(conn->fd, to, room, MSG_DONTWAIT);
  if (!mock.kernel_stamps || !*at_ns)
    *at_ns = now_ns();
  return got;
}

static bool read_conn(struct conn *conn) {
  uint64_t at_ns = 0;
  ssize_t got = receive(conn, &at_ns);
  if (got == 0 || (got < 0 && errno != EAGAIN))
    return false;
  if (got < 0)
    return true;
  if (conn->in.len == 0)
    conn->arrived_ns = at_ns; // a request's first byte
  conn->in.len += (size_t)got;
  conn->in.data[conn->in.len] = '\0';
  next_request(conn);
  return true;
}

static void write_conn(struct conn *conn) {
  if (conn->out.len && !flush(conn))
    return;
  if (conn->state == FLOODED)
    flood(conn);
  else
    watch(conn, false);
}

static void accept_all(void) {
  for (int fd; (fd = accept4(mock.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    struct conn *conn = calloc(1, sizeof *conn);
    if (!conn)
      fail("memory");
    conn->fd = fd;
    conn->id = mock.next_id++;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (epoll_ctl(mock.poll, EPOLL_CTL_ADD, fd, &event) != 0)
      fail("epoll_ctl"); // NOLINT(clang-analyzer-unix.Malloc): the poll set keeps conn
    stats.connections++;
    stats.open++;
  }
}

static void on_ready(const struct epoll_event *event) {
  if (event->data.ptr == &mock.listener) {
    accept_all();
  } else if (event->data.ptr == &mock.timer) {
    uint64_t times;
    if (read(mock.timer, &times, sizeof times) > 0)
      mock.armed_ns = 0;
  } else {
    struct conn *conn = event->data.ptr;
    if ((event->events & (EPOLLERR | EPOLLHUP)) || ((event->events & EPOLLIN) && !read_conn(conn)))
      close_conn(conn);
    else if (event->events & EPOLLOUT)
      write_conn(conn);
  }
}

static void run(void) {
  struct epoll_event ready[256];
  while (!stopped) {
    bool behind = mock.heap_len && mock.heap[1]->due_ns <= now_ns();
    int count = epoll_wait(mock.poll, ready, 256, behind ? 0 : 1000);
    uint64_t now = now_ns();
    if (now - mock.offset_at > 500000000) {
      mock.offset = wall_offset();
      mock.offset_at = now;
    }
    for (int i = 0; i < count; i++)
      on_ready(&ready[i]);
    send_due();
    arm_timer();
  }
}

// ---- start --------------------------------------------------------------------------------------------------------

static int listen_at(int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  mock.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(mock.listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  if (bind(mock.listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(mock.listener, 16384) != 0)
    fail("listen");
  if (mock.kernel_stamps) // what it accepts inherits it
    mock.kernel_stamps = ask_kernel_stamps(mock.listener);
  socklen_t len = sizeof at;
  getsockname(mock.listener, (struct sockaddr *)&at, &len);
  return ntohs(at.sin_port);
}

static void watch_fd(int fd, void *mark) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
  epoll_ctl(mock.poll, EPOLL_CTL_ADD, fd, &event);
}

static void on_signal(int number) {
  (void)number;
  stopped = 1;
}

static int read_arguments(int argc, char **argv) {
  int port = 0;
  for (int i = 1; i < argc; i++) {
    const char *key = strncmp(argv[i], "--", 2) == 0 ? argv[i] + 2 : "", *value = i + 1 < argc ? argv[i + 1] : "";
    i += strcmp(key, "user-stamps") != 0;
    if (strcmp(key, "user-stamps") == 0)
      mock.kernel_stamps = false;
    else if (strcmp(key, "port") == 0)
      port = (int)strtol(value, NULL, 10);
    else if (strcmp(key, "cpu") == 0)
      pin_to((int)strtol(value, NULL, 10));
    else if (strcmp(key, "model") == 0 && strlen(value) < 64)
      model = value;
    else if (strcmp(key, "log") == 0)
      log_open(value);
    else if (!plan_set(&mock.defaults, key, strlen(key), value, strlen(value))) {
      fprintf(stderr, "mock: unknown option or bad value: --%s %s\n", key, value);
      exit(2);
    }
  }
  return port;
}

int main(int argc, char **argv) {
  mock.kernel_stamps = true;
  mock.defaults = (struct plan){.rate = 50, .per_write = 64};
  int port = read_arguments(argc, argv);
  raise_descriptors();
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  text_open(model);
  mock.poll = epoll_create1(EPOLL_CLOEXEC);
  mock.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  port = listen_at(port);
  watch_fd(mock.listener, &mock.listener);
  watch_fd(mock.timer, &mock.timer);
  reset_stats();
  mock.offset = wall_offset();
  printf("listening %d\n", port);
  fflush(stdout);
  run();
  log_write();
  return 0;
}
