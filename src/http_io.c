// SPDX-License-Identifier: Apache-2.0
// http_io: an I/O thread: its epoll loop, its timer, the lanes' windows, and the moments that requests wait for.
//
// Everything here runs on that thread but ql_http_io_open and ql_http_io_close. Both transports register their
// sockets here; each call of theirs may finish transfers, and each finished one makes room for its lane's next.
// Not obvious: the eventfd and the timerfd are edge-triggered, so neither is ever read; and alarms are looked at
// after every descriptor whose handler has read the clock, not once per turn: a turn under load lasts longer than
// what a dispatch may be late.

#include "http_internal.h"
#include "http_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BATCH 256

uint64_t ql_http_io_now(struct ql_http_io *io) { return io->now_ns = ql_now_ns(); }

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

void ql_http_job_start_mark(struct ql_http_job *job) {
  struct ql_http_marks *marks = &job->reply->marks;
  marks->start_ns = ql_http_io_now(job->part->io);
  if (marks->due_ns)
    ql_http_hist_add(&job->part->dispatch_lag, marks->start_ns > marks->due_ns ? marks->start_ns - marks->due_ns : 0);
}

static void start(struct ql_http_job *job) {
  if (job->is_plain)
    ql_http_plain_start(job);
  else
    ql_http_transfer_start(job);
}

// A start can fail at once and come back here by ql_http_job_ended: the flag makes that a loop, not a recursion.
static void feed(struct ql_http_part *part) {
  if (part->is_feeding)
    return;
  part->is_feeding = true;
  while (part->waiting.first && part->flying.count < part->max_in_flight) {
    struct ql_http_job *job = part->waiting.first;
    list_remove(job);
    list_add(&part->flying, job);
    atomic_fetch_sub_explicit(&part->queued, 1, memory_order_relaxed);
    ql_http_count(&part->in_flight, 1);
    start(job);
  }
  part->is_feeding = false;
}

void ql_http_job_ended(struct ql_http_job *job) {
  struct ql_http_part *part = job->part;
  bool was_started = job->list == &part->flying;
  list_remove(job);
  ql_http_alarm_clear(&part->io->alarms, &job->alarm);
  if (was_started)
    ql_http_count(&part->in_flight, UINT64_MAX); // one less
  else
    atomic_fetch_sub_explicit(&part->queued, 1, memory_order_relaxed);
  if (job->reply->error)
    ql_http_count(&part->failed, 1);
  ql_http_count(&part->done, 1);
  ql_http_hand_back(job);
  feed(part);
}

static void cancel(struct ql_http_job *job) {
  bool is_flying = job->list == &job->part->flying;
  ql_fail(ql_http_failure_of(job), QL_E_CANCELLED, "%s: cancelled %s", job->where,
          is_flying ? "in flight" : "before it was sent");
  if (is_flying && job->is_plain) {
    ql_http_plain_stop(job);
  } else if (is_flying) {
    ql_http_transfer_stop(job);
  } else {
    job->reply->error = job->failure;
    job->failure = NULL;
    ql_http_job_ended(job);
  }
}

static void cancel_part(struct ql_http_part *part) {
  while (part->later.first)
    cancel(part->later.first);
  while (part->waiting.first) // before those in flight, or each place that gets free would be filled from here
    cancel(part->waiting.first);
  while (part->flying.first)
    cancel(part->flying.first);
}

static void cancel_one(struct ql_http_part *part, uint64_t number) {
  struct ql_http_list *lists[] = {&part->later, &part->waiting, &part->flying};
  for (size_t i = 0; i < QL_LEN(lists); i++)
    for (struct ql_http_job *job = lists[i]->first; job; job = job->next)
      if (job->number == number) {
        cancel(job);
        return;
      }
}

// ---- alarms -------------------------------------------------------------------------------------------

// Only an earlier moment moves the timer: one that fires for nothing any more is set anew then.
static void set_timer(struct ql_http_io *io) {
  uint64_t next_ns = ql_http_alarm_next(&io->alarms);
  if (next_ns >= io->timer_set_ns)
    return;
  struct itimerspec at = {
      .it_value = {.tv_sec = (time_t)(next_ns / 1000000000u), .tv_nsec = (long)(next_ns % 1000000000u)}};
  if (!next_ns)
    at.it_value.tv_nsec = 1; // all zero would switch it off
  timerfd_settime(io->timer.fd, TFD_TIMER_ABSTIME, &at, NULL);
  io->timer_set_ns = next_ns;
}

void ql_http_alarm_at(struct ql_http_io *io, struct ql_http_alarm *alarm, uint64_t due_ns) {
  ql_http_alarm_set(&io->alarms, alarm, due_ns);
  set_timer(io);
}

static void run_alarms(struct ql_http_io *io) {
  struct ql_http_alarm *alarm;
  while ((alarm = ql_http_alarm_due(&io->alarms, io->now_ns)))
    alarm->on_due(alarm);
}

static void on_timer(struct ql_http_watch *watch, uint32_t events) {
  (void)events;
  struct ql_http_io *io = (struct ql_http_io *)((char *)watch - offsetof(struct ql_http_io, timer));
  io->timer_set_ns = UINT64_MAX;
  ql_http_io_now(io);
  run_alarms(io);
  set_timer(io);
}

static void on_start_due(struct ql_http_alarm *alarm) {
  struct ql_http_job *job = (struct ql_http_job *)((char *)alarm - offsetof(struct ql_http_job, alarm));
  struct ql_http_part *part = job->part;
  list_remove(job);
  list_add(&part->waiting, job);
  feed(part);
}

static void take_job(struct ql_http_job *job) {
  struct ql_http_part *part = job->part;
  uint64_t due_ns = job->reply->marks.due_ns = job->request.start_at_ns;
  if (due_ns > ql_http_io_now(part->io)) {
    list_add(&part->later, job);
    job->alarm.on_due = on_start_due;
    ql_http_alarm_at(part->io, &job->alarm, due_ns);
    return;
  }
  list_add(&part->waiting, job);
  feed(part);
}

// ---- messages -----------------------------------------------------------------------------------------

// Kept connections beyond the sum of the lanes' windows are closed.
static void resize_pool(struct ql_http_io *io, long change) {
  io->max_connections += change;
  if (io->multi)
    curl_multi_setopt(io->multi, CURLMOPT_MAXCONNECTS, io->max_connections + 8);
}

static void say_gone(struct ql_http_io *io, struct ql_http_message *message) {
  bool was_empty;
  message->kind = QL_HTTP_LANE_GONE;
  ql_http_box_put(&io->outbox, message, &was_empty);
  if (was_empty)
    ql_bell_ring(io->http->bell);
}

static void stop(struct ql_http_io *io) {
  io->is_stopping = true;
  for (struct ql_http_lane *lane = io->http->lanes; lane; lane = lane->next) // the main thread waits in its join
    cancel_part(&lane->parts[io - io->http->ios]);
}

// Returns whether the message may be freed.
static bool obey(struct ql_http_io *io, struct ql_http_message *message) {
  struct ql_http_part *part = message->part;
  switch (message->kind) {
  case QL_HTTP_SEND:
    take_job(message->job);
    return false; // part of the job, which may be gone by now
  case QL_HTTP_CANCEL_ONE:
    cancel_one(part, message->number);
    return true;
  case QL_HTTP_CANCEL_LANE:
    cancel_part(part);
    return true;
  case QL_HTTP_OPEN_LANE:
    resize_pool(io, (long)part->max_in_flight);
    return true;
  case QL_HTTP_CLOSE_LANE:
    cancel_part(part);
    resize_pool(io, -(long)part->max_in_flight);
    say_gone(io, message);
    return false;
  case QL_HTTP_NAME_FOUND:
    ql_http_plain_lookup_done(message->lookup);
    return false;
  case QL_HTTP_STOP:
    stop(io);
    return true;
  case QL_HTTP_REPLY:
  case QL_HTTP_LANE_GONE:
    break; // never in this box
  }
  return true;
}

static void on_wake(struct ql_http_watch *watch, uint32_t events) {
  (void)events;
  struct ql_http_io *io = (struct ql_http_io *)((char *)watch - offsetof(struct ql_http_io, wake));
  struct ql_http_message *message = ql_http_box_take(&io->inbox);
  while (message) {
    struct ql_http_message *next = message->next; // obeying may give the message away
    if (obey(io, message))
      free(message);
    if (io->now_ns >= io->timer_set_ns) // thousands of requests may be handed over at once
      run_alarms(io);
    message = next;
  }
}

// ---- the loop -----------------------------------------------------------------------------------------

int ql_http_watch_add(struct ql_http_io *io, struct ql_http_watch *watch, uint32_t events) {
  struct epoll_event at = {.events = events, .data.ptr = watch};
  return epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, watch->fd, &at);
}

void ql_http_watch_change(struct ql_http_io *io, struct ql_http_watch *watch, uint32_t events) {
  struct epoll_event at = {.events = events, .data.ptr = watch};
  epoll_ctl(io->epoll_fd, EPOLL_CTL_MOD, watch->fd, &at);
}

// The kernel drops a registration with the last descriptor of its socket, and a child that is being forked has them all
// until it executes: an event of it would lead to memory that is somebody else's by then.
void ql_http_watch_close(struct ql_http_io *io, int fd) {
  epoll_ctl(io->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
  close(fd);
}

// Alarms go before everything else of a batch: what is read later has the kernel's stamp already, what is sent later is late.
static void sleep_and_handle(struct ql_http_io *io) {
  struct epoll_event ready[BATCH];
  uint64_t before_ns = ql_now_ns();
  int count = epoll_wait(io->epoll_fd, ready, BATCH, io->must_kick ? 0 : -1);
  ql_http_count(&io->idle_ns, ql_http_io_now(io) - before_ns);
  ql_http_count(&io->wakeups, 1);
  ql_http_count(&io->wakeup_events, count > 0 ? (uint64_t)count : 0);
  bool is_served = io->now_ns >= io->timer_set_ns;
  if (is_served)
    on_timer(&io->timer, 0);
  for (int i = 0; i < count; i++) {
    struct ql_http_watch *watch = ready[i].data.ptr;
    if (watch == &io->timer && is_served)
      continue;
    watch->on_ready(watch, ready[i].events);
    if (io->now_ns >= io->timer_set_ns)
      run_alarms(io);
  }
  if (io->must_kick)
    ql_http_curl_kick(io);
  ql_http_conns_bury(io);
  ql_http_curl_bury(io);
}

// For profilers and top.
static void name_thread(struct ql_http_io *io) {
  char name[16];
  snprintf(name, sizeof name, "qlua-io-%u", (unsigned)(io - io->http->ios) % 1000);
  pthread_setname_np(pthread_self(), name);
}

void *ql_http_thread(void *arg) {
  struct ql_http_io *io = arg;
  name_thread(io);
  while (!io->is_stopping)
    sleep_and_handle(io);
  ql_http_conns_close(io);
  ql_http_curl_close(io);
  return NULL;
}

int ql_http_io_open(struct ql_http_io *io, struct ql_err *err) {
  io->stamp_fd = -1;
  io->timer_set_ns = UINT64_MAX;
  io->wake.on_ready = on_wake;
  io->timer.on_ready = on_timer;
  io->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  io->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  io->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (io->epoll_fd < 0 || io->wake.fd < 0 || io->timer.fd < 0 ||
      ql_http_watch_add(io, &io->wake, EPOLLIN | EPOLLET) != 0 ||
      ql_http_watch_add(io, &io->timer, EPOLLIN | EPOLLET) != 0)
    return ql_fail(err, QL_E_INTERNAL, "cannot make the i/o loop: %s", strerror(errno));
  io->bytes = ql_malloc(QL_HTTP_READ_BYTES);
  return 0;
}

void ql_http_io_close(struct ql_http_io *io) {
  const int fds[] = {io->epoll_fd, io->wake.fd, io->timer.fd};
  for (size_t i = 0; i < QL_LEN(fds); i++)
    if (fds[i] >= 0)
      close(fds[i]);
  ql_http_alarms_free(&io->alarms);
  free(io->bytes);
}
