// SPDX-License-Identifier: Apache-2.0
// http: see http.h. The main thread's side: lanes, sending, and handing replies over.
//
// Owns the I/O threads and their boxes. Talks to the other side by messages only; a lane is freed when
// every I/O thread has said that it has forgotten it, which comes behind the lane's last reply there.

#include "http_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// ---- boxes --------------------------------------------------------------------------------------------

static void box_init(struct ql_http_box *box) {
  pthread_mutex_init(&box->lock, NULL);
  box->first = NULL;
  box->end = &box->first;
}

void ql_http_box_put(struct ql_http_box *box, struct ql_http_message *message, bool *was_empty) {
  message->next = NULL;
  pthread_mutex_lock(&box->lock);
  *was_empty = !box->first;
  *box->end = message;
  box->end = &message->next;
  pthread_mutex_unlock(&box->lock);
}

struct ql_http_message *ql_http_box_take(struct ql_http_box *box) {
  pthread_mutex_lock(&box->lock);
  struct ql_http_message *first = box->first;
  box->first = NULL;
  box->end = &box->first;
  pthread_mutex_unlock(&box->lock);
  return first;
}

void ql_http_tell(struct ql_http_io *io, struct ql_http_message *message) {
  bool was_empty;
  ql_http_box_put(&io->inbox, message, &was_empty);
  if (!was_empty)
    return;
  const uint64_t one = 1;
  ssize_t put;
  do
    put = write(io->wake.fd, &one, sizeof one); // fails only when 2^64 of them were not read: they wake all the same
  while (put < 0 && errno == EINTR);
}

static void tell_part(struct ql_http_part *part, enum ql_http_message_kind kind, uint64_t number) {
  struct ql_http_message *message = ql_calloc(1, sizeof *message);
  message->kind = kind;
  message->part = part;
  message->number = number;
  ql_http_tell(part->io, message);
}

static void tell_lane(struct ql_http_lane *lane, enum ql_http_message_kind kind) {
  for (uint32_t i = 0; i < lane->http->io_count; i++)
    tell_part(&lane->parts[i], kind, 0);
}

void ql_http_hand_back(struct ql_http_job *job) {
  struct ql_http_io *io = job->part->io;
  bool was_empty;
  job->message.kind = QL_HTTP_REPLY;
  ql_http_box_put(&io->outbox, &job->message, &was_empty);
  if (was_empty)
    ql_bell_ring(io->http->bell);
}

// ---- handing replies over -----------------------------------------------------------------------------

static void forget_part(struct ql_http *http, struct ql_http_part *part) {
  struct ql_http_lane *lane = part->lane;
  if (--lane->parts_left)
    return;
  struct ql_http_lane **at = &http->lanes;
  while (*at != lane)
    at = &(*at)->next;
  *at = lane->next;
  free(lane);
}

static void deliver_of(struct ql_http *http, struct ql_http_io *io) {
  struct ql_http_message *message = ql_http_box_take(&io->outbox);
  while (message) {
    struct ql_http_message *next = message->next;
    if (message->kind == QL_HTTP_REPLY) {
      struct ql_http_job *job = message->job;
      http->awaited--;
      job->on_reply(job->arg, job->reply);
      ql_http_job_free(job);
    } else {
      forget_part(http, message->part);
      free(message);
    }
    message = next;
  }
}

static void deliver(void *arg) {
  struct ql_http *http = arg;
  for (uint32_t i = 0; i < http->io_count; i++)
    deliver_of(http, &http->ios[i]);
  if (!http->awaited && http->anchor) {
    ql_timer_stop(http->anchor);
    http->anchor = NULL;
  }
}

// A year in ms: the timer is there to be there.
static void keep_loop(struct ql_http *http);
static void renew_anchor(void *arg) {
  struct ql_http *http = arg;
  http->anchor = NULL;
  keep_loop(http);
}

static void keep_loop(struct ql_http *http) {
  if (!http->anchor)
    http->anchor = ql_timer_start(http->loop, UINT64_C(365) * 24 * 3600 * 1000, renew_anchor, http);
}

// ---- open and close -----------------------------------------------------------------------------------

// A thousand streams are a thousand descriptors, and the usual soft limit is 1,024.
static void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= 65536)
    return;
  limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Signals are the main thread's. A blocked SIGPIPE is also what CURLOPT_NOSIGNAL asks for: TLS writes raise it.
static int start_thread(struct ql_http_io *io) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&io->thread, NULL, ql_http_thread, io);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  io->is_running = rc == 0;
  return rc;
}

// The hosts that no redirect may take to a proxy, behind those that the user has named.
static char *make_no_proxy(void) {
  const char *named = getenv("no_proxy");
  if (!named)
    named = getenv("NO_PROXY");
  if (named && strcmp(named, "*") == 0)
    return ql_strdup("*");
  struct ql_buf text;
  ql_buf_init(&text, 0);
  ql_buf_addf(&text, "%s%slocalhost,127.0.0.0/8,::1", named ? named : "", named && *named ? "," : "");
  return ql_buf_take(&text, NULL);
}

static const char *filled(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

// $HTTP_PROXY, which other clients obey and libcurl does not: inside a CGI it is a header that anybody may send.
static const char *upper_case_proxy(void) {
  if (filled("http_proxy") || getenv("REQUEST_METHOD"))
    return NULL;
  return filled("HTTP_PROXY");
}

// Does the environment name a proxy for http://, by the variables that libcurl reads or by the one we add?
static bool has_proxy(void) {
  return filled("http_proxy") || filled("all_proxy") || filled("ALL_PROXY") || upper_case_proxy();
}

static int open_ios(struct ql_http *http, struct ql_err *err) {
  for (uint32_t i = 0; i < http->io_count; i++) {
    struct ql_http_io *io = &http->ios[i];
    io->http = http;
    io->epoll_fd = io->wake.fd = io->timer.fd = -1;
    box_init(&io->inbox);
    box_init(&io->outbox);
  }
  for (uint32_t i = 0; i < http->io_count; i++)
    if (ql_http_io_open(&http->ios[i], err) != 0)
      return -1;
  for (uint32_t i = 0; i < http->io_count; i++) {
    int rc = start_thread(&http->ios[i]);
    if (rc != 0)
      return ql_fail(err, QL_E_INTERNAL, "cannot start an i/o thread: %s", strerror(rc));
  }
  return 0;
}

static void stop_ios(struct ql_http *http) {
  for (uint32_t i = 0; i < http->io_count; i++) {
    if (!http->ios[i].is_running)
      continue;
    struct ql_http_message *stop = ql_calloc(1, sizeof *stop);
    stop->kind = QL_HTTP_STOP;
    ql_http_tell(&http->ios[i], stop);
  }
  for (uint32_t i = 0; i < http->io_count; i++)
    if (http->ios[i].is_running)
      pthread_join(http->ios[i].thread, NULL);
}

static void free_http(struct ql_http *http) {
  for (uint32_t i = 0; i < http->io_count; i++) {
    ql_http_io_close(&http->ios[i]);
    pthread_mutex_destroy(&http->ios[i].inbox.lock);
    pthread_mutex_destroy(&http->ios[i].outbox.lock);
  }
  free(http->no_proxy);
  free(http->proxy);
  free(http->last_url);
  free(http->ios);
  free(http);
}

struct ql_http *ql_http_open(struct ql_loop *loop, const struct ql_http_options *options, struct ql_err *err) {
  uint32_t count = options->io_threads ? options->io_threads : 1;
  if (count > QL_HTTP_MAX_THREADS) {
    ql_fail(err, QL_E_USAGE, "i/o threads: want at most %d, got %u", QL_HTTP_MAX_THREADS, (unsigned)count);
    return NULL;
  }
  raise_file_limit();
  struct ql_http *http = ql_calloc(1, sizeof *http);
  http->loop = loop;
  http->no_proxy = make_no_proxy();
  http->has_proxy = has_proxy();
  const char *proxy = upper_case_proxy();
  http->proxy = proxy ? ql_strdup(proxy) : NULL;
  http->io_count = count;
  http->ios = ql_calloc(count, sizeof *http->ios);
  http->bell = ql_bell_open(loop, deliver, http);
  if (open_ios(http, err) != 0) {
    stop_ios(http);
    ql_bell_close(http->bell);
    free_http(http);
    return NULL;
  }
  return http;
}

void ql_http_close(struct ql_http *http) {
  if (!http)
    return;
  http->is_closing = true;
  stop_ios(http);
  ql_bell_close(http->bell);
  deliver(http);
  while (http->lanes) {
    struct ql_http_lane *lane = http->lanes;
    http->lanes = lane->next;
    free(lane);
  }
  free_http(http);
}

// ---- lanes --------------------------------------------------------------------------------------------

struct ql_http_lane *ql_http_lane_open(struct ql_http *http, const struct ql_http_lane_options *options) {
  uint32_t count = http->io_count, window = options->max_in_flight ? options->max_in_flight : 64;
  struct ql_http_lane *lane = ql_calloc(1, sizeof *lane + count * sizeof lane->parts[0]);
  lane->http = http;
  lane->max_queued = options->max_queued ? options->max_queued : 65536;
  lane->parts_left = count;
  for (uint32_t i = 0; i < count; i++) {
    lane->parts[i].lane = lane;
    lane->parts[i].io = &http->ios[i];
    lane->parts[i].max_in_flight = window / count + (i < window % count);
  }
  lane->next = http->lanes;
  http->lanes = lane;
  tell_lane(lane, QL_HTTP_OPEN_LANE);
  return lane;
}

void ql_http_lane_cancel(struct ql_http_lane *lane) { tell_lane(lane, QL_HTTP_CANCEL_LANE); }

void ql_http_lane_close(struct ql_http_lane *lane) {
  if (!lane || lane->is_closed)
    return;
  lane->is_closed = true;
  tell_lane(lane, QL_HTTP_CLOSE_LANE);
}

// The part with the least on its hands; where all have the same, the next in turn.
static struct ql_http_part *choose_part(struct ql_http_lane *lane) {
  uint32_t count = lane->http->io_count, turn = (uint32_t)(lane->http->last_number % count);
  struct ql_http_part *best = NULL;
  uint64_t best_left = UINT64_MAX;
  for (uint32_t i = 0; i < count; i++) {
    struct ql_http_part *part = &lane->parts[(turn + i) % count];
    uint64_t left = part->sent - atomic_load_explicit(&part->done, memory_order_relaxed);
    if (!part->max_in_flight || left >= best_left)
      continue;
    best = part;
    best_left = left;
  }
  return best;
}

static uint64_t queued_of(const struct ql_http_lane *lane) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < lane->http->io_count; i++)
    sum += atomic_load_explicit(&lane->parts[i].queued, memory_order_relaxed);
  return sum;
}

uint64_t ql_http_send(struct ql_http_lane *lane, const struct ql_http_request *request, ql_http_on_reply on_reply,
                      void *arg, struct ql_err *err) {
  struct ql_http *http = lane->http;
  if (http->is_closing || lane->is_closed) {
    ql_fail(err, QL_E_CANCELLED, "the http client is closed");
    return 0;
  }
  if (queued_of(lane) >= lane->max_queued) {
    ql_fail(err, QL_E_LIMIT, "queue of requests is full: %u are waiting", (unsigned)lane->max_queued);
    return 0;
  }
  uint64_t now_ns = ql_now_ns();
  struct ql_http_job *job = ql_http_job_new(http, request, err);
  if (!job)
    return 0;
  struct ql_http_part *part = choose_part(lane);
  // The number says which part it went to: see ql_http_cancel.
  uint64_t number = job->number = ++http->last_number * QL_HTTP_MAX_THREADS + (uint64_t)(part - lane->parts);
  http->awaited++;
  keep_loop(http);
  job->part = part;
  job->on_reply = on_reply;
  job->arg = arg;
  job->reply->marks.queued_ns = now_ns;
  job->message.kind = QL_HTTP_SEND;
  job->message.part = part;
  job->message.job = job;
  part->sent++;
  atomic_fetch_add_explicit(&part->queued, 1, memory_order_relaxed);
  ql_http_tell(part->io, &job->message);
  return number; // the job is no longer ours to read
}

void ql_http_cancel(struct ql_http_lane *lane, uint64_t number) {
  uint64_t index = number % QL_HTTP_MAX_THREADS;
  if (index < lane->http->io_count)
    tell_part(&lane->parts[index], QL_HTTP_CANCEL_ONE, number);
}
