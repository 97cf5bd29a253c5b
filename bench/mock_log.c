// SPDX-License-Identifier: Apache-2.0
// mock_log: what was planned and what was done, kept in memory while the mock runs and written at its end. A file of
// entries of 24 bytes, "<I8I8I4I4" for string.unpack: planned_ns, at_ns, stream, number of the event; number
// 2^32 - 1 is the arrival of a request, and its planned_ns is 0.

#include "mock.h"

#include <sys/mman.h>

#define LOG_MAX (16u << 20)

static struct entry {
  uint64_t planned_ns, at_ns;
  uint32_t stream, number;
} *entries;
static size_t count;
static const char *path;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

// Pages come as they are written: growing would stop the clock for a copy.
void log_open(const char *to) {
  path = to;
  entries =
      mmap(NULL, LOG_MAX * sizeof *entries, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (entries == MAP_FAILED)
    fail("mock: log");
}

void log_note(uint32_t stream, uint64_t planned_ns, uint64_t at_ns, uint32_t number) {
  if (entries && count < LOG_MAX)
    entries[count++] = (struct entry){planned_ns, at_ns, stream, number};
}

void log_write(void) {
  if (!entries)
    return;
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(entries, sizeof *entries, count, file) != count || fclose(file) != 0)
    fail(path);
  if (count == LOG_MAX)
    fprintf(stderr, "mock: the log is full: what came after entry %u is not in it\n", LOG_MAX);
}
