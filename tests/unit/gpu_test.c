// SPDX-License-Identifier: Apache-2.0
// gpu: the figures of windows, both layouts of the process list, and a driver that is absent, refuses, lacks
// functions, or loses a device. The driver is tests/fake/nvml.c, copied to where the test can tell it what to say.
#include "check.h"
#include "gpu.h"
#include "gpu_nvml.h"

#include <stdlib.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static char dir[64], library[128];

static void say(const char *state) {
  char path[160], fresh[192];
  snprintf(path, sizeof path, "%s.state", library);
  snprintf(fresh, sizeof fresh, "%s.new", path);
  FILE *file = fopen(fresh, "w");
  fputs(state, file);
  fclose(file);
  rename(fresh, path);
}

static void install(const char *name) {
  static int number;
  char command[512];
  if (!dir[0]) {
    snprintf(dir, sizeof dir, "%s", "/tmp/qlua_gpu_XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
  }
  snprintf(library, sizeof library, "%s/%d.so", dir, number++); // a path of its own is a library of its own
  snprintf(command, sizeof command, "cp %s/lib%s.so %s", QLUA_FAKE_DIR, name, library);
  CHECK_INT(system(command), 0);
}

static struct ql_gpu *open_with(const char *state, double hz, struct ql_err *err) {
  say(state);
  return ql_gpu_open(&(struct ql_gpu_options){.library = library, .hz = hz}, err);
}

static struct ql_gpu *must_open(const char *state, double hz) {
  struct ql_err err = {0};
  struct ql_gpu *gpu = open_with(state, hz, &err);
  CHECK_STR(err.text, "");
  if (!gpu)
    exit(1);
  return gpu;
}

static struct ql_gpu_figures window(struct ql_gpu *gpu, size_t at, unsigned from, unsigned to) {
  struct ql_gpu_figures figures = {0};
  struct ql_err err = {0};
  CHECK_INT(ql_gpu_window(gpu, at, from, to, &figures, &err), 0);
  return figures;
}

// A mark that has been read.
static unsigned marked(struct ql_gpu *gpu) {
  unsigned mark = ql_gpu_mark(gpu);
  window(gpu, 0, mark, mark);
  return mark;
}

#define NEAR(got, want) CHECK((got) - (want) < 1e-6 && (want) - (got) < 1e-6)

// ---- arithmetic -------------------------------------------------------------------------------------------

static struct ql_gpu_reading at_s(double seconds, unsigned power_w, uint64_t energy_mj) {
  return (struct ql_gpu_reading){.at_ns = (uint64_t)(seconds * 1e9) + 1, .power_mw = power_w * 1000, .energy_mj = energy_mj,
                                 .known = QL_GPU_POWER | QL_GPU_ENERGY};
}

static struct ql_gpu_figures of_three(struct ql_gpu_reading a, struct ql_gpu_reading b, struct ql_gpu_reading c) {
  struct ql_gpu_stretch stretch;
  ql_gpu_stretch_begin(&stretch, &a);
  ql_gpu_stretch_add(&stretch, &b);
  ql_gpu_stretch_add(&stretch, &c);
  return ql_gpu_stretch_figures(&stretch);
}

static void test_energy_by_counter(void) {
  struct ql_gpu_figures f = of_three(at_s(0, 100, 5000), at_s(1, 300, 105000), at_s(3, 100, 500000));
  CHECK_INT(f.energy_source, QL_GPU_COUNTER);
  NEAR(f.energy_j, 495.0);
  NEAR(f.power_w_mean, 200.0); // weighted by time: (200 + 2 * 200) / 3
  NEAR(f.power_w_max, 300.0);
}

static void test_energy_by_trapezoid(void) {
  struct ql_gpu_reading a = at_s(0, 100, 9), b = at_s(1, 300, 9), c = at_s(3, 100, 9);
  struct ql_gpu_figures f = of_three(a, b, c); // a counter that stands still while power is drawn
  CHECK_INT(f.energy_source, QL_GPU_INTEGRATED);
  NEAR(f.energy_j, 600.0);
  f = of_three(at_s(0, 100, 50000), at_s(1, 300, 10), at_s(3, 100, 90000)); // it went back: the driver came anew
  CHECK_INT(f.energy_source, QL_GPU_INTEGRATED);
  NEAR(f.energy_j, 600.0);
  c = at_s(3, 100, 99000);
  c.known = QL_GPU_POWER; // it is not there at the end
  CHECK_INT(of_three(a, b, c).energy_source, QL_GPU_INTEGRATED);
  b.known = 0; // a power reading that is missing is bridged
  f = of_three(a, b, c);
  NEAR(f.energy_j, 300.0);
  a.known = c.known = 0;
  f = of_three(a, b, c);
  CHECK_INT(f.energy_source, QL_GPU_NO_ENERGY);
  CHECK_INT(f.known, 0);
}

static void test_joined_stretches_are_the_whole(void) {
  struct ql_gpu_reading readings[] = {at_s(0, 10, 0), at_s(1, 20, 15000), at_s(2, 90, 70000), at_s(5, 10, 220000)};
  struct ql_gpu_stretch whole, first, second;
  ql_gpu_stretch_begin(&whole, &readings[0]);
  ql_gpu_stretch_begin(&first, &readings[0]);
  for (int i = 1; i < 4; i++) {
    readings[i].known |= QL_GPU_SM_CLOCK | QL_GPU_THROTTLE;
    readings[i].sm_clock_mhz = 1000u * (unsigned)i;
    readings[i].throttle = i == 2 ? 4 : 0;
    ql_gpu_stretch_add(&whole, &readings[i]);
  }
  ql_gpu_stretch_add(&first, &readings[1]);
  ql_gpu_stretch_begin(&second, &readings[1]);
  ql_gpu_stretch_add(&second, &readings[2]);
  ql_gpu_stretch_add(&second, &readings[3]);
  ql_gpu_stretch_join(&first, &second);
  struct ql_gpu_figures a = ql_gpu_stretch_figures(&whole), b = ql_gpu_stretch_figures(&first);
  NEAR(a.energy_j, 220.0);
  NEAR(b.energy_j, 220.0);
  NEAR(b.power_w_mean, a.power_w_mean);
  NEAR(b.power_w_max, 90.0);
  NEAR(b.sm_clock_mhz_mean, 2000.0);
  NEAR(b.reasons[2], 1.0 / 3);
  CHECK_INT(b.readings, 3);
  CHECK_INT(b.to_ns - b.from_ns, 5000000000);
}

static void test_series_stays_small(void) {
  struct ql_gpu_series series = {0};
  for (uint64_t i = 0; i < 100000; i++)
    ql_gpu_series_add(&series, &(struct ql_gpu_reading){.at_ns = i});
  CHECK(series.count <= QL_GPU_SERIES && series.count >= QL_GPU_SERIES / 2);
  CHECK_INT(series.stride, 32);
  for (size_t i = 0; i < series.count; i++)
    if (series.items[i].at_ns != i * series.stride)
      CHECK_INT(series.items[i].at_ns, i * series.stride);
  free(series.items);
}

// ---- the process list ---------------------------------------------------------------------------------------

static void entry(unsigned char *at, size_t stride, unsigned pid, uint64_t memory, uint64_t protected_bytes) {
  memset(at, 0, 8); // padding is the driver's to write
  memcpy(at, &pid, sizeof pid);
  memcpy(at + 8, &memory, sizeof memory);
  memset(at + 16, 0xFF, 8);
  if (stride == 32)
    memcpy(at + 24, &protected_bytes, sizeof protected_bytes);
}

static size_t stride_of(size_t stride, size_t count, uint64_t memory, uint64_t protected_bytes) {
  unsigned char bytes[32 * 20];
  memset(bytes, 0xFF, sizeof bytes);
  for (size_t i = 0; i < count; i++)
    entry(bytes + i * stride, stride, 417 + (unsigned)i, memory, protected_bytes);
  return ql_nvml_stride(bytes, count);
}

static void test_strides_are_told_apart(void) {
  for (size_t count = 2; count <= 20; count++) {
    CHECK_INT(stride_of(24, count, 1184890880, 0), 24);
    CHECK_INT(stride_of(24, count, 2 * MIB, 0), 24); // an amount that could be a pid
    CHECK_INT(stride_of(24, count, UINT64_MAX, 0), 24);
    CHECK_INT(stride_of(32, count, 1184890880, 0), 32);
    CHECK_INT(stride_of(32, count, UINT64_MAX, UINT64_MAX), 32); // all ones at the end as if untouched
    CHECK_INT(stride_of(32, count, 2 * MIB, 2 * MIB), 32);
  }
}

static void test_processes_of_both_drivers(void) {
  for (int stride = 24; stride <= 32; stride += 8) {
    char state[256];
    snprintf(state, sizeof state, "count 2\nstride %d\nprocesses.0 417:1184890880 416:-1 99:4096\nprocesses.1 !4\n", stride);
    struct ql_gpu *gpu = must_open(state, 1);
    struct ql_gpu_process list[8];
    struct ql_err err = {0};
    CHECK_INT(ql_gpu_processes(gpu, 0, list, 8, &err), 3);
    CHECK_INT(list[0].pid, 417);
    CHECK_INT(list[0].memory_bytes, 1184890880);
    CHECK_INT(list[1].pid, 416);
    CHECK(list[1].memory_bytes == UINT64_MAX);
    CHECK_INT(list[2].pid, 99);
    CHECK_INT(ql_gpu_processes(gpu, 1, list, 8, &err), -1);
    CHECK(strstr(err.text, "(nvml 4)") != NULL && strstr(err.hint, "/dev/nvidia") != NULL);
    ql_gpu_close(gpu);
  }
}

static void test_processes_none_and_many(void) {
  char state[1024] = "count 1\nstride 32\n";
  struct ql_gpu *gpu = must_open(state, 1);
  struct ql_gpu_process list[8];
  CHECK_INT(ql_gpu_processes(gpu, 0, list, 8, NULL), 0);
  size_t used = strlen(state);
  used += (size_t)snprintf(state + used, sizeof state - used, "processes");
  for (int i = 0; i < 50; i++)
    used += (size_t)snprintf(state + used, sizeof state - used, " %d:%d", 1000 + i, 4096);
  say(state);
  CHECK_INT(ql_gpu_processes(gpu, 0, list, 8, NULL), 50);
  CHECK_INT(list[7].pid, 1007);
  say("count 1\nprocesses !7\n"); // a driver that never has enough room is given up on
  CHECK_INT(ql_gpu_processes(gpu, 0, list, 8, NULL), -1);
  ql_gpu_close(gpu);
}

// ---- a driver that is not there -------------------------------------------------------------------------------

static void test_absent_is_said(void) {
  struct ql_err err = {0};
  CHECK(!ql_gpu_open(&(struct ql_gpu_options){.library = "/no/such/libnvidia-ml.so.1"}, &err));
  CHECK(strstr(err.text, "/no/such/libnvidia-ml.so.1") != NULL);
  CHECK(!ql_gpu_open(&(struct ql_gpu_options){.library = "libm.so.6"}, &err));
  CHECK_STR(err.text, "libm.so.6: no function nvmlInit_v2");
  CHECK(!open_with("count 0\n", 1, &err));
  CHECK_STR(err.text, "the NVIDIA driver knows no GPU");
  CHECK(!open_with("count !999\n", 1, &err));
  CHECK_STR(err.text, "the GPUs cannot be counted: unknown error (nvml 999)");
  CHECK(!open_with("count 2\nhandle !4\n", 1, &err));
}

static void test_init_refuses(void) {
  static const int codes[] = {1, 2, 3, 4, 6, 7, 9, 13, 15, 18, 25, 999};
  for (size_t i = 0; i < QL_LEN(codes); i++) {
    char state[64], wanted[32];
    struct ql_err err = {0};
    snprintf(state, sizeof state, "init !%d\ncount 1\n", codes[i]);
    snprintf(wanted, sizeof wanted, "(nvml %d)", codes[i]);
    CHECK(!open_with(state, 1, &err));
    CHECK_INT(err.kind, QL_E_IO);
    CHECK(strstr(err.text, wanted) != NULL);
    CHECK_INT(err.hint[0] != '\0', codes[i] == 4 || codes[i] == 18);
  }
}

static void test_a_device_that_may_not_be_seen_is_left_out(void) {
  struct ql_gpu *gpu = must_open("count 3\nhandle.1 !4\nname.0 A\nname.2 C\n", 1);
  CHECK_INT(ql_gpu_count(gpu), 2);
  CHECK_STR(ql_gpu_device(gpu, 1)->name, "C");
  ql_gpu_close(gpu);
}

// ---- devices and windows --------------------------------------------------------------------------------------

static const char whole[] = "count 1\nname NVIDIA H200\nuuid GPU-1\ndriver 580.1\ncuda 13000\nmemory_total 150754820096\n"
                            "power_limit 700000\npersistence 1\nmig 0\n";

static void test_device_is_described(void) {
  struct ql_gpu *gpu = must_open(whole, 1);
  const struct ql_gpu_device *device = ql_gpu_device(gpu, 0);
  CHECK_STR(device->name, "NVIDIA H200");
  CHECK_STR(device->uuid, "GPU-1");
  CHECK_STR(device->driver, "580.1");
  CHECK_INT(device->cuda_version, 13000);
  CHECK_INT(device->power_limit_mw, 700000);
  CHECK_INT(device->is_persistent, 1);
  CHECK_INT(device->is_partitioned, 0);
  ql_gpu_close(gpu);
}

static void test_nothing_known(void) {
  struct ql_gpu *gpu = must_open("count 1\n", 1);
  const struct ql_gpu_device *device = ql_gpu_device(gpu, 0);
  CHECK_STR(device->name, "");
  CHECK_INT(device->is_persistent, -1);
  CHECK_INT(device->cuda_version, 0);
  unsigned from = marked(gpu), to = marked(gpu);
  struct ql_gpu_figures f = window(gpu, 0, from, to);
  CHECK_INT(f.known, 0);
  CHECK_INT(f.memory_used_max_bytes, 0);
  CHECK_INT(f.temperature_c_max, 0);
  ql_gpu_close(gpu);
}

static void test_windows_between_marks(void) {
  struct ql_gpu *gpu = must_open("count 1\n", 0.01);
  say("count 1\nenergy 5000\npower 100000\nmemory_used 100\ntemperature 40\nsm_clock 345\nutilisation 0\nthrottle 1\n");
  unsigned a = marked(gpu);
  say("count 1\nenergy 8000\npower 300000\nmemory_used 900\ntemperature 62\nsm_clock 1500\nutilisation 100\nthrottle 0x44\n");
  unsigned b = marked(gpu);
  say("count 1\nenergy 8500\npower 200000\nmemory_used 500\ntemperature 50\nsm_clock 1900\nutilisation 50\nthrottle 4\n");
  unsigned c = marked(gpu);
  struct ql_gpu_figures f = window(gpu, 0, a, c);
  CHECK_INT(f.energy_source, QL_GPU_COUNTER);
  NEAR(f.energy_j, 3.5);
  CHECK_INT(f.readings, 2);
  CHECK_INT(f.memory_used_max_bytes, 900);
  CHECK_INT(f.temperature_c_max, 62);
  NEAR(f.sm_clock_mhz_mean, 1700);
  NEAR(f.utilisation_mean, 75);
  NEAR(f.power_w_max, 300);
  NEAR(f.reasons[2], 1.0);
  NEAR(f.reasons[6], 0.5);
  NEAR(f.reasons[0], 0.0); // the first mark belongs to what was before it
  CHECK_STR(ql_gpu_reason(2), "sw_power_cap");
  NEAR(window(gpu, 0, b, c).energy_j, 0.5);
  f = window(gpu, 0, a, a); // the moment itself
  CHECK_INT(f.memory_used_max_bytes, 100);
  NEAR(f.power_w_mean, 100);
  CHECK_INT(f.energy_source, QL_GPU_NO_ENERGY);
  struct ql_gpu_reading readings[8];
  CHECK_INT(ql_gpu_series(gpu, 0, a, c, readings, 8), 3);
  CHECK_INT(readings[1].memory_used_bytes, 900);
  CHECK_INT(ql_gpu_series(gpu, 0, a, c, readings, 2), 2);
  struct ql_err err;
  CHECK_INT(ql_gpu_window(gpu, 0, c, a, &f, &err), -1);
  CHECK_INT(ql_gpu_window(gpu, 0, a, c + 1, &f, &err), -1);
  CHECK_INT(ql_gpu_window(gpu, 0, 0, a, &f, &err), -1);
  ql_gpu_close(gpu);
}

static void test_a_device_is_lost(void) {
  struct ql_gpu *gpu = must_open("count 2\nenergy 1000\npower 5000\nmemory_used 700\n", 0.01);
  unsigned a = marked(gpu);
  say("count 2\nenergy 3000\npower 5000\nmemory_used 800\nenergy.1 !15\npower.1 !15\nmemory_used.1 !15\n");
  unsigned b = marked(gpu);
  struct ql_gpu_figures kept = window(gpu, 0, a, b), lost = window(gpu, 1, a, b);
  CHECK(!kept.is_lost);
  NEAR(kept.energy_j, 2.0);
  CHECK(lost.is_lost);
  CHECK_INT(lost.energy_source, QL_GPU_NO_ENERGY);
  CHECK_INT(lost.memory_used_max_bytes, 700); // what was seen before
  ql_gpu_close(gpu);
}

static void test_an_old_driver(void) {
  install("fake_nvml_old");
  struct ql_gpu *gpu = must_open("count 1\nmemory_total 1000\nmemory_used 10\npower 50000\nthrottle 8\nprocesses 77:1 78:2\n", 0.01);
  CHECK(ql_gpu_device(gpu, 0)->uses_reserved);
  unsigned a = marked(gpu), b = marked(gpu);
  struct ql_gpu_figures f = window(gpu, 0, a, b);
  CHECK_INT(f.energy_source, QL_GPU_INTEGRATED);
  NEAR(f.energy_j, 50.0 * (double)(f.to_ns - f.from_ns) / 1e9);
  CHECK_INT(f.memory_used_max_bytes, 10);
  NEAR(f.reasons[3], 1.0);
  struct ql_gpu_process list[4];
  CHECK_INT(ql_gpu_processes(gpu, 0, list, 4, NULL), 2);
  CHECK_INT(list[1].pid, 78);
  ql_gpu_close(gpu);
  install("fake_nvml");
}

// Marks, windows and lists while the thread reads as fast as it can; the sanitizers watch.
static void test_thread_and_callers(void) {
  struct ql_gpu *gpu = must_open("count 2\nenergy 1000\npower 5000\nprocesses 5:6\n", 1000);
  unsigned first = ql_gpu_mark(gpu), last = first;
  struct ql_gpu_process list[2];
  for (int i = 0; i < 200; i++) {
    last = ql_gpu_mark(gpu);
    if (i % 20 == 0) {
      CHECK(window(gpu, 1, first, last).readings > 0 || i == 0); // the first may share one reading
      CHECK_INT(ql_gpu_processes(gpu, 0, list, 2, NULL), 1);
    }
  }
  CHECK_INT(last, 201);
  CHECK_INT(window(gpu, 0, last, last).power_w_max, 5);
  ql_gpu_mark(gpu); // closing does not wait for a mark that nobody asks about
  ql_gpu_close(gpu);
  ql_gpu_close(NULL);
}

static void test_begin(void) { install("fake_nvml"); }

static void test_end(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -r %s", dir);
  CHECK_INT(system(command), 0);
}

RUN(test_begin, test_energy_by_counter, test_energy_by_trapezoid, test_joined_stretches_are_the_whole, test_series_stays_small,
    test_strides_are_told_apart, test_processes_of_both_drivers, test_processes_none_and_many, test_absent_is_said,
    test_init_refuses, test_a_device_that_may_not_be_seen_is_left_out, test_device_is_described, test_nothing_known,
    test_windows_between_marks, test_a_device_is_lost, test_an_old_driver, test_thread_and_callers, test_end)
