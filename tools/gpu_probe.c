// SPDX-License-Identifier: Apache-2.0
// gpu_probe: what one machine's driver says, through the same code that a run uses. For developers:
//
//   gcc -std=gnu11 -D_GNU_SOURCE -O1 -Isrc tools/gpu_probe.c src/gpu*.c src/base.c -o gpu_probe -ldl -lpthread
//   ./gpu_probe [SECONDS]
//
// Put load on the device meanwhile. Its output is in docs/gpu.md.

#include "gpu.h"
#include "gpu_nvml.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void rest_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

static void print_device(const struct ql_gpu *gpu, size_t at) {
  const struct ql_gpu_device *device = ql_gpu_device(gpu, at);
  printf("device %zu: %s, driver %s, cuda %d, memory %" PRIu64 " bytes (%s), power limit %" PRIu64
         " mW, persistence %d, partitioned %d, uuid of %zu characters\n",
         at, device->name, device->driver, device->cuda_version, device->memory_total_bytes,
         device->uses_reserved ? "v1" : "v2", device->power_limit_mw, device->is_persistent, device->is_partitioned,
         strlen(device->uuid));
}

static void print_window(struct ql_gpu *gpu, size_t at, const char *what, unsigned from, unsigned to) {
  struct ql_gpu_figures f;
  struct ql_err err = {0};
  if (ql_gpu_window(gpu, at, from, to, &f, &err) != 0) {
    printf("%s: %s\n", what, err.text);
    return;
  }
  static const char *const sources[] = {"none", "counter", "integrated"};
  printf("%s: %.3f s, %" PRIu64 " readings, known 0x%x, energy %.3f J (%s), power %.1f W mean %.1f W max, memory %" PRIu64
         " bytes, %u C, SM %.0f MHz, utilisation %.0f %%, throttle",
         what, (double)(f.to_ns - f.from_ns) / 1e9, f.readings, f.known, f.energy_j, sources[f.energy_source], f.power_w_mean,
         f.power_w_max, f.memory_used_max_bytes, f.temperature_c_max, f.sm_clock_mhz_mean, f.utilisation_mean);
  for (unsigned bit = 0; bit < QL_GPU_REASONS; bit++)
    if (f.reasons[bit] > 0)
      printf(" %s=%.2f", ql_gpu_reason(bit), f.reasons[bit]);
  printf("\n");
}

static void print_processes(const struct ql_gpu *gpu, size_t at) {
  struct ql_gpu_process list[64];
  struct ql_err err = {0};
  int count = ql_gpu_processes(gpu, at, list, 64, &err);
  printf("processes: %d %s\n", count, err.text);
  for (int i = 0; i < count && i < 64; i++)
    printf("  pid %u, memory %" PRId64 " bytes\n", list[i].pid, (int64_t)list[i].memory_bytes);
}

// How often the counter and the power reading change, and what a reading of everything takes.
static void print_granularity(void) {
  struct ql_err err = {0};
  struct ql_nvml *nvml = ql_nvml_open(NULL, &err);
  if (!nvml)
    return;
  struct ql_gpu_reading last, now;
  uint64_t steps = 0, power_steps = 0, reads = 0, slowest = 0, smallest_mj = UINT64_MAX;
  ql_nvml_read(nvml, 0, &last);
  uint64_t begin = ql_now_ns(), taken = 0;
  uint64_t first_step = 0, last_step = 0;
  while (ql_now_ns() - begin < 3000000000) {
    ql_nvml_read(nvml, 0, &now);
    uint64_t took = ql_now_ns() - now.at_ns;
    taken += took;
    slowest = took > slowest ? took : slowest;
    reads++;
    if (now.energy_mj != last.energy_mj) {
      steps++;
      first_step = first_step ? first_step : now.at_ns;
      last_step = now.at_ns;
      if (now.energy_mj - last.energy_mj < smallest_mj)
        smallest_mj = now.energy_mj - last.energy_mj;
    }
    power_steps += now.power_mw != last.power_mw;
    last = now;
  }
  printf("granularity: %" PRIu64 " readings in 3 s, %.0f us each, slowest %.0f us; energy changed %" PRIu64
         " times, every %.1f ms, smallest step %" PRIu64 " mJ; power changed %" PRIu64 " times\n",
         reads, (double)taken / 1e3 / (double)reads, (double)slowest / 1e3, steps,
         steps > 1 ? (double)(last_step - first_step) / 1e6 / (double)(steps - 1) : 0.0, smallest_mj, power_steps);
  ql_nvml_close(nvml);
}

int main(int argc, char **argv) {
  struct ql_err err = {0};
  long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 10;
  uint64_t begin = ql_now_ns();
  struct ql_gpu *gpu = ql_gpu_open(&(struct ql_gpu_options){0}, &err);
  if (!gpu) {
    printf("absent: %s\n", err.text);
    return 1;
  }
  printf("opened in %.0f ms\n", (double)(ql_now_ns() - begin) / 1e6);
  unsigned mark = ql_gpu_mark(gpu);
  for (size_t at = 0; at < ql_gpu_count(gpu); at++)
    print_device(gpu, at);
  unsigned start = mark;
  for (long second = 0; second < seconds; second++) {
    rest_ms(1000);
    unsigned next = ql_gpu_mark(gpu);
    for (size_t at = 0; at < ql_gpu_count(gpu); at++)
      print_window(gpu, at, "second", mark, next);
    mark = next;
    if (second % 5 == 4)
      print_processes(gpu, 0);
  }
  for (size_t at = 0; at < ql_gpu_count(gpu); at++)
    print_window(gpu, at, "whole", start, mark);
  print_granularity();
  ql_gpu_close(gpu);
  return 0;
}
