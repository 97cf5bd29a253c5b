// SPDX-License-Identifier: Apache-2.0
// sys: see sys.h. Touches /proc, PATH and, for a free port, one socket that it closes again.

#include "sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int ql_sys_exe(char *path, size_t size) {
  ssize_t len = readlink("/proc/self/exe", path, size - 1);
  if (len < 0)
    return -1;
  path[len] = '\0';
  return 0;
}

int ql_sys_cpu_model(char *text, size_t size) {
  FILE *file = fopen("/proc/cpuinfo", "r");
  if (!file)
    return -1;
  char line[512];
  int found = -1;
  while (found != 0 && fgets(line, sizeof line, file)) {
    char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !colon)
      continue;
    snprintf(text, size, "%s", colon + 2);
    text[strcspn(text, "\n")] = '\0';
    found = 0;
  }
  fclose(file);
  return found;
}

uint64_t ql_sys_rss_bytes(bool peak) {
  FILE *file = fopen("/proc/self/status", "r");
  if (!file)
    return 0;
  const char *wanted = peak ? "VmHWM:" : "VmRSS:";
  char line[256];
  uint64_t kib = 0;
  while (fgets(line, sizeof line, file))
    if (strncmp(line, wanted, 6) == 0)
      kib = strtoull(line + 6, NULL, 10);
  fclose(file);
  return kib * 1024;
}

static bool is_executable(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

int ql_sys_find(const char *name, char *path, size_t size) {
  if (strchr(name, '/')) {
    snprintf(path, size, "%s", name);
    return is_executable(path) ? 0 : -1;
  }
  const char *dirs = getenv("PATH");
  for (const char *dir = dirs ? dirs : "/usr/local/bin:/usr/bin:/bin"; *dir;) {
    size_t len = strcspn(dir, ":");
    snprintf(path, size, "%.*s/%s", (int)len, len ? dir : ".", name);
    if (is_executable(path))
      return 0;
    dir += len + (dir[len] == ':');
  }
  return -1;
}

int ql_sys_free_port(const char *host, int *port, struct ql_err *err) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t len = sizeof address;
  if (strcmp(host, "localhost") == 0)
    host = "127.0.0.1";
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
    return ql_fail(err, QL_E_USAGE, "want a numeric IPv4 address, got \"%s\"", host);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return ql_fail(err, QL_E_IO, "cannot make a socket: %s", strerror(errno));
  int rc = 0;
  // A port asked for is probed, port 0 lets the kernel choose; either way nothing is left listening.
  address.sin_port = htons((uint16_t)*port);
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); // as servers do: TIME_WAIT is not "in use"
  if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 1) != 0)
    rc = ql_fail(err, QL_E_CONNECT, "port %d on %s: %s", *port, host, strerror(errno));
  else if (getsockname(fd, (struct sockaddr *)&address, &len) == 0)
    *port = ntohs(address.sin_port);
  close(fd);
  return rc;
}
