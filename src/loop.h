// SPDX-License-Identifier: Apache-2.0
// loop: the main thread's libuv loop, its timers and signals, and a way for other threads to wake it.
//
// Owns the uv_loop_t. World modules that need libuv's own handles (proc, sim) reach it by
// ql_loop_uv; bindings never see libuv. Every callback runs on the main thread.
#ifndef QL_LOOP_H
#define QL_LOOP_H

#include "base.h"

struct ql_loop;
struct uv_loop_s;

struct ql_loop *ql_loop_open(void);
void ql_loop_close(struct ql_loop *loop); // closes what is still open, runs the close callbacks
struct uv_loop_s *ql_loop_uv(struct ql_loop *loop);
void ql_loop_run(struct ql_loop *loop);  // until ql_loop_stop
void ql_loop_stop(struct ql_loop *loop); // from a callback
// Run callbacks for what is ready (wait_ms 0) or for at most wait_ms; used while shutting down.
void ql_loop_turn(struct ql_loop *loop, uint64_t wait_ms);

// One-shot timer. The handle dies when it fires or is stopped.
struct ql_timer;
struct ql_timer *ql_timer_start(struct ql_loop *loop, uint64_t after_ms, void (*on_timer)(void *arg), void *arg);
void ql_timer_stop(struct ql_timer *timer);

// Called each turn of the loop while switched on, without sleeping: the scheduler's heartbeat.
void ql_loop_on_idle(struct ql_loop *loop, void (*on_idle)(void *arg), void *arg);
void ql_loop_idle(struct ql_loop *loop, bool on);

// A bell that any thread may ring; on_ring runs on the main thread, once for one or more rings.
// A bell does not keep the loop alive.
struct ql_bell;
struct ql_bell *ql_bell_open(struct ql_loop *loop, void (*on_ring)(void *arg), void *arg);
void ql_bell_ring(struct ql_bell *bell); // any thread
void ql_bell_close(struct ql_bell *bell);

// SIGINT, SIGTERM, SIGWINCH, … as calls on the main thread. NULL takes the handler off again.
int ql_loop_on_signal(struct ql_loop *loop, int signum, void (*on_signal)(int signum, void *arg), void *arg,
                      struct ql_err *err);

#endif
