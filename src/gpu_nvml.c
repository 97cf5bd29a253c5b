// SPDX-License-Identifier: Apache-2.0
// gpu_nvml: see gpu_nvml.h. The declarations are ours, after the library's documented ABI: functions return
// an int (0: fine), devices are opaque pointers, versioned structs carry their size and version.
//
// The one thing that is not obvious: the list of processes. Drivers of the series 535 wrote entries of 32
// bytes from a function whose entries had 24 before and have 24 since, under one name. So the buffer has
// room for the larger ones, is filled with 0xFF, and what was written says which it was.

#include "gpu_nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  NVML_NOT_SUPPORTED = 3,
  NVML_NO_PERMISSION = 4,
  NVML_INSUFFICIENT_SIZE = 7,
  NVML_GPU_LOST = 15,
  NVML_LIB_RM_VERSION_MISMATCH = 18,
};
enum { CLOCK_SM = 1, SPARE_ENTRIES = 16, MAX_ENTRY = 32, MAX_PID = 1 << 22 };

struct memory_v1 {
  unsigned long long total, free, used;
};
struct memory_v2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};
struct utilisation {
  unsigned gpu, memory;
};
struct temperature_v1 {
  unsigned version;
  int sensor, celsius;
};

typedef void *nvml_device;

// Everything that is looked up; only what is marked in the table below must be there.
struct functions {
  int (*init)(void);
  int (*shutdown)(void);
  int (*count)(unsigned *);
  int (*handle)(unsigned, nvml_device *);
  const char *(*error)(int);
  int (*driver)(char *, unsigned);
  int (*cuda)(int *);
  int (*name)(nvml_device, char *, unsigned);
  int (*uuid)(nvml_device, char *, unsigned);
  int (*memory)(nvml_device, struct memory_v1 *);
  int (*memory_v2)(nvml_device, struct memory_v2 *);
  int (*power)(nvml_device, unsigned *);
  int (*power_limit)(nvml_device, unsigned *);
  int (*energy)(nvml_device, unsigned long long *);
  int (*temperature)(nvml_device, int, unsigned *);
  int (*temperature_v)(nvml_device, struct temperature_v1 *);
  int (*clock)(nvml_device, int, unsigned *);
  int (*utilisation)(nvml_device, struct utilisation *);
  int (*reasons)(nvml_device, unsigned long long *);
  int (*persistence)(nvml_device, int *);
  int (*mig)(nvml_device, unsigned *, unsigned *);
  int (*processes)(nvml_device, unsigned *, void *);
};

static const struct symbol {
  const char *name, *older; // the older name is taken where the newer one is absent
  size_t offset;
  bool is_needed;
} symbols[] = {
    {"nvmlInit_v2", "nvmlInit", offsetof(struct functions, init), true},
    {"nvmlShutdown", NULL, offsetof(struct functions, shutdown), true},
    {"nvmlDeviceGetCount_v2", "nvmlDeviceGetCount", offsetof(struct functions, count), true},
    {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex", offsetof(struct functions, handle), true},
    {"nvmlErrorString", NULL, offsetof(struct functions, error), false},
    {"nvmlSystemGetDriverVersion", NULL, offsetof(struct functions, driver), false},
    {"nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion", offsetof(struct functions, cuda), false},
    {"nvmlDeviceGetName", NULL, offsetof(struct functions, name), false},
    {"nvmlDeviceGetUUID", NULL, offsetof(struct functions, uuid), false},
    {"nvmlDeviceGetMemoryInfo", NULL, offsetof(struct functions, memory), false},
    {"nvmlDeviceGetMemoryInfo_v2", NULL, offsetof(struct functions, memory_v2), false},
    {"nvmlDeviceGetPowerUsage", NULL, offsetof(struct functions, power), false},
    {"nvmlDeviceGetEnforcedPowerLimit", NULL, offsetof(struct functions, power_limit), false},
    {"nvmlDeviceGetTotalEnergyConsumption", NULL, offsetof(struct functions, energy), false},
    {"nvmlDeviceGetTemperature", NULL, offsetof(struct functions, temperature), false},
    {"nvmlDeviceGetTemperatureV", NULL, offsetof(struct functions, temperature_v), false},
    {"nvmlDeviceGetClockInfo", NULL, offsetof(struct functions, clock), false},
    {"nvmlDeviceGetUtilizationRates", NULL, offsetof(struct functions, utilisation), false},
    {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons",
     offsetof(struct functions, reasons), false},
    {"nvmlDeviceGetPersistenceMode", NULL, offsetof(struct functions, persistence), false},
    {"nvmlDeviceGetMigMode", NULL, offsetof(struct functions, mig), false},
    {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2",
     offsetof(struct functions, processes), false},
};

struct ql_nvml {
  void *library;
  struct functions call;
  nvml_device *devices;
  size_t count;
};

// ---- open ---------------------------------------------------------------------------------------------------

static int look_up(struct ql_nvml *nvml, const char *library, struct ql_err *err) {
  for (size_t i = 0; i < QL_LEN(symbols); i++) {
    void *found = dlsym(nvml->library, symbols[i].name);
    if (!found && symbols[i].older)
      found = dlsym(nvml->library, symbols[i].older);
    if (!found && symbols[i].is_needed)
      return ql_fail(err, QL_E_IO, "%s: no function %s", library, symbols[i].name);
    memcpy((char *)&nvml->call + symbols[i].offset, &found, sizeof found); // ISO C casts no data pointer to a function
  }
  return 0;
}

static int fail_call(const struct ql_nvml *nvml, const char *what, int code, struct ql_err *err) {
  const char *text = nvml->call.error ? nvml->call.error(code) : NULL;
  ql_fail(err, QL_E_IO, "%s: %s (nvml %d)", what, text ? text : "unknown error", code);
  if (code == NVML_LIB_RM_VERSION_MISMATCH)
    ql_hint(err, "the driver was updated while it was loaded: restart the machine");
  if (code == NVML_NO_PERMISSION)
    ql_hint(err, "this user may not open /dev/nvidia*");
  return -1;
}

static int find_devices(struct ql_nvml *nvml, struct ql_err *err) {
  unsigned count = 0;
  int code = nvml->call.count(&count);
  if (code != 0)
    return fail_call(nvml, "the GPUs cannot be counted", code, err);
  nvml->devices = ql_calloc(count + 1, sizeof *nvml->devices);
  for (unsigned i = 0; i < count; i++) // one that this user may not see, or that is lost, is left out
    if (nvml->call.handle(i, &nvml->devices[nvml->count]) == 0)
      nvml->count++;
  return nvml->count > 0 ? 0 : ql_fail(err, QL_E_IO, "the NVIDIA driver knows no GPU");
}

struct ql_nvml *ql_nvml_open(const char *library, struct ql_err *err) {
  library = library ? library : "libnvidia-ml.so.1";
  struct ql_nvml *nvml = ql_calloc(1, sizeof *nvml);
  nvml->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  int code = 0;
  if (!nvml->library) {
    ql_fail(err, QL_E_IO, "%s", dlerror());
  } else if (look_up(nvml, library, err) == 0) {
    code = nvml->call.init();
    if (code != 0) {
      fail_call(nvml, "the NVIDIA driver cannot be asked", code, err);
    } else {
      if (find_devices(nvml, err) == 0)
        return nvml;
      nvml->call.shutdown();
    }
  }
  if (nvml->library)
    dlclose(nvml->library);
  free(nvml->devices);
  free(nvml);
  return NULL;
}

void ql_nvml_close(struct ql_nvml *nvml) {
  nvml->call.shutdown();
  dlclose(nvml->library);
  free(nvml->devices);
  free(nvml);
}

size_t ql_nvml_count(const struct ql_nvml *nvml) { return nvml->count; }

// ---- one device -----------------------------------------------------------------------------------------------

// A function that the library lacks counts as one that the device does not support.
#define ASK(nvml, function, ...) ((nvml)->call.function ? (nvml)->call.function(__VA_ARGS__) : NVML_NOT_SUPPORTED)

static struct memory_v2 new_memory(void) {
  return (struct memory_v2){.version = (unsigned)sizeof(struct memory_v2) | 2u << 24};
}

void ql_nvml_describe(const struct ql_nvml *nvml, size_t at, struct ql_gpu_device *device) {
  nvml_device handle = nvml->devices[at];
  *device = (struct ql_gpu_device){.is_persistent = -1, .is_partitioned = -1};
  ASK(nvml, name, handle, device->name, sizeof device->name);
  ASK(nvml, uuid, handle, device->uuid, sizeof device->uuid);
  ASK(nvml, driver, device->driver, sizeof device->driver);
  int version = 0;
  if (ASK(nvml, cuda, &version) == 0)
    device->cuda_version = version;
  struct memory_v2 memory = new_memory();
  struct memory_v1 older;
  if (ASK(nvml, memory_v2, handle, &memory) == 0) {
    device->memory_total_bytes = memory.total;
  } else if (ASK(nvml, memory, handle, &older) == 0) {
    device->memory_total_bytes = older.total;
    device->uses_reserved = true;
  }
  unsigned limit = 0, now = 0, pending = 0;
  if (ASK(nvml, power_limit, handle, &limit) == 0)
    device->power_limit_mw = limit;
  int is_on = 0;
  if (ASK(nvml, persistence, handle, &is_on) == 0)
    device->is_persistent = is_on != 0;
  if (ASK(nvml, mig, handle, &now, &pending) == 0)
    device->is_partitioned = now != 0;
}

static int read_memory(const struct ql_nvml *nvml, nvml_device handle, uint64_t *used) {
  struct memory_v2 memory = new_memory();
  int code = ASK(nvml, memory_v2, handle, &memory);
  *used = memory.used;
  if (code == 0 || code == NVML_GPU_LOST)
    return code;
  struct memory_v1 older = {0};
  code = ASK(nvml, memory, handle, &older);
  *used = older.used;
  return code;
}

static int read_temperature(const struct ql_nvml *nvml, nvml_device handle, unsigned *celsius) {
  if (nvml->call.temperature)
    return nvml->call.temperature(handle, 0, celsius);
  struct temperature_v1 value = {.version = (unsigned)sizeof value | 1u << 24};
  int code = ASK(nvml, temperature_v, handle, &value);
  *celsius = value.celsius > 0 ? (unsigned)value.celsius : 0;
  return code;
}

static void note(struct ql_gpu_reading *reading, int code, unsigned field) {
  if (code == 0)
    reading->known |= field;
  if (code == NVML_GPU_LOST)
    reading->is_lost = true;
}

void ql_nvml_read(const struct ql_nvml *nvml, size_t at, struct ql_gpu_reading *reading) {
  nvml_device handle = nvml->devices[at];
  struct utilisation busy = {0};
  unsigned long long energy = 0, reasons = 0;
  *reading = (struct ql_gpu_reading){.at_ns = ql_now_ns()};
  note(reading, ASK(nvml, energy, handle, &energy), QL_GPU_ENERGY); // first: nearest to its time
  note(reading, ASK(nvml, power, handle, &reading->power_mw), QL_GPU_POWER);
  note(reading, read_memory(nvml, handle, &reading->memory_used_bytes), QL_GPU_MEMORY);
  note(reading, read_temperature(nvml, handle, &reading->temperature_c), QL_GPU_TEMPERATURE);
  note(reading, ASK(nvml, clock, handle, CLOCK_SM, &reading->sm_clock_mhz), QL_GPU_SM_CLOCK);
  note(reading, ASK(nvml, utilisation, handle, &busy), QL_GPU_UTILISATION);
  note(reading, ASK(nvml, reasons, handle, &reasons), QL_GPU_THROTTLE);
  reading->energy_mj = energy;
  reading->utilisation_pct = busy.gpu;
  reading->throttle = reasons;
  if (reading->is_lost) // half a reading is none
    *reading = (struct ql_gpu_reading){.at_ns = reading->at_ns, .is_lost = true};
}

// ---- processes ----------------------------------------------------------------------------------------------

static unsigned pid_at(const unsigned char *bytes, size_t offset) {
  unsigned pid;
  memcpy(&pid, bytes + offset, sizeof pid);
  return pid;
}

static bool are_pids(const unsigned char *bytes, size_t count, size_t stride) {
  for (size_t i = 0; i < count; i++) {
    unsigned pid = pid_at(bytes, i * stride);
    if (pid == 0 || pid > MAX_PID)
      return false;
  }
  return true;
}

// What follows entries of 24 bytes was not touched. That alone does not tell: an entry of 32 ends in fields
// that are all ones when the device is not partitioned and the last amount is unknown.
size_t ql_nvml_stride(const unsigned char *bytes, size_t count) {
  bool fits_24 = are_pids(bytes, count, 24), fits_32 = are_pids(bytes, count, MAX_ENTRY);
  if (fits_24 != fits_32)
    return fits_24 ? 24 : MAX_ENTRY;
  for (size_t i = 24 * count; i < MAX_ENTRY * count; i++)
    if (bytes[i] != 0xFF)
      return MAX_ENTRY;
  return 24;
}

static void take_entries(const unsigned char *bytes, size_t stride, size_t count, struct ql_gpu_process *list) {
  for (size_t i = 0; i < count; i++) {
    unsigned long long memory;
    memcpy(&memory, bytes + i * stride + 8, sizeof memory);
    list[i] = (struct ql_gpu_process){.pid = pid_at(bytes, i * stride), .memory_bytes = memory};
  }
}

int ql_nvml_processes(const struct ql_nvml *nvml, size_t at, struct ql_gpu_process *list, size_t max, struct ql_err *err) {
  unsigned written = 0;
  int code = ASK(nvml, processes, nvml->devices[at], &written, NULL); // how many there are
  unsigned char *bytes = NULL;
  for (int tries = 0; code == NVML_INSUFFICIENT_SIZE && tries < 4; tries++) { // some may come while we look
    unsigned room = written + SPARE_ENTRIES;
    bytes = ql_realloc(bytes, (size_t)room * MAX_ENTRY);
    memset(bytes, 0xFF, (size_t)room * MAX_ENTRY);
    written = room;
    code = nvml->call.processes(nvml->devices[at], &written, bytes);
  }
  if (code == 0 && bytes)
    take_entries(bytes, ql_nvml_stride(bytes, written), written < max ? written : max, list);
  free(bytes);
  return code == 0 ? (int)written : fail_call(nvml, "the processes on the GPU cannot be listed", code, err);
}
