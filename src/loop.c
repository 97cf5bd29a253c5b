// SPDX-License-Identifier: Apache-2.0
// loop: see loop.h. The main thread's uv_loop_t with timers, bells and signals.
//
// Owns the loop and every handle opened here; proc and sim open handles of their own on it and close
// them themselves. The one thing that is not obvious: handles are freed in their close callback, since
// libuv owns the memory until then, so closing the loop walks what is left and runs it dry.

#include "loop.h"

#include <stdlib.h>
#include <uv.h>

struct ql_signal {
  uv_signal_t handle;
  int signum;
  void (*on_signal)(int signum, void *arg);
  void *arg;
  struct ql_signal *next;
};

struct ql_loop {
  uv_loop_t uv;
  uv_idle_t idle;
  void (*on_idle)(void *arg);
  void *idle_arg;
  struct ql_signal *signals;
};

struct ql_timer {
  uv_timer_t handle;
  void (*on_timer)(void *arg);
  void *arg;
};

struct ql_bell {
  uv_async_t handle;
  void (*on_ring)(void *arg);
  void *arg;
};

static void free_handle(uv_handle_t *handle) { free(handle->data); }

struct ql_loop *ql_loop_open(void) {
  struct ql_loop *loop = ql_calloc(1, sizeof *loop);
  if (uv_loop_init(&loop->uv) != 0 || uv_idle_init(&loop->uv, &loop->idle) != 0) {
    free(loop);
    return NULL;
  }
  return loop;
}

static void close_left_over(uv_handle_t *handle, void *arg) {
  struct ql_loop *loop = arg;
  if (uv_is_closing(handle))
    return;
  // Handles of this file carry their memory in data; those of others are closed without a callback,
  // because only their owner knows how to free them.
  bool is_ours = handle->type == UV_TIMER || handle->type == UV_ASYNC || handle->type == UV_SIGNAL;
  uv_close(handle, handle == (uv_handle_t *)&loop->idle || !is_ours || !handle->data ? NULL : free_handle);
}

void ql_loop_close(struct ql_loop *loop) {
  if (!loop)
    return;
  uv_walk(&loop->uv, close_left_over, loop);
  uv_run(&loop->uv, UV_RUN_DEFAULT);
  uv_loop_close(&loop->uv);
  free(loop);
}

struct uv_loop_s *ql_loop_uv(struct ql_loop *loop) { return &loop->uv; }
void ql_loop_run(struct ql_loop *loop) { uv_run(&loop->uv, UV_RUN_DEFAULT); }
void ql_loop_stop(struct ql_loop *loop) { uv_stop(&loop->uv); }

static void wake_up(void *arg) { *(bool *)arg = true; }

void ql_loop_turn(struct ql_loop *loop, uint64_t wait_ms) {
  if (wait_ms == 0) {
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    return;
  }
  bool has_fired = false; // by a flag, not by the clock: libuv rounds to whole milliseconds
  struct ql_timer *limit = ql_timer_start(loop, wait_ms, wake_up, &has_fired);
  uv_run(&loop->uv, UV_RUN_ONCE);
  if (!has_fired)
    ql_timer_stop(limit);
  uv_run(&loop->uv, UV_RUN_NOWAIT);
}

// ---- timers -------------------------------------------------------------------------------------------

static void timer_fired(uv_timer_t *handle) {
  struct ql_timer *timer = handle->data;
  void (*on_timer)(void *) = timer->on_timer;
  void *arg = timer->arg;
  uv_close((uv_handle_t *)handle, free_handle);
  on_timer(arg);
}

struct ql_timer *ql_timer_start(struct ql_loop *loop, uint64_t after_ms, void (*on_timer)(void *arg), void *arg) {
  struct ql_timer *timer = ql_calloc(1, sizeof *timer);
  timer->on_timer = on_timer;
  timer->arg = arg;
  uv_timer_init(&loop->uv, &timer->handle);
  timer->handle.data = timer;
  uv_update_time(&loop->uv); // uv_now is cached: a long callback before us would shorten the wait
  uv_timer_start(&timer->handle, timer_fired, after_ms, 0);
  return timer;
}

void ql_timer_stop(struct ql_timer *timer) {
  if (timer && !uv_is_closing((uv_handle_t *)&timer->handle))
    uv_close((uv_handle_t *)&timer->handle, free_handle);
}

// ---- the heartbeat ------------------------------------------------------------------------------------

static void idle_turn(uv_idle_t *handle) {
  struct ql_loop *loop = handle->data;
  loop->on_idle(loop->idle_arg);
}

void ql_loop_on_idle(struct ql_loop *loop, void (*on_idle)(void *arg), void *arg) {
  loop->on_idle = on_idle;
  loop->idle_arg = arg;
  loop->idle.data = loop;
}

void ql_loop_idle(struct ql_loop *loop, bool on) {
  if (on && loop->on_idle)
    uv_idle_start(&loop->idle, idle_turn);
  else
    uv_idle_stop(&loop->idle);
}

// ---- bells --------------------------------------------------------------------------------------------

static void rung(uv_async_t *handle) {
  struct ql_bell *bell = handle->data;
  bell->on_ring(bell->arg);
}

struct ql_bell *ql_bell_open(struct ql_loop *loop, void (*on_ring)(void *arg), void *arg) {
  struct ql_bell *bell = ql_calloc(1, sizeof *bell);
  bell->on_ring = on_ring;
  bell->arg = arg;
  uv_async_init(&loop->uv, &bell->handle, rung);
  bell->handle.data = bell;
  uv_unref((uv_handle_t *)&bell->handle);
  return bell;
}

void ql_bell_ring(struct ql_bell *bell) { uv_async_send(&bell->handle); }

void ql_bell_close(struct ql_bell *bell) {
  if (bell && !uv_is_closing((uv_handle_t *)&bell->handle))
    uv_close((uv_handle_t *)&bell->handle, free_handle);
}

// ---- signals ------------------------------------------------------------------------------------------

static void signalled(uv_signal_t *handle, int signum) {
  struct ql_signal *entry = handle->data;
  entry->on_signal(signum, entry->arg);
}

int ql_loop_on_signal(struct ql_loop *loop, int signum, void (*on_signal)(int signum, void *arg), void *arg,
                      struct ql_err *err) {
  for (struct ql_signal **at = &loop->signals; *at; at = &(*at)->next) {
    struct ql_signal *old = *at;
    if (old->signum != signum)
      continue;
    *at = old->next;
    uv_close((uv_handle_t *)&old->handle, free_handle);
    break;
  }
  if (!on_signal)
    return 0;
  struct ql_signal *entry = ql_calloc(1, sizeof *entry);
  entry->signum = signum;
  entry->on_signal = on_signal;
  entry->arg = arg;
  uv_signal_init(&loop->uv, &entry->handle);
  entry->handle.data = entry;
  int rc = uv_signal_start(&entry->handle, signalled, signum);
  if (rc != 0) {
    uv_close((uv_handle_t *)&entry->handle, free_handle);
    return ql_fail(err, QL_E_INTERNAL, "cannot watch signal %d: %s", signum, uv_strerror(rc));
  }
  uv_unref((uv_handle_t *)&entry->handle);
  entry->next = loop->signals;
  loop->signals = entry;
  return 0;
}
