// SPDX-License-Identifier: Apache-2.0
// gpu: what the NVIDIA devices of this machine do while somebody else works on them.
//
// Owns one sampling thread and all it has read; that thread alone reads, so nothing here waits for a
// driver but ql_gpu_open, ql_gpu_processes and, for one reading at most, ql_gpu_window. A mark is a moment
// at which the thread reads as soon as it can; figures are those between two marks. Other makers' devices
// are not looked for.
#ifndef QL_GPU_H
#define QL_GPU_H

#include "base.h"
#include "gpu_window.h"

struct ql_gpu;

struct ql_gpu_options {
  const char *library; // NULL: libnvidia-ml.so.1
  double hz;           // readings per second; 0: 10
};

struct ql_gpu_device {
  char uuid[96], name[96], driver[96];
  int cuda_version; // 12040 is 12.4; 0: unknown
  uint64_t memory_total_bytes, power_limit_mw; // 0: unknown
  int is_persistent, is_partitioned;           // 0, 1, or -1: unknown
  bool uses_reserved; // the driver counts memory it reserves for itself as used
};

struct ql_gpu_process {
  unsigned pid;
  uint64_t memory_bytes; // UINT64_MAX: unknown
};

// NULL and why: no driver, no device, no permission. That is a fact about the machine, not a failure.
struct ql_gpu *ql_gpu_open(const struct ql_gpu_options *options, struct ql_err *err);
// Ends the thread. One that hangs in a driver is left behind after some seconds.
void ql_gpu_close(struct ql_gpu *gpu);

size_t ql_gpu_count(const struct ql_gpu *gpu);
const struct ql_gpu_device *ql_gpu_device(const struct ql_gpu *gpu, size_t at);
// How many compute processes it has, of which at most max are put into the list; -1 when the driver does not say.
int ql_gpu_processes(const struct ql_gpu *gpu, size_t at, struct ql_gpu_process *list, size_t max, struct ql_err *err);

// A number from 1, or 0 when there are too many. Never waits.
unsigned ql_gpu_mark(struct ql_gpu *gpu);
// Figures of one device between two marks, from <= to; with from == to those of the moment itself. Waits until
// the marks have been read.
int ql_gpu_window(struct ql_gpu *gpu, size_t at, unsigned from, unsigned to, struct ql_gpu_figures *figures, struct ql_err *err);
// Readings kept for a drawing, at most max of them evenly chosen, between two marks that have been read.
size_t ql_gpu_series(struct ql_gpu *gpu, size_t at, unsigned from, unsigned to, struct ql_gpu_reading *readings, size_t max);

#endif
