// SPDX-License-Identifier: Apache-2.0
// term against a real pseudo-terminal and real pipes.
#include "term.h"

#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void a_terminal_says_its_width(void) {
  int outer = -1, inner = -1;
  struct winsize size = {.ws_row = 24, .ws_col = 40};
  CHECK_INT(openpty(&outer, &inner, NULL, NULL, &size), 0);
  CHECK(ql_term_is_tty(inner));
  CHECK_INT(ql_term_width(inner), 40);
  size.ws_col = 132;
  CHECK_INT(ioctl(inner, TIOCSWINSZ, &size), 0);
  CHECK_INT(ql_term_width(inner), 132);
  size.ws_col = 0;
  CHECK_INT(ioctl(inner, TIOCSWINSZ, &size), 0);
  CHECK_INT(ql_term_width(inner), 0);
  close(inner);
  close(outer);
}

static void a_pipe_is_no_terminal(void) {
  int ends[2];
  CHECK_INT(pipe(ends), 0);
  CHECK(!ql_term_is_tty(ends[1]));
  CHECK_INT(ql_term_width(ends[1]), 0);
  close(ends[0]);
  close(ends[1]);
  CHECK(!ql_term_is_tty(ends[1])); // a closed descriptor
  CHECK_INT(ql_term_width(ends[1]), 0);
}

static void *drain(void *arg) {
  static char sink[4096];
  size_t total = 0;
  ssize_t n;
  while ((n = read(*(int *)arg, sink, sizeof sink)) > 0) total += (size_t)n;
  return (void *)(uintptr_t)total;
}

// More than a pipe holds, into a non-blocking descriptor: everything must arrive.
static void a_full_pipe_is_waited_for(void) {
  int ends[2];
  CHECK_INT(pipe(ends), 0);
  CHECK_INT(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  size_t len = 1 << 20;
  char *bytes = calloc(1, len);
  pthread_t reader;
  CHECK_INT(pthread_create(&reader, NULL, drain, &ends[0]), 0);
  struct ql_err err = {0};
  CHECK_INT(ql_term_write(ends[1], bytes, len, &err), 0);
  close(ends[1]);
  void *total;
  pthread_join(reader, &total);
  CHECK_INT((uintptr_t)total, len);
  close(ends[0]);
  free(bytes);
}

static void a_reader_that_left_is_an_error(void) {
  int ends[2];
  CHECK_INT(pipe(ends), 0);
  close(ends[0]);
  signal(SIGPIPE, SIG_IGN);
  struct ql_err err = {0};
  CHECK_INT(ql_term_write(ends[1], "x", 1, &err), -1);
  CHECK_INT(err.kind, QL_E_IO);
  CHECK(strstr(err.text, "Broken pipe") != NULL);
  CHECK_INT(ql_term_write(ends[1], "", 0, &err), 0); // nothing to write is no error
  close(ends[1]);
}

RUN(a_terminal_says_its_width, a_pipe_is_no_terminal, a_full_pipe_is_waited_for, a_reader_that_left_is_an_error)
