// SPDX-License-Identifier: Apache-2.0
// main: the process: signals that must not kill it, descriptors it will need, then the host.

#include "host.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

// A thousand streams need a thousand sockets; the soft limit is often 1,024 and the hard one far above.
static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max < 1048576 ? limit.rlim_max : 1048576;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  struct ql_loop *loop = ql_loop_open();
  if (!loop) {
    fputs("qlua: cannot open an event loop\n", stderr);
    return 5;
  }
  struct ql_err err;
  struct ql_host *host = ql_host_open(loop, &err);
  if (!host) {
    fprintf(stderr, "qlua: %s\n", err.text);
    ql_loop_close(loop);
    return 5;
  }
  int exit_code = ql_host_run(host, argc, argv);
  ql_host_close(host);
  ql_loop_close(loop);
  return exit_code;
}
