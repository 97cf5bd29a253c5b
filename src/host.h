// SPDX-License-Identifier: Apache-2.0
// host: makes the Lua state, finds scripts, opens the bindings.
#ifndef QL_HOST_H
#define QL_HOST_H

#include "base.h"
#include "loop.h"

#include <lua.h>

// lua/ and suites/ as the build embedded them: path from the repository root, ends with {NULL}.
struct ql_embedded {
  const char *path;
  const char *source;
  size_t len;
};
extern const struct ql_embedded ql_embedded[];

struct ql_host;
struct ql_host *ql_host_open(struct ql_loop *loop, struct ql_err *err);
void ql_host_close(struct ql_host *host);
// Runs qlua.main with argv as the first task, and the loop until it is done; returns the exit code.
int ql_host_run(struct ql_host *host, int argc, char **argv);

#endif
