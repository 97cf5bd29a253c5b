// SPDX-License-Identifier: Apache-2.0
// What the mock server and the bare client share: clocks, stamps written as digits, a histogram, a pinned core.
//
// Every stamped event holds " @ns=<19 digits> #<7 digits>": CLOCK_MONOTONIC just before the write, and the event's
// number in its stream. Both sides read one clock, so a receive stamp less this one is the client's error (with the
// server's write and the kernel's path in it: 4 to 10 us on loopback).
#ifndef WIRE_H
#define WIRE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define STAMP_MARK "@ns="
#define STAMP_DIGITS 19
#define NUMBER_DIGITS 7

static inline uint64_t clock_ns(clockid_t id) {
  struct timespec at;
  clock_gettime(id, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static inline uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

// CLOCK_REALTIME less CLOCK_MONOTONIC: the tightest of some paired readings.
static inline int64_t wall_offset(void) {
  int64_t offset = 0;
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < 8; i++) {
    uint64_t before = now_ns(), wall = clock_ns(CLOCK_REALTIME), after = now_ns();
    if (after - before < best) {
      best = after - before;
      offset = (int64_t)wall - (int64_t)(before + best / 2);
    }
  }
  return offset;
}

static inline void put_digits(char *at, uint64_t value, int width) {
  while (width > 0) {
    at[--width] = (char)('0' + value % 10);
    value /= 10;
  }
}

static inline uint64_t get_digits(const char *at, int width) {
  uint64_t value = 0;
  for (int i = 0; i < width; i++)
    value = value * 10 + (uint64_t)(at[i] - '0');
  return value;
}

// ---- receiving with the kernel's stamp -------------------------------------------------------------------------

static inline bool ask_kernel_stamps(int fd) {
  return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &(int){1}, sizeof(int)) == 0;
}

// recv that also gives when the last segment of what was read arrived, on CLOCK_MONOTONIC; 0: the kernel did not say.
static inline ssize_t receive_stamped(int fd, char *to, size_t len, int64_t offset, uint64_t *at_ns) {
  union {
    char bytes[CMSG_SPACE(sizeof(struct timespec))];
    struct cmsghdr align;
  } control;
  struct iovec part = {.iov_base = to, .iov_len = len};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
  *at_ns = 0;
  struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
  if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_TIMESTAMPNS) {
    struct timespec at;
    memcpy(&at, CMSG_DATA(head), sizeof at);
    *at_ns = (uint64_t)((int64_t)at.tv_sec * 1000000000 + (int64_t)at.tv_nsec - offset);
  }
  return got;
}

// ---- a histogram of durations: 64 bins to a power of two, so a quantile is good to 1.6 % -------------------------

#define HIST_BINS (64 * 59)
struct hist {
  uint64_t bins[HIST_BINS], count, max;
  double sum, squares;
};

static inline uint64_t hist_bin(uint64_t value) {
  if (value < 64)
    return value;
  int shift = 57 - __builtin_clzll(value); // leaves 7 bits, the first of them set
  return ((uint64_t)shift << 6) + (value >> shift);
}

static inline void hist_add(struct hist *hist, int64_t value) {
  uint64_t size = value < 0 ? 0 : (uint64_t)value;
  hist->bins[hist_bin(size)]++;
  hist->count++;
  hist->sum += (double)value;
  hist->squares += (double)value * (double)value;
  if (size > hist->max)
    hist->max = size;
}

static inline double hist_quantile(const struct hist *hist, double share) {
  uint64_t wanted = (uint64_t)(share * (double)hist->count), seen = 0;
  for (uint64_t bin = 0; bin < HIST_BINS; bin++) {
    seen += hist->bins[bin];
    if (seen > wanted) {
      int shift = bin < 128 ? 0 : (int)(bin >> 6) - 1;
      uint64_t low = bin < 128 ? bin : (64 + (bin & 63)) << shift;
      return (double)low + (double)((uint64_t)1 << shift) / 2.0 - 0.5;
    }
  }
  return (double)hist->max;
}

static inline double hist_mean(const struct hist *hist) { return hist->count ? hist->sum / (double)hist->count : 0; }

static inline double hist_variance(const struct hist *hist) {
  double mean = hist_mean(hist);
  double variance = hist->count ? hist->squares / (double)hist->count - mean * mean : 0;
  return variance > 0 ? variance : 0;
}

// ---- the process ------------------------------------------------------------------------------------------------

static inline void pin_to(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((unsigned)core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0)
    perror("sched_setaffinity");
}

// A thousand streams need a thousand sockets, and the soft limit is often 1,024.
static inline void raise_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

static inline double seconds_of(struct timeval at) { return (double)at.tv_sec + (double)at.tv_usec / 1e6; }

#endif
