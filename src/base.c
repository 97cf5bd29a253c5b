// SPDX-License-Identifier: Apache-2.0
// base: see base.h. The two clock readers are the only calls into the world here.

#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const kind_names[] = {
    [QL_E_NONE] = "none",           [QL_E_USAGE] = "usage",       [QL_E_CONFIG] = "config",
    [QL_E_SCRIPT] = "script",       [QL_E_LIMIT] = "limit",       [QL_E_DATA] = "data",
    [QL_E_IO] = "io",               [QL_E_CONNECT] = "connect",   [QL_E_TIMEOUT] = "timeout",
    [QL_E_HTTP] = "http",           [QL_E_PROTOCOL] = "protocol", [QL_E_SERVER] = "server",
    [QL_E_CANCELLED] = "cancelled", [QL_E_STORE] = "store",       [QL_E_INTERNAL] = "internal",
};

const char *ql_kind_name(enum ql_kind kind) {
  return (size_t)kind < QL_LEN(kind_names) ? kind_names[kind] : "internal";
}

int ql_fail(struct ql_err *err, enum ql_kind kind, const char *fmt, ...) {
  if (!err)
    return -1;
  err->kind = kind;
  err->hint[0] = '\0';
  va_list args;
  va_start(args, fmt);
  vsnprintf(err->text, sizeof err->text, fmt, args);
  va_end(args);
  return -1;
}

int ql_hint(struct ql_err *err, const char *fmt, ...) {
  if (!err)
    return -1;
  va_list args;
  va_start(args, fmt);
  vsnprintf(err->hint, sizeof err->hint, fmt, args);
  va_end(args);
  return -1;
}

static void *checked(void *memory) {
  if (!memory) {
    fputs("qlua: out of memory\n", stderr);
    abort();
  }
  return memory;
}

void *ql_malloc(size_t size) { return checked(malloc(size ? size : 1)); }
void *ql_calloc(size_t count, size_t size) { return checked(calloc(count ? count : 1, size ? size : 1)); }
void *ql_realloc(void *old, size_t size) { return checked(realloc(old, size ? size : 1)); }
char *ql_strdup(const char *text) { return ql_strndup(text, strlen(text)); }

char *ql_strndup(const char *text, size_t len) {
  char *copy = ql_malloc(len + 1);
  memcpy(copy, text, len);
  copy[len] = '\0';
  return copy;
}

void ql_buf_init(struct ql_buf *buf, size_t limit_bytes) {
  *buf = (struct ql_buf){.limit_bytes = limit_bytes};
}

static bool reserve(struct ql_buf *buf, size_t more) {
  if (more > SIZE_MAX / 4 - buf->len)
    return false;
  size_t need = buf->len + more;
  if (buf->limit_bytes && need > buf->limit_bytes)
    return false;
  if (buf->data && need + 1 <= buf->cap)
    return true;
  size_t cap = buf->cap ? buf->cap : 64;
  while (cap < need + 1)
    cap += cap / 2 + 16;
  buf->data = ql_realloc(buf->data, cap);
  buf->cap = cap;
  return true;
}

bool ql_buf_add(struct ql_buf *buf, const void *bytes, size_t len) {
  if (!reserve(buf, len))
    return false;
  if (len)
    memcpy(buf->data + buf->len, bytes, len);
  buf->len += len;
  buf->data[buf->len] = '\0';
  return true;
}

bool ql_buf_adds(struct ql_buf *buf, const char *text) { return ql_buf_add(buf, text, strlen(text)); }

bool ql_buf_addf(struct ql_buf *buf, const char *fmt, ...) {
  va_list args, again;
  va_start(args, fmt);
  va_copy(again, args);
  int len = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  bool ok = len >= 0 && reserve(buf, (size_t)len);
  if (ok) {
    vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, again);
    buf->len += (size_t)len;
  }
  va_end(again);
  return ok;
}

void ql_buf_drop(struct ql_buf *buf, size_t len) {
  if (len > buf->len)
    len = buf->len;
  if (!len)
    return;
  memmove(buf->data, buf->data + len, buf->len - len);
  buf->len -= len;
  buf->data[buf->len] = '\0';
}

void ql_buf_clear(struct ql_buf *buf) {
  buf->len = 0;
  if (buf->data)
    buf->data[0] = '\0';
}

void ql_buf_free(struct ql_buf *buf) {
  free(buf->data);
  buf->data = NULL;
  buf->len = buf->cap = 0;
}

char *ql_buf_take(struct ql_buf *buf, size_t *len) {
  if (!buf->data)
    ql_buf_add(buf, "", 0);
  char *data = buf->data;
  if (len)
    *len = buf->len;
  buf->data = NULL;
  buf->len = buf->cap = 0;
  return data;
}

static uint64_t read_clock(clockid_t clock) {
  struct timespec at;
  clock_gettime(clock, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

uint64_t ql_now_ns(void) { return read_clock(CLOCK_MONOTONIC); }
uint64_t ql_wall_ns(void) { return read_clock(CLOCK_REALTIME); }
