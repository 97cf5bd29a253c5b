// SPDX-License-Identifier: Apache-2.0
// gpu_window: see gpu_window.h.
//
// Energy is the difference of the device's own counter, which also sees what happens between readings. It
// counts only when it was there at both ends, never went back (a driver that was loaded anew starts at 0)
// and moved while the device drew power; else the trapezoid of the power readings stands in, and says so.

#include "gpu_window.h"

#include <string.h>

#define NS_PER_S 1e9

const char *ql_gpu_reason(unsigned bit) {
  static const char *const names[QL_GPU_REASONS] = {
      "gpu_idle",            "applications_clocks", "sw_power_cap",     "hw_slowdown",    "sync_boost",
      "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake", "display_clocks",
  };
  return bit < QL_GPU_REASONS ? names[bit] : NULL;
}

static void note_maxima(struct ql_gpu_stretch *stretch, const struct ql_gpu_reading *reading) {
  unsigned known = reading->known;
  if (known & QL_GPU_MEMORY && reading->memory_used_bytes > stretch->memory_max_bytes)
    stretch->memory_max_bytes = reading->memory_used_bytes;
  if (known & QL_GPU_POWER && reading->power_mw > stretch->power_max_mw)
    stretch->power_max_mw = reading->power_mw;
  if (known & QL_GPU_TEMPERATURE && reading->temperature_c > stretch->temperature_max_c)
    stretch->temperature_max_c = reading->temperature_c;
  stretch->known |= known;
  stretch->is_lost |= reading->is_lost;
}

void ql_gpu_stretch_begin(struct ql_gpu_stretch *stretch, const struct ql_gpu_reading *reading) {
  memset(stretch, 0, sizeof *stretch);
  stretch->first = stretch->last = *reading;
  note_maxima(stretch, reading);
  stretch->has_energy = reading->known & QL_GPU_ENERGY;
  stretch->energy_from_mj = stretch->energy_to_mj = reading->energy_mj;
  if (reading->known & QL_GPU_POWER) {
    stretch->power_at_ns = reading->at_ns;
    stretch->power_last_mw = reading->power_mw;
  }
}

static void add_power(struct ql_gpu_stretch *stretch, uint64_t at_ns, unsigned power_mw) {
  if (stretch->power_at_ns) {
    double seconds = (double)(at_ns - stretch->power_at_ns) / NS_PER_S;
    stretch->power_j += seconds * ((double)stretch->power_last_mw + power_mw) / 2000.0;
    stretch->power_s += seconds;
  }
  stretch->power_at_ns = at_ns;
  stretch->power_last_mw = power_mw;
}

void ql_gpu_stretch_add(struct ql_gpu_stretch *stretch, const struct ql_gpu_reading *reading) {
  stretch->last = *reading;
  stretch->readings++;
  note_maxima(stretch, reading);
  if (reading->known & QL_GPU_ENERGY) {
    stretch->has_gone_back |= stretch->has_energy && reading->energy_mj < stretch->energy_to_mj;
    stretch->energy_to_mj = reading->energy_mj;
  }
  if (reading->known & QL_GPU_POWER)
    add_power(stretch, reading->at_ns, reading->power_mw);
  if (reading->known & QL_GPU_SM_CLOCK) {
    stretch->clock_sum += reading->sm_clock_mhz;
    stretch->clocks++;
  }
  if (reading->known & QL_GPU_UTILISATION) {
    stretch->utilisation_sum += reading->utilisation_pct;
    stretch->utilisations++;
  }
  if (reading->known & QL_GPU_THROTTLE) {
    stretch->throttles++;
    for (unsigned bit = 0; bit < QL_GPU_REASONS; bit++)
      stretch->reasons[bit] += reading->throttle >> bit & 1;
  }
}

void ql_gpu_stretch_join(struct ql_gpu_stretch *stretch, const struct ql_gpu_stretch *next) {
  stretch->last = next->last;
  stretch->readings += next->readings;
  stretch->known |= next->known;
  stretch->is_lost |= next->is_lost;
  stretch->has_gone_back |= next->has_gone_back;
  if (next->known & QL_GPU_ENERGY)
    stretch->energy_to_mj = next->energy_to_mj;
  stretch->power_j += next->power_j;
  stretch->power_s += next->power_s;
  if (next->power_max_mw > stretch->power_max_mw)
    stretch->power_max_mw = next->power_max_mw;
  if (next->temperature_max_c > stretch->temperature_max_c)
    stretch->temperature_max_c = next->temperature_max_c;
  if (next->memory_max_bytes > stretch->memory_max_bytes)
    stretch->memory_max_bytes = next->memory_max_bytes;
  stretch->clock_sum += next->clock_sum;
  stretch->clocks += next->clocks;
  stretch->utilisation_sum += next->utilisation_sum;
  stretch->utilisations += next->utilisations;
  stretch->throttles += next->throttles;
  for (unsigned bit = 0; bit < QL_GPU_REASONS; bit++)
    stretch->reasons[bit] += next->reasons[bit];
}

static void choose_energy(const struct ql_gpu_stretch *stretch, struct ql_gpu_figures *figures) {
  if (stretch->is_lost || stretch->readings == 0)
    return; // a part of the window is missing
  bool ends_known = stretch->has_energy && stretch->last.known & QL_GPU_ENERGY && !stretch->has_gone_back;
  bool stands_still = stretch->energy_to_mj == stretch->energy_from_mj && stretch->power_j > 0;
  if (ends_known && !stands_still) {
    figures->energy_source = QL_GPU_COUNTER;
    figures->energy_j = (double)(stretch->energy_to_mj - stretch->energy_from_mj) / 1000.0;
  } else if (stretch->power_s > 0) {
    figures->energy_source = QL_GPU_INTEGRATED;
    figures->energy_j = stretch->power_j;
  }
}

struct ql_gpu_figures ql_gpu_stretch_figures(const struct ql_gpu_stretch *stretch) {
  struct ql_gpu_figures figures = {.is_lost = stretch->is_lost, .from_ns = stretch->first.at_ns, .to_ns = stretch->last.at_ns,
                                   .readings = stretch->readings, .known = stretch->known};
  choose_energy(stretch, &figures);
  if (figures.energy_source == QL_GPU_NO_ENERGY)
    figures.known &= ~(unsigned)QL_GPU_ENERGY;
  else
    figures.known |= QL_GPU_ENERGY;
  figures.memory_used_max_bytes = stretch->memory_max_bytes;
  figures.power_w_max = stretch->power_max_mw / 1000.0;
  figures.power_w_mean = stretch->power_s > 0 ? stretch->power_j / stretch->power_s : stretch->first.power_mw / 1000.0;
  figures.temperature_c_max = stretch->temperature_max_c;
  figures.sm_clock_mhz_mean = stretch->clocks ? stretch->clock_sum / (double)stretch->clocks : stretch->first.sm_clock_mhz;
  figures.utilisation_mean =
      stretch->utilisations ? stretch->utilisation_sum / (double)stretch->utilisations : stretch->first.utilisation_pct;
  for (unsigned bit = 0; bit < QL_GPU_REASONS; bit++)
    figures.reasons[bit] = stretch->throttles ? (double)stretch->reasons[bit] / (double)stretch->throttles
                                              : (double)(stretch->first.throttle >> bit & 1);
  return figures;
}

void ql_gpu_series_add(struct ql_gpu_series *series, const struct ql_gpu_reading *reading) {
  if (!series->items) {
    series->items = ql_calloc(QL_GPU_SERIES, sizeof *series->items);
    series->stride = 1;
  }
  if (series->seen++ % series->stride != 0)
    return;
  if (series->count == QL_GPU_SERIES) {
    for (size_t i = 0; i < QL_GPU_SERIES / 2; i++)
      series->items[i] = series->items[2 * i];
    series->count = QL_GPU_SERIES / 2;
    series->stride *= 2;
    if ((series->seen - 1) % series->stride != 0)
      return;
  }
  series->items[series->count++] = *reading;
}
