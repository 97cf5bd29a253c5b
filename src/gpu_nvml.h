// SPDX-License-Identifier: Apache-2.0
// gpu_nvml: NVIDIA's management library, found at run time. Nothing of it is needed to build.
//
// Owns the handle of the library and its initialisation. Every function may be called from any thread, as
// NVML promises the same. What a driver does not offer (an old one, a virtual or partitioned device) is a
// reading without that field, never an error.
#ifndef QL_GPU_NVML_H
#define QL_GPU_NVML_H

#include "gpu.h"
#include "gpu_window.h"

struct ql_nvml;

// library NULL: libnvidia-ml.so.1
struct ql_nvml *ql_nvml_open(const char *library, struct ql_err *err);
void ql_nvml_close(struct ql_nvml *nvml);
size_t ql_nvml_count(const struct ql_nvml *nvml);
void ql_nvml_describe(const struct ql_nvml *nvml, size_t at, struct ql_gpu_device *device);
void ql_nvml_read(const struct ql_nvml *nvml, size_t at, struct ql_gpu_reading *reading);
// How many there are, of which at most max are put into the list; -1 when the driver does not say.
int ql_nvml_processes(const struct ql_nvml *nvml, size_t at, struct ql_gpu_process *list, size_t max, struct ql_err *err);

// Entries of `bytes`, which was filled with 0xFF before the driver wrote count of them: 24 or 32 bytes each,
// depending on the driver's version, which does not say so.
size_t ql_nvml_stride(const unsigned char *bytes, size_t count);

#endif
