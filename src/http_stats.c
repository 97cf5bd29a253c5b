// SPDX-License-Identifier: Apache-2.0
// http_stats: what the main thread reads of a lane's counters and of the I/O threads, while they go on counting.

#include "http_internal.h"

#include <time.h>

static uint64_t cpu_ns_of(pthread_t thread) {
  clockid_t clock;
  struct timespec used;
  if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &used) != 0)
    return 0;
  return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}


static uint64_t read_counter(const ql_http_counter *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

// ---- spreads ------------------------------------------------------------------------------------------

struct sum {
  uint64_t bins[QL_HTTP_HIST_BINS];
  uint64_t count, max_ns;
};

static void add_hist(struct sum *sum, const struct ql_http_hist *hist) {
  for (size_t i = 0; i < QL_HTTP_HIST_BINS; i++) {
    uint64_t count = atomic_load_explicit(&hist->bins[i], memory_order_relaxed);
    sum->bins[i] += count;
    sum->count += count;
  }
  uint64_t max_ns = read_counter(&hist->max_ns);
  if (max_ns > sum->max_ns)
    sum->max_ns = max_ns;
}

// Nearest rank, and never more than the largest value itself.
static uint64_t percentile(const struct sum *sum, uint64_t of_100) {
  uint64_t rank = (sum->count * of_100 + 99) / 100, seen = 0;
  for (size_t i = 0; i < QL_HTTP_HIST_BINS; i++) {
    seen += sum->bins[i];
    if (seen && seen >= rank) {
      uint64_t end_ns = ql_http_hist_bin_end(i);
      return end_ns < sum->max_ns ? end_ns : sum->max_ns;
    }
  }
  return 0;
}

static struct ql_http_spread spread_of(const struct ql_http_lane *lane, size_t offset) {
  struct sum sum = {{0}, 0, 0};
  for (uint32_t i = 0; i < lane->http->io_count; i++)
    add_hist(&sum, (const struct ql_http_hist *)((const char *)&lane->parts[i] + offset));
  return (struct ql_http_spread){sum.count, percentile(&sum, 50), percentile(&sum, 99), sum.max_ns};
}

// ---- stats --------------------------------------------------------------------------------------------

static void add_part(struct ql_http_stats *stats, const struct ql_http_part *part) {
#define ADD(field) stats->field += read_counter(&part->field)
  ADD(queued);
  ADD(in_flight);
  ADD(done);
  ADD(failed);
  ADD(connections);
  ADD(received_bytes);
  ADD(reads);
  ADD(events);
  ADD(kernel_reads);
  ADD(shared_reads);
  ADD(connect_failures);
  ADD(retries);
  ADD(file_bytes);
  ADD(file_total_bytes);
#undef ADD
}

void ql_http_thread_stats(struct ql_http_lane *lane, uint32_t index, struct ql_http_thread_stats *stats) {
  const struct ql_http_io *io = &lane->http->ios[index];
  *stats = (struct ql_http_thread_stats){cpu_ns_of(io->thread), read_counter(&io->idle_ns),
                                         read_counter(&io->wakeups), read_counter(&io->wakeup_events)};
}

void ql_http_lane_stats(struct ql_http_lane *lane, struct ql_http_stats *stats) {
  const struct ql_http *http = lane->http;
  *stats = (struct ql_http_stats){.io_threads = http->io_count};
  for (uint32_t i = 0; i < http->io_count; i++) {
    struct ql_http_thread_stats thread;
    uint64_t error_ns = read_counter(&http->ios[i].clock_error_ns);
    add_part(stats, &lane->parts[i]);
    ql_http_thread_stats(lane, i, &thread);
    stats->io_cpu_ns += thread.cpu_ns;
    stats->io_idle_ns += thread.idle_ns;
    stats->wakeups += thread.wakeups;
    stats->wakeup_events += thread.wakeup_events;
    stats->clock_error_ns = error_ns > stats->clock_error_ns ? error_ns : stats->clock_error_ns;
    stats->clock_steps += read_counter(&http->ios[i].clock_steps);
  }
  stats->stamp_delay = spread_of(lane, offsetof(struct ql_http_part, stamp_delay));
  stats->dispatch_lag = spread_of(lane, offsetof(struct ql_http_part, dispatch_lag));
}
