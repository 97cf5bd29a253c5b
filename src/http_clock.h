// SPDX-License-Identifier: Apache-2.0
// http_clock: from the clock of the kernel's receive stamps, CLOCK_REALTIME, to CLOCK_MONOTONIC, and how far off
// that may be; and a histogram of delays that costs a few instructions per value.
//
// Both clocks run at the same rate, as the kernel slews them together: their difference changes only when somebody
// sets the wall clock. So one reading of the difference holds for a second, and a change beyond the error of
// reading is a step, which is counted, for stamps around it are worth nothing.
#ifndef QL_HTTP_CLOCK_H
#define QL_HTTP_CLOCK_H

#include "base.h"

#include <stdatomic.h>

struct ql_http_clock {  // all zero: never read
  int64_t offset_ns;    // realtime - monotonic
  uint64_t error_ns;    // of the offset: half the time that its reading took
  uint64_t worst_ns;    // of all readings so far
  uint64_t read_at_ns;  // monotonic
  uint64_t steps;
};

// Reads both clocks again when the last reading is a second old. Returns whether it did.
bool ql_http_clock_renew(struct ql_http_clock *clock, uint64_t now_ns);
// A stamp of the kernel on the monotonic clock; 0 when it cannot be one: after now, or before the earliest.
uint64_t ql_http_clock_map(const struct ql_http_clock *clock, uint64_t real_ns, uint64_t earliest_ns, uint64_t now_ns);

// Eight bins per power of two, up to 2^41 ns, half an hour; one writer, any reader.
#define QL_HTTP_HIST_BINS (8 * 39)
struct ql_http_hist {
  atomic_uint_fast64_t max_ns;
  atomic_uint_fast32_t bins[QL_HTTP_HIST_BINS];
};
void ql_http_hist_add(struct ql_http_hist *hist, uint64_t value_ns);
uint64_t ql_http_hist_bin_end(size_t bin);

#endif
