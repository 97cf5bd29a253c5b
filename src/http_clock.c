// SPDX-License-Identifier: Apache-2.0
// http_clock: see http_clock.h. A reading is wall between two monotonic readings; of a few, the one that took the
// least time is kept, as an interrupt in between makes the others worse, never better.

#include "http_clock.h"

#define READINGS 8
#define RENEW_NS UINT64_C(1000000000)

static void read_once(int64_t *offset_ns, uint64_t *error_ns) {
  uint64_t before_ns = ql_now_ns(), wall_ns = ql_wall_ns(), after_ns = ql_now_ns();
  uint64_t half_ns = (after_ns - before_ns + 1) / 2;
  *offset_ns = (int64_t)(wall_ns - (before_ns + half_ns));
  *error_ns = half_ns;
}

bool ql_http_clock_renew(struct ql_http_clock *clock, uint64_t now_ns) {
  if (clock->read_at_ns && now_ns - clock->read_at_ns < RENEW_NS)
    return false;
  int64_t before_ns = clock->offset_ns;
  uint64_t error_before_ns = clock->error_ns;
  bool is_first = !clock->read_at_ns;
  clock->error_ns = UINT64_MAX;
  for (int i = 0; i < READINGS; i++) {
    int64_t offset_ns;
    uint64_t error_ns;
    read_once(&offset_ns, &error_ns);
    if (error_ns >= clock->error_ns)
      continue;
    clock->offset_ns = offset_ns;
    clock->error_ns = error_ns;
  }
  clock->read_at_ns = now_ns;
  if (clock->error_ns > clock->worst_ns)
    clock->worst_ns = clock->error_ns;
  int64_t moved_ns = clock->offset_ns - before_ns;
  uint64_t distance_ns = (uint64_t)(moved_ns < 0 ? -moved_ns : moved_ns);
  if (!is_first && distance_ns > error_before_ns + clock->error_ns)
    clock->steps++;
  return true;
}

// A stamp may lie behind now by as much as the mapping is wrong; then it is now.
uint64_t ql_http_clock_map(const struct ql_http_clock *clock, uint64_t real_ns, uint64_t earliest_ns, uint64_t now_ns) {
  uint64_t at_ns = real_ns - (uint64_t)clock->offset_ns;
  if (at_ns > now_ns)
    return at_ns - now_ns <= clock->error_ns ? now_ns : 0;
  if (at_ns < earliest_ns)
    return earliest_ns - at_ns <= clock->error_ns ? earliest_ns : 0;
  return at_ns;
}

// ---- the histogram ------------------------------------------------------------------------------------

// 0..15 have bins of their own; above, the three bits behind the first choose among eight.
static size_t bin_of(uint64_t value_ns) {
  if (value_ns < 16)
    return value_ns;
  unsigned shift = 60u - (unsigned)__builtin_clzll(value_ns);
  size_t bin = 8 * (size_t)shift + (size_t)(value_ns >> shift);
  return bin < QL_HTTP_HIST_BINS ? bin : QL_HTTP_HIST_BINS - 1;
}

uint64_t ql_http_hist_bin_end(size_t bin) {
  if (bin < 16)
    return bin;
  size_t shift = bin / 8 - 1;
  return ((uint64_t)(bin % 8 + 8 + 1) << shift) - 1;
}

void ql_http_hist_add(struct ql_http_hist *hist, uint64_t value_ns) {
  atomic_uint_fast32_t *bin = &hist->bins[bin_of(value_ns)];
  atomic_store_explicit(bin, atomic_load_explicit(bin, memory_order_relaxed) + 1, memory_order_relaxed);
  if (value_ns > atomic_load_explicit(&hist->max_ns, memory_order_relaxed))
    atomic_store_explicit(&hist->max_ns, value_ns, memory_order_relaxed);
}
