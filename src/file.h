// SPDX-License-Identifier: Apache-2.0
// file: files and folders, whole or line by line, plain or compressed.
//
// Libraries: zlib and zstd, found by a file's first bytes and never by its name. Calls block the calling
// thread. Every error names the path and what the system said, in the grammar of base.h. A write is
// atomic: who reads the path finds the old bytes or the new ones, also after a power cut.
#ifndef QL_FILE_H
#define QL_FILE_H

#include "base.h"
#include "sha256.h"

struct ql_file_stat {
  bool is_dir;
  uint64_t bytes;
  int64_t changed_ns; // modification time, CLOCK_REALTIME
};

struct ql_file_names {
  char **names; // sorted by bytes, without "." and ".."
  size_t count;
};

int ql_file_read(const char *path, struct ql_buf *out, struct ql_err *err); // appends the bytes as they lie
int ql_file_write(const char *path, const void *bytes, size_t len, struct ql_err *err);
int ql_file_append(const char *path, const void *bytes, size_t len, struct ql_err *err);
int ql_file_stat(const char *path, struct ql_file_stat *out, struct ql_err *err);
int ql_file_list(const char *dir, struct ql_file_names *out, struct ql_err *err);
void ql_file_names_free(struct ql_file_names *names);
int ql_file_make_dir(const char *path, struct ql_err *err); // with parents; an existing folder is fine
int ql_file_remove(const char *path, struct ql_err *err);   // a file or an empty folder
int ql_file_rename(const char *from, const char *to, struct ql_err *err);
char *ql_file_real(const char *path, struct ql_err *err); // absolute, links resolved; the caller frees

// Takes the lock of a file, made where it is missing; closing the descriptor gives it back. -1 with kind limit and the
// holder's own words when another process has it, with kind io otherwise.
int ql_file_lock(const char *path, const char *holder, struct ql_err *err);

// Bytes of a file after decompression, in order.
struct ql_file_stream;
struct ql_file_stream *ql_file_stream_open(const char *path, struct ql_err *err);
// Bytes put into out, 0 at the end, -1 on error (also for a compressed file that stops too early).
int64_t ql_file_stream_take(struct ql_file_stream *stream, void *out, size_t len, struct ql_err *err);
void ql_file_stream_close(struct ql_file_stream *stream);

// Lines of a file after decompression, without their "\n"; a last line without one counts.
struct ql_file_lines;
struct ql_file_lines *ql_file_lines_open(const char *path, struct ql_err *err);
// 1 and the line (valid until the next call), 0 at the end, -1 on error.
int ql_file_lines_next(struct ql_file_lines *lines, const char **line, size_t *len, struct ql_err *err);
// Of everything decompressed up to now: meaningful after the end was reached.
void ql_file_lines_sha256(const struct ql_file_lines *lines, char hex[QL_SHA256_HEX]);
uint64_t ql_file_lines_bytes(const struct ql_file_lines *lines);
void ql_file_lines_close(struct ql_file_lines *lines);

// For the modules of this header: "path: no such file or directory", with a hint where one helps.
int ql_file_fail(struct ql_err *err, const char *path, int error);

#endif
