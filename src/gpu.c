// SPDX-License-Identifier: Apache-2.0
// gpu: see gpu.h. The sampling thread, marks, and what lies between them.
//
// The thread reads without the lock, since a driver may take its time, and folds under it. A mark counts
// as read by the first reading that began after it was asked for; several that wait share one.

#include "gpu.h"
#include "gpu_nvml.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_MARKS = 1 << 16, PATIENCE_S = 5 };

struct watched {
  struct ql_gpu_device device;
  struct ql_gpu_stretch *stretches; // [m] begins at mark m; [0] when the device was opened
  struct ql_gpu_series series;
};

struct ql_gpu {
  struct ql_nvml *nvml;
  struct watched *devices;
  struct ql_gpu_reading *fresh; // the thread's own
  size_t count, capacity;       // of devices; of stretches in each
  uint64_t period_ns;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake, progress; // for the thread; from it
  unsigned marks_asked, marks_read;
  bool is_stopping, has_ended;
};

// ---- the thread -------------------------------------------------------------------------------------------

static void grow(struct ql_gpu *gpu, size_t wanted) {
  if (wanted <= gpu->capacity)
    return;
  gpu->capacity = wanted > 2 * gpu->capacity ? wanted : 2 * gpu->capacity;
  for (size_t i = 0; i < gpu->count; i++) {
    struct watched *one = &gpu->devices[i];
    one->stretches = ql_realloc(one->stretches, gpu->capacity * sizeof *one->stretches);
  }
}

// Under the lock. The reading ends the stretch that runs, and begins one for each mark that it was read for.
static void fold(struct ql_gpu *gpu, unsigned marks) {
  grow(gpu, (size_t)marks + 1);
  for (size_t i = 0; i < gpu->count; i++) {
    struct watched *one = &gpu->devices[i];
    ql_gpu_stretch_add(&one->stretches[gpu->marks_read], &gpu->fresh[i]);
    ql_gpu_series_add(&one->series, &gpu->fresh[i]);
    for (unsigned mark = gpu->marks_read + 1; mark <= marks; mark++)
      ql_gpu_stretch_begin(&one->stretches[mark], &gpu->fresh[i]);
  }
  if (marks > gpu->marks_read) {
    gpu->marks_read = marks;
    pthread_cond_broadcast(&gpu->progress);
  }
}

static struct timespec moment(uint64_t at_ns) {
  return (struct timespec){.tv_sec = (time_t)(at_ns / 1000000000), .tv_nsec = (long)(at_ns % 1000000000)};
}

static void rest(struct ql_gpu *gpu, uint64_t until_ns) {
  struct timespec until = moment(until_ns);
  while (!gpu->is_stopping && gpu->marks_asked == gpu->marks_read)
    if (pthread_cond_timedwait(&gpu->wake, &gpu->lock, &until) != 0)
      return;
}

static void *sample(void *arg) {
  struct ql_gpu *gpu = arg;
  uint64_t next_ns = ql_now_ns() + gpu->period_ns;
  pthread_setname_np(pthread_self(), "qlua-gpu");
  pthread_mutex_lock(&gpu->lock);
  for (;;) {
    rest(gpu, next_ns);
    if (gpu->is_stopping)
      break;
    unsigned marks = gpu->marks_asked;
    pthread_mutex_unlock(&gpu->lock);
    for (size_t i = 0; i < gpu->count; i++)
      ql_nvml_read(gpu->nvml, i, &gpu->fresh[i]);
    pthread_mutex_lock(&gpu->lock);
    fold(gpu, marks);
    uint64_t now_ns = ql_now_ns();
    while (next_ns <= now_ns)
      next_ns += gpu->period_ns; // what was missed is not made up for
  }
  gpu->has_ended = true;
  pthread_cond_broadcast(&gpu->progress);
  pthread_mutex_unlock(&gpu->lock);
  return NULL;
}

// ---- open and close -----------------------------------------------------------------------------------------

static int start_thread(struct ql_gpu *gpu, struct ql_err *err) {
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&gpu->lock, NULL);
  pthread_cond_init(&gpu->wake, &monotonic);
  pthread_cond_init(&gpu->progress, &monotonic);
  pthread_condattr_destroy(&monotonic);
  sigset_t all, before; // signals are for the main thread
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&gpu->thread, NULL, sample, gpu);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc == 0 ? 0 : ql_fail(err, QL_E_INTERNAL, "no thread to watch the GPUs: error %d", rc);
}

static void release(struct ql_gpu *gpu) {
  for (size_t i = 0; i < gpu->count; i++) {
    free(gpu->devices[i].stretches);
    free(gpu->devices[i].series.items);
  }
  ql_nvml_close(gpu->nvml);
  pthread_cond_destroy(&gpu->wake);
  pthread_cond_destroy(&gpu->progress);
  pthread_mutex_destroy(&gpu->lock);
  free(gpu->devices);
  free(gpu->fresh);
  free(gpu);
}

struct ql_gpu *ql_gpu_open(const struct ql_gpu_options *options, struct ql_err *err) {
  struct ql_nvml *nvml = ql_nvml_open(options->library, err);
  if (!nvml)
    return NULL;
  struct ql_gpu *gpu = ql_calloc(1, sizeof *gpu);
  gpu->nvml = nvml;
  gpu->count = ql_nvml_count(nvml);
  gpu->devices = ql_calloc(gpu->count, sizeof *gpu->devices);
  gpu->fresh = ql_calloc(gpu->count, sizeof *gpu->fresh);
  gpu->period_ns = (uint64_t)(1e9 / (options->hz > 0 ? options->hz : 10));
  grow(gpu, 16);
  for (size_t i = 0; i < gpu->count; i++) {
    ql_nvml_describe(nvml, i, &gpu->devices[i].device);
    ql_nvml_read(nvml, i, &gpu->fresh[i]);
    ql_gpu_stretch_begin(&gpu->devices[i].stretches[0], &gpu->fresh[i]);
  }
  if (start_thread(gpu, err) != 0) {
    release(gpu);
    return NULL;
  }
  return gpu;
}

void ql_gpu_close(struct ql_gpu *gpu) {
  if (!gpu)
    return;
  struct timespec limit = moment(ql_now_ns() + PATIENCE_S * UINT64_C(1000000000));
  pthread_mutex_lock(&gpu->lock);
  gpu->is_stopping = true;
  pthread_cond_signal(&gpu->wake);
  int rc = 0;
  while (!gpu->has_ended && rc == 0)
    rc = pthread_cond_timedwait(&gpu->progress, &gpu->lock, &limit);
  bool has_ended = gpu->has_ended;
  pthread_mutex_unlock(&gpu->lock);
  if (!has_ended) {
    pthread_detach(gpu->thread); // it may come back from the driver at any time, so its memory stays
    return;
  }
  pthread_join(gpu->thread, NULL);
  release(gpu);
}

// ---- what was seen --------------------------------------------------------------------------------------------

size_t ql_gpu_count(const struct ql_gpu *gpu) { return gpu->count; }
const struct ql_gpu_device *ql_gpu_device(const struct ql_gpu *gpu, size_t at) { return &gpu->devices[at].device; }

int ql_gpu_processes(const struct ql_gpu *gpu, size_t at, struct ql_gpu_process *list, size_t max, struct ql_err *err) {
  return ql_nvml_processes(gpu->nvml, at, list, max, err);
}

unsigned ql_gpu_mark(struct ql_gpu *gpu) {
  pthread_mutex_lock(&gpu->lock);
  unsigned mark = gpu->marks_asked < MAX_MARKS ? ++gpu->marks_asked : 0;
  pthread_cond_signal(&gpu->wake);
  pthread_mutex_unlock(&gpu->lock);
  return mark;
}

// Under the lock.
static int wait_for(struct ql_gpu *gpu, unsigned from, unsigned to, struct ql_err *err) {
  if (from < 1 || from > to || to > gpu->marks_asked)
    return ql_fail(err, QL_E_INTERNAL, "want two marks in order, got %u and %u of %u", from, to, gpu->marks_asked);
  struct timespec limit = moment(ql_now_ns() + PATIENCE_S * UINT64_C(1000000000));
  while (gpu->marks_read < to)
    if (pthread_cond_timedwait(&gpu->progress, &gpu->lock, &limit) != 0 && gpu->marks_read < to)
      return ql_fail(err, QL_E_TIMEOUT, "the GPU driver has not answered for %d s", PATIENCE_S);
  return 0;
}

int ql_gpu_window(struct ql_gpu *gpu, size_t at, unsigned from, unsigned to, struct ql_gpu_figures *figures, struct ql_err *err) {
  pthread_mutex_lock(&gpu->lock);
  int rc = wait_for(gpu, from, to, err);
  if (rc == 0) {
    const struct ql_gpu_stretch *stretches = gpu->devices[at].stretches;
    struct ql_gpu_stretch whole;
    ql_gpu_stretch_begin(&whole, &stretches[from].first);
    for (unsigned mark = from; mark < to; mark++)
      ql_gpu_stretch_join(&whole, &stretches[mark]);
    *figures = ql_gpu_stretch_figures(&whole);
  }
  pthread_mutex_unlock(&gpu->lock);
  return rc;
}

size_t ql_gpu_series(struct ql_gpu *gpu, size_t at, unsigned from, unsigned to, struct ql_gpu_reading *readings, size_t max) {
  size_t taken = 0;
  pthread_mutex_lock(&gpu->lock);
  if (max > 0 && wait_for(gpu, from, to, NULL) == 0) {
    const struct watched *one = &gpu->devices[at];
    uint64_t from_ns = one->stretches[from].first.at_ns, to_ns = one->stretches[to].first.at_ns;
    size_t begin = 0, end;
    while (begin < one->series.count && one->series.items[begin].at_ns < from_ns)
      begin++;
    for (end = begin; end < one->series.count && one->series.items[end].at_ns <= to_ns;)
      end++;
    size_t step = (end - begin + max - 1) / max;
    for (size_t i = begin; i < end; i += step)
      readings[taken++] = one->series.items[i];
  }
  pthread_mutex_unlock(&gpu->lock);
  return taken;
}
