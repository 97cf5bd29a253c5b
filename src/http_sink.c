// SPDX-License-Identifier: Apache-2.0
// http_sink: a body that goes to a file while it comes.
//
// Owns the descriptor. Runs on the I/O thread, whose other transfers wait for the disk meanwhile: made
// for fetching data sets, not for use beside a measurement.

#include "http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct ql_http_sink *sink, const char *path, const char *what, struct ql_err *err) {
  int reason = errno;
  if (sink->fd >= 0)
    close(sink->fd);
  sink->fd = -1;
  return ql_fail(err, QL_E_IO, "%s: cannot %s: %s", path, what, strerror(reason));
}

int ql_http_sink_open(struct ql_http_sink *sink, const char *path, uint64_t from, struct ql_err *err) {
  struct stat file;
  sink->at = from;
  sink->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (sink->fd < 0)
    return fail(sink, path, "open", err);
  if (fstat(sink->fd, &file) != 0)
    return fail(sink, path, "stat", err);
  if (S_ISREG(file.st_mode) && (uint64_t)file.st_size < from) {
    close(sink->fd);
    sink->fd = -1;
    return ql_fail(err, QL_E_IO, "%s: want at least %llu bytes to resume from, got %llu", path,
                   (unsigned long long)from, (unsigned long long)file.st_size);
  }
  if (S_ISREG(file.st_mode) && ftruncate(sink->fd, (off_t)from) != 0)
    return fail(sink, path, "truncate", err);
  return 0;
}

int ql_http_sink_write(struct ql_http_sink *sink, const char *path, const char *bytes, size_t len,
                       struct ql_err *err) {
  while (len) {
    ssize_t put = pwrite(sink->fd, bytes, len, (off_t)sink->at);
    if (put < 0 && errno == ESPIPE) // a pipe or a terminal, e.g. /dev/stdout
      put = write(sink->fd, bytes, len);
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return fail(sink, path, "write", err);
    bytes += put;
    len -= (size_t)put;
    sink->at += (uint64_t)put;
  }
  return 0;
}

int ql_http_sink_close(struct ql_http_sink *sink, const char *path, struct ql_err *err) {
  if (sink->fd < 0)
    return 0;
  int fd = sink->fd;
  sink->fd = -1;
  return close(fd) == 0 ? 0 : fail(sink, path, "close", err);
}
