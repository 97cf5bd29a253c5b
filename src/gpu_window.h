// SPDX-License-Identifier: Apache-2.0
// gpu_window: readings of one device, folded into figures of a stretch of time. Pure arithmetic.
//
// A stretch lies between two marks and holds sums and maxima, never readings, so its size does not grow
// with time; stretches that follow each other join into a window. Means weigh readings equally but power,
// which is weighted by time. The series beside it keeps readings for a drawing: when it is full, every
// second one goes and from then on every second one is taken.
#ifndef QL_GPU_WINDOW_H
#define QL_GPU_WINDOW_H

#include "base.h"

enum {
  QL_GPU_MEMORY = 1 << 0,
  QL_GPU_POWER = 1 << 1,
  QL_GPU_ENERGY = 1 << 2,
  QL_GPU_TEMPERATURE = 1 << 3,
  QL_GPU_SM_CLOCK = 1 << 4,
  QL_GPU_UTILISATION = 1 << 5,
  QL_GPU_THROTTLE = 1 << 6,
};
enum { QL_GPU_REASONS = 9, QL_GPU_SERIES = 4096 };

// What a device said at one moment. A field that it did not say has no bit in `known`, and is 0.
struct ql_gpu_reading {
  uint64_t at_ns;
  uint64_t memory_used_bytes;
  uint64_t energy_mj; // since the driver was loaded
  uint64_t throttle;  // bits, see ql_gpu_reason
  unsigned power_mw, temperature_c, sm_clock_mhz, utilisation_pct;
  unsigned known;
  bool is_lost; // it fell off the bus: nothing it said since is a reading
};

struct ql_gpu_stretch {
  struct ql_gpu_reading first, last;
  uint64_t readings; // after the first, which closed the stretch before
  unsigned known;    // said at least once
  bool is_lost, has_energy, has_gone_back;
  uint64_t energy_from_mj, energy_to_mj;
  uint64_t power_at_ns; // of the last known power; 0: none yet
  unsigned power_last_mw, power_max_mw, temperature_max_c;
  double power_j, power_s;
  uint64_t memory_max_bytes;
  double clock_sum, utilisation_sum;
  uint64_t clocks, utilisations, throttles;
  uint64_t reasons[QL_GPU_REASONS];
};

enum ql_gpu_energy { QL_GPU_NO_ENERGY, QL_GPU_COUNTER, QL_GPU_INTEGRATED };

// The figures of a window; a figure that is not known has no bit in `known`.
struct ql_gpu_figures {
  unsigned known;
  bool is_lost;
  uint64_t from_ns, to_ns, readings;
  enum ql_gpu_energy energy_source;
  double energy_j, power_w_mean, power_w_max, sm_clock_mhz_mean, utilisation_mean;
  uint64_t memory_used_max_bytes;
  unsigned temperature_c_max;
  double reasons[QL_GPU_REASONS]; // share of the readings, 0..1
};

// The name of a bit of nvmlDeviceGetCurrentClocksEventReasons, NULL beyond QL_GPU_REASONS.
const char *ql_gpu_reason(unsigned bit);

void ql_gpu_stretch_begin(struct ql_gpu_stretch *stretch, const struct ql_gpu_reading *reading);
void ql_gpu_stretch_add(struct ql_gpu_stretch *stretch, const struct ql_gpu_reading *reading);
// next begins where stretch ends.
void ql_gpu_stretch_join(struct ql_gpu_stretch *stretch, const struct ql_gpu_stretch *next);
struct ql_gpu_figures ql_gpu_stretch_figures(const struct ql_gpu_stretch *stretch);

struct ql_gpu_series {
  struct ql_gpu_reading *items; // QL_GPU_SERIES of them
  size_t count;
  uint64_t stride, seen;
};
void ql_gpu_series_add(struct ql_gpu_series *series, const struct ql_gpu_reading *reading);

#endif
