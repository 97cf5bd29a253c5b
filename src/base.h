// SPDX-License-Identifier: Apache-2.0
// base: what every other file may use: errors, a growing buffer, memory that does not fail.
//
// Owns nothing and touches nothing of the world. Memory: ql_malloc and friends abort with one line
// when the machine has none left, as a benchmark that goes on without memory would lie; what a
// *script* may use is limited separately (guard.c), and a script that wants too much only loses its
// sample. Buffers carry a hard limit, because every buffer here is filled by somebody else.
#ifndef QL_BASE_H
#define QL_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The closed list of what can go wrong; the name is what Lua sees as err.kind.
enum ql_kind {
  QL_E_NONE = 0,
  QL_E_USAGE,     // the command line
  QL_E_CONFIG,    // a configuration file
  QL_E_SCRIPT,    // a Lua script: syntax, missing field, raised error
  QL_E_LIMIT,     // a script went over its memory or instruction limit
  QL_E_DATA,      // a dataset's file: missing, malformed, wrong checksum
  QL_E_IO,        // a file or a folder: missing, read-only, disk full
  QL_E_CONNECT,   // no connection: refused, unreachable, name not found, TLS
  QL_E_TIMEOUT,   // connect, first byte, between events or total
  QL_E_HTTP,      // an HTTP status that is an error
  QL_E_PROTOCOL,  // bytes that are not what the protocol promises
  QL_E_SERVER,    // a supervised server: exited, not healthy, wrong identity
  QL_E_CANCELLED, // we asked for it to stop
  QL_E_STORE,     // the run's database
  QL_E_INTERNAL,  // a bug of qlua
};
const char *ql_kind_name(enum ql_kind kind);

struct ql_err {
  enum ql_kind kind;
  char text[1024]; // one sentence, lower case, no full stop
  char hint[512];  // what to do about it, or ""
};

// Fill err (may be NULL) and return -1, so that a failing function can `return ql_fail(err, …)`.
int ql_fail(struct ql_err *err, enum ql_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
// Add the hint to an error that has just been set; returns -1 as well.
int ql_hint(struct ql_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void *ql_malloc(size_t size) __attribute__((malloc, returns_nonnull));
void *ql_calloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *ql_realloc(void *old, size_t size) __attribute__((returns_nonnull));
char *ql_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *ql_strndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));

// A byte buffer that grows, always followed by a NUL that is not counted.
// limit_bytes 0 means none. Adding beyond the limit adds nothing and returns false.
struct ql_buf {
  char *data;
  size_t len;
  size_t cap;
  size_t limit_bytes;
};
void ql_buf_init(struct ql_buf *buf, size_t limit_bytes);
bool ql_buf_add(struct ql_buf *buf, const void *bytes, size_t len);
bool ql_buf_adds(struct ql_buf *buf, const char *text);
bool ql_buf_addf(struct ql_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ql_buf_drop(struct ql_buf *buf, size_t len); // forget the first len bytes
void ql_buf_clear(struct ql_buf *buf);            // keep the memory
void ql_buf_free(struct ql_buf *buf);
char *ql_buf_take(struct ql_buf *buf, size_t *len); // the caller frees; the buffer is empty after it

// CLOCK_MONOTONIC in nanoseconds: the only clock that measures.
uint64_t ql_now_ns(void);
// CLOCK_REALTIME in nanoseconds since 1970: for records people read, never for a difference.
uint64_t ql_wall_ns(void);

#define QL_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
