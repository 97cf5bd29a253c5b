// SPDX-License-Identifier: Apache-2.0
// A stand-in for libnvidia-ml.so.1: says what the file beside it says ("<library>.state"), read anew at each
// call, so that a test can change a device while it is watched. Lines are `key value`; a key with ".N" is
// for device N alone; a value "!7" makes the function return 7. Without a line a function succeeds with 0,
// or, for what a test should ask for, is not supported (3). FAKE_OLD builds the library of an old driver:
// first names only, no energy, no reserved memory, processes in entries of 24 bytes.

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))
enum { NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, MAX_DEVICES = 16 };

static char devices[MAX_DEVICES];

static int index_of(const void *device) { return (int)((const char *)device - devices); }

static FILE *open_state(void) {
  Dl_info info;
  char path[4096];
  if (!dladdr(devices, &info))
    return NULL;
  snprintf(path, sizeof path, "%s.state", info.dli_fname);
  return fopen(path, "r");
}

// The value of `key.N`, else of `key`; "" when neither is there.
static void look_up(const char *key, int device, char *value, size_t size) {
  char line[4096], own[64];
  int is_own = 0;
  snprintf(own, sizeof own, "%s.%d", key, device);
  value[0] = '\0';
  FILE *file = open_state();
  while (file && fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = '\0';
    char *space = strchr(line, ' ');
    if (!space)
      continue;
    *space = '\0';
    if (strcmp(line, own) == 0 || (!is_own && strcmp(line, key) == 0)) {
      is_own = strcmp(line, own) == 0;
      snprintf(value, size, "%s", space + 1);
    }
  }
  if (file)
    fclose(file);
}

// The code to return; *number when it is 0.
static int number_of(const char *key, int device, int otherwise, unsigned long long *number) {
  char value[4096];
  look_up(key, device, value, sizeof value);
  *number = 0;
  if (value[0] == '\0')
    return otherwise;
  if (value[0] == '!')
    return (int)strtol(value + 1, NULL, 10);
  *number = strtoull(value, NULL, 0);
  return 0;
}

static int unsigned_of(const char *key, int device, unsigned *number) {
  unsigned long long wide;
  int code = number_of(key, device, NOT_SUPPORTED, &wide);
  *number = code ? 4242 : (unsigned)wide; // what a failing call leaves behind is no reading
  return code;
}

static int text_of(const char *key, int device, char *text, unsigned size) {
  char value[4096];
  look_up(key, device, value, sizeof value);
  if (value[0] == '\0' || value[0] == '!')
    return value[0] ? (int)strtol(value + 1, NULL, 10) : NOT_SUPPORTED;
  snprintf(text, size, "%s", value);
  return 0;
}

static int init(void) {
  unsigned long long ignored;
  return number_of("init", -1, 0, &ignored);
}

static int count_devices(unsigned *count) {
  unsigned long long wide;
  int code = number_of("count", -1, 0, &wide);
  *count = (unsigned)wide;
  return code;
}

static int handle_of(unsigned index, void **device) {
  unsigned long long ignored;
  *device = &devices[index];
  return number_of("handle", (int)index, 0, &ignored);
}

// `processes 100:4096 200:-1`: pid and bytes, -1 unknown; `stride 24|32`; `protected` fills what only entries of 32 have.
static int list_processes(void *device, unsigned *count, void *list, unsigned stride) {
  char value[4096], *at = value;
  look_up("processes", index_of(device), value, sizeof value);
  if (value[0] == '!')
    return (int)strtol(value + 1, NULL, 10);
  unsigned found = 0, room = *count;
  unsigned long long protected_bytes;
  number_of("protected", index_of(device), 0, &protected_bytes);
  while (*at) {
    unsigned pid = (unsigned)strtoul(at, &at, 10), instance = 0xFFFFFFFF;
    unsigned long long bytes = (unsigned long long)strtoll(at + 1, &at, 10);
    if (found < room && list) {
      char *entry = (char *)list + (size_t)found * stride;
      memcpy(entry, &pid, sizeof pid);
      memcpy(entry + 8, &bytes, sizeof bytes);
      memcpy(entry + 16, &instance, sizeof instance);
      memcpy(entry + 20, &instance, sizeof instance);
      if (stride == 32)
        memcpy(entry + 24, &protected_bytes, sizeof protected_bytes);
    }
    found++;
    at += strspn(at, " ");
  }
  *count = found;
  return found > room ? INSUFFICIENT_SIZE : 0;
}

// ---- the library ------------------------------------------------------------------------------------------

#ifdef FAKE_OLD
API int nvmlInit(void) { return init(); }
API int nvmlDeviceGetCount(unsigned *count) { return count_devices(count); }
API int nvmlDeviceGetHandleByIndex(unsigned index, void **device) { return handle_of(index, device); }
API int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *bits) {
  return number_of("throttle", index_of(device), NOT_SUPPORTED, bits);
}
API int nvmlDeviceGetComputeRunningProcesses_v2(void *device, unsigned *count, void *list) {
  return list_processes(device, count, list, 24);
}
#else
API int nvmlInit_v2(void) { return init(); }
API int nvmlDeviceGetCount_v2(unsigned *count) { return count_devices(count); }
API int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { return handle_of(index, device); }
API const char *nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : code == 999 ? NULL : "Some Error"; }
API int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *bits) {
  return number_of("throttle", index_of(device), NOT_SUPPORTED, bits);
}
API int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, void *list) {
  unsigned long long stride;
  number_of("stride", index_of(device), 0, &stride);
  return list_processes(device, count, list, stride == 32 ? 32 : 24);
}
API int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj) {
  return number_of("energy", index_of(device), NOT_SUPPORTED, mj);
}
struct memory_v2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};
API int nvmlDeviceGetMemoryInfo_v2(void *device, struct memory_v2 *memory) {
  if (memory->version != 0x02000028)
    return 25;
  unsigned long long total;
  number_of("memory_total", index_of(device), 0, &total);
  int code = number_of("memory_used", index_of(device), NOT_SUPPORTED, &memory->used);
  memory->total = total;
  return code;
}
#endif

API int nvmlShutdown(void) { return 0; }
API int nvmlSystemGetDriverVersion(char *text, unsigned size) { return text_of("driver", -1, text, size); }
API int nvmlSystemGetCudaDriverVersion_v2(int *version) { return unsigned_of("cuda", -1, (unsigned *)version); }
API int nvmlDeviceGetName(void *device, char *text, unsigned size) { return text_of("name", index_of(device), text, size); }
API int nvmlDeviceGetUUID(void *device, char *text, unsigned size) { return text_of("uuid", index_of(device), text, size); }
struct memory_v1 {
  unsigned long long total, free, used;
};
API int nvmlDeviceGetMemoryInfo(void *device, struct memory_v1 *memory) {
  number_of("memory_total", index_of(device), 0, &memory->total);
  return number_of("memory_used", index_of(device), NOT_SUPPORTED, &memory->used);
}
API int nvmlDeviceGetPowerUsage(void *device, unsigned *mw) { return unsigned_of("power", index_of(device), mw); }
API int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *mw) { return unsigned_of("power_limit", index_of(device), mw); }
API int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius) {
  return sensor == 0 ? unsigned_of("temperature", index_of(device), celsius) : 2;
}
API int nvmlDeviceGetClockInfo(void *device, int type, unsigned *mhz) {
  return type == 1 ? unsigned_of("sm_clock", index_of(device), mhz) : 2;
}
struct utilisation {
  unsigned gpu, memory;
};
API int nvmlDeviceGetUtilizationRates(void *device, struct utilisation *busy) {
  return unsigned_of("utilisation", index_of(device), &busy->gpu);
}
API int nvmlDeviceGetPersistenceMode(void *device, int *is_on) { return unsigned_of("persistence", index_of(device), (unsigned *)is_on); }
API int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *pending) {
  *pending = 0;
  return unsigned_of("mig", index_of(device), now);
}
