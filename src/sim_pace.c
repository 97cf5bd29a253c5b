// SPDX-License-Identifier: Apache-2.0
// sim_pace: a heap of due times behind one timerfd. See sim_pace.h.
//
// Not obvious: the timer is armed with an absolute time, so that what is computed between reading the clock
// and arming does not add up over a stream, and only when the earliest moment has changed.
#include "sim_pace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

struct ql_sim_pace {
  uv_poll_t poll; // first: the close callback frees the whole
  int fd;
  void (*on_due)(struct ql_sim_turn *turn);
  struct ql_sim_turn **heap; // heap[1] is the earliest
  size_t count, cap;
  uint64_t armed_ns; // 0: not armed
  bool busy;         // inside ql_sim_pace_run, which arms once at its end
};

static void set_place(struct ql_sim_pace *pace, size_t place, struct ql_sim_turn *turn) {
  pace->heap[place] = turn;
  turn->place = place;
}

static void sift_up(struct ql_sim_pace *pace, struct ql_sim_turn *turn, size_t place) {
  while (place > 1 && pace->heap[place / 2]->due_ns > turn->due_ns) {
    set_place(pace, place, pace->heap[place / 2]);
    place /= 2;
  }
  set_place(pace, place, turn);
}

static void sift_down(struct ql_sim_pace *pace, struct ql_sim_turn *turn, size_t place) {
  for (;;) {
    size_t child = place * 2;
    if (child > pace->count)
      break;
    if (child < pace->count && pace->heap[child + 1]->due_ns < pace->heap[child]->due_ns)
      child++;
    if (turn->due_ns <= pace->heap[child]->due_ns)
      break;
    set_place(pace, place, pace->heap[child]);
    place = child;
  }
  set_place(pace, place, turn);
}

static void arm(struct ql_sim_pace *pace) {
  uint64_t due_ns = pace->count ? pace->heap[1]->due_ns : 0;
  if (pace->busy || due_ns == pace->armed_ns)
    return;
  pace->armed_ns = due_ns;
  struct itimerspec at = {0};
  at.it_value.tv_sec = (time_t)(due_ns / 1000000000u);
  at.it_value.tv_nsec = (long)(due_ns % 1000000000u);
  timerfd_settime(pace->fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void remove_at(struct ql_sim_pace *pace, size_t place) {
  struct ql_sim_turn *last = pace->heap[pace->count--];
  pace->heap[place]->place = 0;
  if (place > pace->count)
    return;
  if (place > 1 && pace->heap[place / 2]->due_ns > last->due_ns)
    sift_up(pace, last, place);
  else
    sift_down(pace, last, place);
}

void ql_sim_pace_run(struct ql_sim_pace *pace) {
  if (pace->busy)
    return;
  pace->busy = true;
  uint64_t now_ns = ql_now_ns();
  while (pace->count && pace->heap[1]->due_ns <= now_ns) {
    struct ql_sim_turn *turn = pace->heap[1];
    remove_at(pace, 1);
    pace->on_due(turn);
  }
  pace->busy = false;
  arm(pace);
}

static void on_timer(uv_poll_t *poll, int status, int events) {
  (void)status, (void)events;
  struct ql_sim_pace *pace = (struct ql_sim_pace *)poll;
  uint64_t expirations;
  if (read(pace->fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
    return;
  pace->armed_ns = 0;
  ql_sim_pace_run(pace);
}

struct ql_sim_pace *ql_sim_pace_open(struct ql_loop *loop, void (*on_due)(struct ql_sim_turn *turn),
                                     struct ql_err *err) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd < 0) {
    ql_fail(err, QL_E_IO, "cannot make a timer: %s", strerror(errno));
    return NULL;
  }
  struct ql_sim_pace *pace = ql_calloc(1, sizeof *pace);
  pace->fd = fd;
  pace->on_due = on_due;
  uv_poll_init(ql_loop_uv(loop), &pace->poll, fd);
  uv_poll_start(&pace->poll, UV_READABLE, on_timer);
  return pace;
}

static void on_closed(uv_handle_t *handle) {
  struct ql_sim_pace *pace = (struct ql_sim_pace *)handle;
  close(pace->fd);
  free(pace->heap);
  free(pace);
}

void ql_sim_pace_close(struct ql_sim_pace *pace) {
  if (!pace)
    return;
  for (size_t i = 1; i <= pace->count; i++)
    pace->heap[i]->place = 0;
  pace->count = 0;
  uv_close((uv_handle_t *)&pace->poll, on_closed);
}

void ql_sim_pace_put(struct ql_sim_pace *pace, struct ql_sim_turn *turn, uint64_t due_ns) {
  ql_sim_pace_drop(pace, turn);
  if (pace->count + 2 > pace->cap) {
    pace->cap = pace->cap ? pace->cap * 2 : 64;
    pace->heap = ql_realloc(pace->heap, pace->cap * sizeof *pace->heap);
  }
  turn->due_ns = due_ns ? due_ns : 1; // 0 would disarm the timer
  sift_up(pace, turn, ++pace->count);
  arm(pace);
}

void ql_sim_pace_drop(struct ql_sim_pace *pace, struct ql_sim_turn *turn) {
  if (!turn->place)
    return;
  remove_at(pace, turn->place);
  arm(pace);
}
