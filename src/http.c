// SPDX-License-Identifier: Apache-2.0
// http: see http.h. The main thread's side: lanes, sending, and handing replies over.
//
// Owns the I/O thread and both boxes. Talks to the other side by messages only; a lane is freed when
// the I/O thread has said that it has forgotten it, which comes behind the lane's last reply.

#include "http_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

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

static void tell(struct ql_http *http, struct ql_http_message *message) {
  bool was_empty;
  ql_http_box_put(&http->inbox, message, &was_empty);
  if (was_empty)
    uv_async_send(&http->wake);
}

static void tell_lane(struct ql_http_lane *lane, enum ql_http_message_kind kind, uint64_t number) {
  struct ql_http_message *message = ql_calloc(1, sizeof *message);
  message->kind = kind;
  message->lane = lane;
  message->number = number;
  tell(lane->http, message);
}

void ql_http_hand_back(struct ql_http_job *job) {
  struct ql_http *http = job->lane->http;
  bool was_empty;
  job->message.kind = QL_HTTP_REPLY;
  ql_http_box_put(&http->outbox, &job->message, &was_empty);
  if (was_empty)
    ql_bell_ring(http->bell);
}

// ---- handing replies over -----------------------------------------------------------------------------

static void forget_lane(struct ql_http *http, struct ql_http_lane *lane) {
  struct ql_http_lane **at = &http->lanes;
  while (*at != lane)
    at = &(*at)->next;
  *at = lane->next;
  free(lane);
}

static void deliver(void *arg) {
  struct ql_http *http = arg;
  struct ql_http_message *message = ql_http_box_take(&http->outbox);
  while (message) {
    struct ql_http_message *next = message->next;
    if (message->kind == QL_HTTP_REPLY) {
      struct ql_http_job *job = message->job;
      http->awaited--;
      job->on_reply(job->arg, job->reply);
      ql_http_job_free(job);
    } else {
      forget_lane(http, message->lane);
      free(message);
    }
    message = next;
  }
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
static int start_thread(struct ql_http *http) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&http->thread, NULL, ql_http_thread, http);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc;
}

struct ql_http *ql_http_open(struct ql_loop *loop, struct ql_err *err) {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    ql_fail(err, QL_E_INTERNAL, "cannot initialise libcurl");
    return NULL;
  }
  raise_file_limit();
  struct ql_http *http = ql_calloc(1, sizeof *http);
  http->loop = loop;
  box_init(&http->inbox);
  box_init(&http->outbox);
  if (ql_http_io_open(http, err) != 0) {
    free(http);
    return NULL;
  }
  http->bell = ql_bell_open(loop, deliver, http);
  int rc = start_thread(http);
  if (rc != 0) {
    // The loop's handles are closed by the thread alone; without one they stay, once, as does the memory.
    ql_bell_close(http->bell);
    ql_fail(err, QL_E_INTERNAL, "cannot start the i/o thread: %s", strerror(rc));
    return NULL;
  }
  return http;
}

void ql_http_close(struct ql_http *http) {
  if (!http)
    return;
  struct ql_http_message *stop = ql_calloc(1, sizeof *stop);
  stop->kind = QL_HTTP_STOP;
  http->is_closing = true;
  tell(http, stop);
  pthread_join(http->thread, NULL);
  ql_bell_close(http->bell);
  deliver(http);
  while (http->lanes) {
    struct ql_http_lane *lane = http->lanes;
    http->lanes = lane->next;
    free(lane);
  }
  pthread_mutex_destroy(&http->inbox.lock);
  pthread_mutex_destroy(&http->outbox.lock);
  free(http->no_proxy);
  free(http);
  curl_global_cleanup();
}

// ---- lanes --------------------------------------------------------------------------------------------

struct ql_http_lane *ql_http_lane_open(struct ql_http *http, const struct ql_http_lane_options *options) {
  struct ql_http_lane *lane = ql_calloc(1, sizeof *lane);
  lane->http = http;
  lane->max_in_flight = options->max_in_flight ? options->max_in_flight : 64;
  lane->max_queued = options->max_queued ? options->max_queued : 65536;
  lane->next = http->lanes;
  http->lanes = lane;
  tell_lane(lane, QL_HTTP_OPEN_LANE, 0);
  return lane;
}

void ql_http_lane_cancel(struct ql_http_lane *lane) { tell_lane(lane, QL_HTTP_CANCEL_LANE, 0); }

void ql_http_lane_close(struct ql_http_lane *lane) {
  if (!lane || lane->is_closed)
    return;
  lane->is_closed = true;
  tell_lane(lane, QL_HTTP_CLOSE_LANE, 0);
}

uint64_t ql_http_send(struct ql_http_lane *lane, const struct ql_http_request *request, ql_http_on_reply on_reply,
                      void *arg, struct ql_err *err) {
  struct ql_http *http = lane->http;
  if (http->is_closing || lane->is_closed) {
    ql_fail(err, QL_E_CANCELLED, "the http client is closed");
    return 0;
  }
  if (atomic_load_explicit(&lane->queued, memory_order_relaxed) >= lane->max_queued) {
    ql_fail(err, QL_E_LIMIT, "queue of requests is full: %u are waiting", (unsigned)lane->max_queued);
    return 0;
  }
  uint64_t now_ns = ql_now_ns();
  struct ql_http_job *job = ql_http_job_new(request, err);
  if (!job)
    return 0;
  uint64_t number = job->number = ++http->last_number;
  http->awaited++;
  keep_loop(http);
  job->lane = lane;
  job->on_reply = on_reply;
  job->arg = arg;
  job->reply->marks.queued_ns = now_ns;
  job->message = (struct ql_http_message){.kind = QL_HTTP_SEND, .lane = lane, .job = job};
  atomic_fetch_add_explicit(&lane->queued, 1, memory_order_relaxed);
  tell(http, &job->message);
  return number; // the job is no longer ours to read
}

void ql_http_cancel(struct ql_http_lane *lane, uint64_t number) { tell_lane(lane, QL_HTTP_CANCEL_ONE, number); }

static uint64_t cpu_ns_of(pthread_t thread) {
  clockid_t clock;
  struct timespec used;
  if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &used) != 0)
    return 0;
  return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

void ql_http_lane_stats(struct ql_http_lane *lane, struct ql_http_stats *stats) {
#define READ(field) .field = atomic_load_explicit(&lane->field, memory_order_relaxed)
  *stats = (struct ql_http_stats){
      READ(queued),         READ(in_flight), READ(done),   READ(failed),     READ(connections),
      READ(received_bytes), READ(reads),     READ(events), READ(file_bytes), READ(file_total_bytes),
  };
#undef READ
  stats->io_cpu_ns = cpu_ns_of(lane->http->thread);
  stats->io_idle_ns = uv_metrics_idle_time(&lane->http->uv);
}
