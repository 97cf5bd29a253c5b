// SPDX-License-Identifier: Apache-2.0
// term: terminal size and complete writes; see term.h.
#include "term.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool ql_term_is_tty(int fd) {
  return isatty(fd) == 1;
}

int ql_term_width(int fd) {
  struct winsize size = {0};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col; // 0 on serial lines and in some container consoles
}

static int wait_writable(int fd, struct ql_err *err) {
  struct pollfd wait = {.fd = fd, .events = POLLOUT};
  for (;;) {
    if (poll(&wait, 1, -1) >= 0) return 0; // an error condition shows at the next write
    if (errno != EINTR) return ql_fail(err, QL_E_IO, "cannot wait for file descriptor %d: %s", fd, strerror(errno));
  }
}

int ql_term_write(int fd, const char *bytes, size_t len, struct ql_err *err) {
  size_t written = 0;
  while (written < len) {
    ssize_t n = write(fd, bytes + written, len - written);
    if (n >= 0) {
      written += (size_t)n;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // A parent shell may have left the terminal non-blocking: it shares that flag with us.
      if (wait_writable(fd, err) != 0) return -1;
    } else if (errno != EINTR) {
      return ql_fail(err, QL_E_IO, "cannot write to file descriptor %d: %s", fd, strerror(errno));
    }
  }
  return 0;
}
