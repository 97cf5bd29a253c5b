// SPDX-License-Identifier: Apache-2.0
// sys: facts about this process and this machine, read from the kernel.
#ifndef QL_SYS_H
#define QL_SYS_H

#include "base.h"

int ql_sys_exe(char *path, size_t size);                           // absolute path of this binary
int ql_sys_cpu_model(char *text, size_t size);                     // from /proc/cpuinfo
uint64_t ql_sys_rss_bytes(bool peak);                              // resident memory now, or at most
int ql_sys_find(const char *name, char *path, size_t size);        // an executable on PATH
int ql_sys_free_port(const char *host, int *port, struct ql_err *err); // a TCP port nobody listens on just now

#endif
