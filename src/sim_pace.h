// SPDX-License-Identifier: Apache-2.0
// sim_pace: many pending moments, one timer.
//
// A binary heap of turns ordered by due time, and one timerfd armed for the earliest: libuv's own timers
// count whole milliseconds, which is coarser than what the simulated server promises. Owns the timerfd and
// its poll handle; a turn is embedded in whatever waits for it.
#ifndef QL_SIM_PACE_H
#define QL_SIM_PACE_H

#include "base.h"
#include "loop.h"

struct ql_sim_turn {
  uint64_t due_ns; // CLOCK_MONOTONIC
  size_t place;    // in the heap, from 1; 0 when it is not waiting
};

struct ql_sim_pace;
// on_due is called for each turn that has come, after it has been taken out; it may put it back.
struct ql_sim_pace *ql_sim_pace_open(struct ql_loop *loop, void (*on_due)(struct ql_sim_turn *turn),
                                     struct ql_err *err);
void ql_sim_pace_close(struct ql_sim_pace *pace);
void ql_sim_pace_put(struct ql_sim_pace *pace, struct ql_sim_turn *turn, uint64_t due_ns);
// What has come due while something else took its time, without waiting for the loop's next turn.
void ql_sim_pace_run(struct ql_sim_pace *pace);
void ql_sim_pace_drop(struct ql_sim_pace *pace, struct ql_sim_turn *turn); // fine when it is not waiting

#endif
