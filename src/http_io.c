// SPDX-License-Identifier: Apache-2.0
// http_io: the I/O thread: its libuv loop, curl's sockets and timer on it, the lanes' windows.
//
// Everything here runs on that thread but ql_http_io_open. Curl says which sockets to watch and when to
// call again; each call may finish transfers, and each finished one makes room for its lane's next.
// Not obvious: curl's timer of zero means "at once", and a uv_timer of zero fires a turn of the loop
// later than an idle handle, with a rounding to the next millisecond in between; so zero is an idle turn.

#include "http_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct ql_http_watch {
  uv_poll_t poll;
  curl_socket_t fd;
  int events;
  uint64_t number; // of the job that asked last: the descriptor may have gone to another
  struct ql_http *http;
};

// ---- the window ---------------------------------------------------------------------------------------

static void list_add(struct ql_http_list *list, struct ql_http_job *job) {
  job->list = list;
  job->next = NULL;
  job->prev = list->last;
  if (list->last)
    list->last->next = job;
  else
    list->first = job;
  list->last = job;
  list->count++;
}

static void list_remove(struct ql_http_job *job) {
  struct ql_http_list *list = job->list;
  if (job->prev)
    job->prev->next = job->next;
  else
    list->first = job->next;
  if (job->next)
    job->next->prev = job->prev;
  else
    list->last = job->prev;
  list->count--;
}

static void count(atomic_uint_fast64_t *counter, uint64_t more) {
  atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

// A start can fail at once and come back here by ql_http_job_ended: the flag makes that a loop, not a recursion.
static void feed(struct ql_http_lane *lane) {
  if (lane->is_feeding)
    return;
  lane->is_feeding = true;
  while (lane->waiting.first && lane->flying.count < lane->max_in_flight) {
    struct ql_http_job *job = lane->waiting.first;
    list_remove(job);
    list_add(&lane->flying, job);
    atomic_fetch_sub_explicit(&lane->queued, 1, memory_order_relaxed);
    count(&lane->in_flight, 1);
    ql_http_transfer_start(lane->http, job);
  }
  lane->is_feeding = false;
}

void ql_http_job_ended(struct ql_http_job *job) {
  struct ql_http_lane *lane = job->lane;
  bool was_started = job->reply->marks.start_ns != 0;
  list_remove(job);
  ql_http_alarm_clear(&lane->http->starts, &job->start);
  atomic_fetch_sub_explicit(was_started ? &lane->in_flight : &lane->queued, 1, memory_order_relaxed);
  count(&lane->done, 1);
  if (job->reply->error)
    count(&lane->failed, 1);
  ql_http_hand_back(job);
  feed(lane);
}

static void cancel_lane(struct ql_http *http, struct ql_http_lane *lane) {
  while (lane->later.first)
    ql_http_transfer_cancel(http, lane->later.first);
  while (lane->waiting.first) // first, or each place that gets free would be filled from here
    ql_http_transfer_cancel(http, lane->waiting.first);
  while (lane->flying.first)
    ql_http_transfer_cancel(http, lane->flying.first);
}

static void cancel_one(struct ql_http *http, struct ql_http_lane *lane, uint64_t number) {
  struct ql_http_list *lists[] = {&lane->later, &lane->waiting, &lane->flying};
  for (size_t i = 0; i < QL_LEN(lists); i++)
    for (struct ql_http_job *job = lists[i]->first; job; job = job->next)
      if (job->number == number) {
        ql_http_transfer_cancel(http, job);
        return;
      }
}

// ---- starts that wait for their moment ----------------------------------------------------------------

// Only an earlier moment moves the timer: one that fires for a start that was cancelled sets it anew.
static void set_start_timer(struct ql_http *http) {
  uint64_t next_ns = ql_http_alarm_next(&http->starts);
  if (next_ns >= http->start_set_ns)
    return;
  struct itimerspec at = {.it_value = {.tv_sec = (time_t)(next_ns / 1000000000u),
                                       .tv_nsec = (long)(next_ns % 1000000000u)}};
  timerfd_settime(http->start_fd, TFD_TIMER_ABSTIME, &at, NULL);
  http->start_set_ns = next_ns;
}

static void start_due(struct ql_http *http) {
  struct ql_http_alarm *alarm;
  while ((alarm = ql_http_alarm_due(&http->starts, ql_now_ns()))) {
    struct ql_http_job *job = (struct ql_http_job *)((char *)alarm - offsetof(struct ql_http_job, start));
    struct ql_http_lane *lane = job->lane;
    list_remove(job);
    list_add(&lane->waiting, job);
    feed(lane);
  }
}

static void on_start_timer(uv_poll_t *poll, int status, int events) {
  struct ql_http *http = poll->data;
  uint64_t fired;
  (void)status, (void)events;
  if (read(http->start_fd, &fired, sizeof fired) != sizeof fired)
    return;
  http->start_set_ns = UINT64_MAX;
  start_due(http);
  set_start_timer(http);
}

static void take_job(struct ql_http *http, struct ql_http_job *job) {
  struct ql_http_lane *lane = job->lane;
  job->reply->marks.due_ns = job->request.start_at_ns;
  if (job->request.start_at_ns > ql_now_ns()) {
    list_add(&lane->later, job);
    ql_http_alarm_set(&http->starts, &job->start, job->request.start_at_ns);
    set_start_timer(http);
    return;
  }
  list_add(&lane->waiting, job);
  feed(lane);
}

// ---- curl on the loop ---------------------------------------------------------------------------------

static void take_finished(struct ql_http *http) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(http->multi, &left))) {
    struct ql_http_job *job = NULL;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &job);
    ql_http_transfer_done(http, job, code);
  }
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  struct ql_http_watch *watch = poll->data;
  struct ql_http *http = watch->http;
  // An error has stopped the watch. What came before it is still to be read, and the read after that says
  // what it was, where CURL_CSELECT_ERR would lose both.
  if (status < 0) {
    events = watch->events;
    uv_poll_start(poll, events, on_ready);
  }
  int flags = 0;
  if (events & UV_READABLE)
    flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE)
    flags |= CURL_CSELECT_OUT;
  int running;
  curl_multi_socket_action(http->multi, watch->fd, flags, &running); // may close the watch
  take_finished(http);
}

static void free_watch(uv_handle_t *handle) { free(handle->data); }

static struct ql_http_watch *watch_of(const struct ql_http *http, curl_socket_t fd) {
  return fd >= 0 && (size_t)fd < http->watch_cap ? http->watches[fd] : NULL;
}

static struct ql_http_watch *add_watch(struct ql_http *http, curl_socket_t fd) {
  struct ql_http_watch *watch = ql_calloc(1, sizeof *watch);
  watch->fd = fd;
  watch->http = http;
  if (uv_poll_init_socket(&http->uv, &watch->poll, fd) != 0) {
    free(watch);
    return NULL;
  }
  watch->poll.data = watch;
  if ((size_t)fd >= http->watch_cap) {
    size_t cap = (size_t)fd * 2 + 64;
    http->watches = ql_realloc(http->watches, cap * sizeof(struct ql_http_watch *));
    memset(http->watches + http->watch_cap, 0, (cap - http->watch_cap) * sizeof(struct ql_http_watch *));
    http->watch_cap = cap;
  }
  http->watches[fd] = watch;
  return watch;
}

static void unwatch(struct ql_http *http, curl_socket_t fd) {
  struct ql_http_watch *watch = watch_of(http, fd);
  if (!watch)
    return;
  http->watches[fd] = NULL;
  uv_close((uv_handle_t *)&watch->poll, free_watch);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known) {
  (void)known;
  struct ql_http *http = arg;
  struct ql_http_job *job = NULL;
  if (what == CURL_POLL_REMOVE) {
    unwatch(http, fd);
    return 0;
  }
  struct ql_http_watch *watch = watch_of(http, fd);
  if (!watch)
    watch = add_watch(http, fd);
  if (!watch)
    return -1;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &job);
  watch->number = job ? job->number : 0;
  watch->events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
  return uv_poll_start(&watch->poll, watch->events, on_ready) == 0 ? 0 : -1;
}

// A socket that was still connecting is closed by libcurl 7.88 before it says so, or, when the next one got the
// same number, without saying so at all. Hence two cares: a new socket under a watched number is registered
// with the kernel anew, and a transfer that ends before it was connected takes its watches along.
curl_socket_t ql_http_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
  (void)purpose;
  struct ql_http_job *job = arg;
  struct ql_http *http = job->lane->http;
  int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0)
    return CURL_SOCKET_BAD;
  struct ql_http_watch *stale = watch_of(http, fd);
  if (stale)
    uv_poll_start(&stale->poll, stale->events, on_ready);
  job->sockets[address->family == AF_INET6] = fd;
  return fd;
}

void ql_http_unwatch_job(struct ql_http *http, const struct ql_http_job *job) {
  for (size_t i = 0; i < QL_LEN(job->sockets); i++) {
    const struct ql_http_watch *watch = watch_of(http, job->sockets[i]);
    if (watch && watch->number == job->number)
      unwatch(http, job->sockets[i]);
  }
}

static void time_out(struct ql_http *http) {
  int running;
  curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  take_finished(http);
}

static void on_kick(uv_idle_t *kick) {
  uv_idle_stop(kick);
  time_out(kick->data);
}

static void on_timer(uv_timer_t *timer) { time_out(timer->data); }

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg) {
  (void)multi;
  struct ql_http *http = arg;
  uv_idle_stop(&http->kick);
  uv_timer_stop(&http->timer);
  if (timeout_ms == 0)
    uv_idle_start(&http->kick, on_kick);
  else if (timeout_ms > 0)
    uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
  return 0;
}

// ---- messages -----------------------------------------------------------------------------------------

// Curl closes kept connections beyond this number, which by default follows the handles of the moment.
static void resize_pool(struct ql_http *http, long change) {
  http->max_connections += change;
  curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, http->max_connections + 8);
}

static void say_gone(struct ql_http *http, struct ql_http_message *message) {
  bool was_empty;
  message->kind = QL_HTTP_LANE_GONE;
  ql_http_box_put(&http->outbox, message, &was_empty);
  if (was_empty)
    ql_bell_ring(http->bell);
}

static void stop(struct ql_http *http) {
  http->is_stopping = true;
  for (struct ql_http_lane *lane = http->lanes; lane; lane = lane->next) // the main thread waits in its join
    cancel_lane(http, lane);
  uv_stop(&http->uv);
}

// Returns whether the message may be freed.
static bool obey(struct ql_http *http, struct ql_http_message *message) {
  struct ql_http_lane *lane = message->lane;
  switch (message->kind) {
  case QL_HTTP_SEND:
    take_job(http, message->job);
    return false; // part of the job, which may be gone by now
  case QL_HTTP_CANCEL_ONE:
    cancel_one(http, lane, message->number);
    return true;
  case QL_HTTP_CANCEL_LANE:
    cancel_lane(http, lane);
    return true;
  case QL_HTTP_OPEN_LANE:
    resize_pool(http, (long)lane->max_in_flight);
    return true;
  case QL_HTTP_CLOSE_LANE:
    cancel_lane(http, lane);
    resize_pool(http, -(long)lane->max_in_flight);
    say_gone(http, message);
    return false;
  case QL_HTTP_STOP:
    stop(http);
    return true;
  case QL_HTTP_REPLY:
  case QL_HTTP_LANE_GONE:
    break; // never in this box
  }
  return true;
}

static void on_wake(uv_async_t *wake) {
  struct ql_http *http = wake->data;
  struct ql_http_message *message = ql_http_box_take(&http->inbox);
  while (message) {
    struct ql_http_message *next = message->next; // obeying may give the message away
    if (obey(http, message))
      free(message);
    message = next;
  }
}

// ---- the thread ---------------------------------------------------------------------------------------

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

int ql_http_io_open(struct ql_http *http, struct ql_err *err) {
  http->multi = curl_multi_init();
  if (!http->multi)
    return ql_fail(err, QL_E_INTERNAL, "cannot make a libcurl multi handle");
  http->start_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (http->start_fd < 0) {
    curl_multi_cleanup(http->multi);
    return ql_fail(err, QL_E_INTERNAL, "cannot make a timer: %s", strerror(errno));
  }
  int rc = uv_loop_init(&http->uv);
  if (rc != 0) {
    close(http->start_fd);
    curl_multi_cleanup(http->multi);
    return ql_fail(err, QL_E_INTERNAL, "cannot make the i/o loop: %s", uv_strerror(rc));
  }
  uv_loop_configure(&http->uv, UV_METRICS_IDLE_TIME);
  uv_async_init(&http->uv, &http->wake, on_wake);
  uv_timer_init(&http->uv, &http->timer);
  uv_idle_init(&http->uv, &http->kick);
  uv_poll_init(&http->uv, &http->start_poll, http->start_fd);
  uv_poll_start(&http->start_poll, UV_READABLE, on_start_timer);
  http->start_set_ns = UINT64_MAX;
  http->start_poll.data = http->wake.data = http->timer.data = http->kick.data = http;
  curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
  curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
  curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
  curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  http->no_proxy = make_no_proxy();
  return 0;
}

void *ql_http_thread(void *arg) {
  struct ql_http *http = arg;
  while (!http->is_stopping)
    uv_run(&http->uv, UV_RUN_DEFAULT);
  ql_http_slots_free(http);
  curl_multi_cleanup(http->multi); // closes the kept connections
  for (size_t fd = 0; fd < http->watch_cap; fd++)
    unwatch(http, (curl_socket_t)fd);
  uv_close((uv_handle_t *)&http->wake, NULL);
  uv_close((uv_handle_t *)&http->timer, NULL);
  uv_close((uv_handle_t *)&http->kick, NULL);
  uv_close((uv_handle_t *)&http->start_poll, NULL);
  uv_run(&http->uv, UV_RUN_DEFAULT);
  uv_loop_close(&http->uv);
  close(http->start_fd);
  ql_http_alarms_free(&http->starts);
  free(http->watches);
  return NULL;
}
