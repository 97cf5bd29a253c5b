// SPDX-License-Identifier: Apache-2.0
// file_stream: a file's bytes after decompression, and its lines.
//
// Owns one descriptor and one decoder for each stream. Formats go by the first bytes: gzip (also several
// members in a row, as bgzip and cat make them), zstd (several frames), or neither. The one thing not
// obvious: the end of the file inside a member or frame is an error, or half a data set would pass as one.
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { RAW_BYTES = 1 << 16, LINE_LIMIT_BYTES = 256 << 20 };

enum coding { PLAIN, GZIP, ZSTD };

struct ql_file_stream {
  int fd;
  enum coding coding;
  z_stream gzip;
  ZSTD_DStream *zstd;
  bool within; // a gzip member or zstd frame has begun and not ended
  bool ended;  // no more bytes in the file
  size_t raw_at, raw_len;
  char *path;
  unsigned char raw[RAW_BYTES];
};

static int refill(struct ql_file_stream *stream, struct ql_err *err) {
  if (stream->raw_at < stream->raw_len || stream->ended)
    return 0;
  ssize_t got;
  do
    got = read(stream->fd, stream->raw, RAW_BYTES);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return ql_file_fail(err, stream->path, errno);
  stream->ended = got == 0;
  stream->raw_at = 0;
  stream->raw_len = (size_t)got;
  return 0;
}

static bool begins_with(const struct ql_file_stream *stream, const char *magic, size_t len) {
  return stream->raw_len >= len && memcmp(stream->raw, magic, len) == 0;
}

struct ql_file_stream *ql_file_stream_open(const char *path, struct ql_err *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    ql_file_fail(err, path, errno);
    return NULL;
  }
  struct ql_file_stream *stream = ql_calloc(1, sizeof *stream);
  stream->fd = fd;
  stream->path = ql_strdup(path);
  if (refill(stream, err) < 0) {
    ql_file_stream_close(stream);
    return NULL;
  }
  if (begins_with(stream, "\x1f\x8b", 2)) {
    stream->coding = GZIP;
    if (inflateInit2(&stream->gzip, 16 + MAX_WBITS) != Z_OK)
      abort(); // only for want of memory, which base.h treats alike
  } else if (begins_with(stream, "\x28\xb5\x2f\xfd", 4)) {
    stream->coding = ZSTD;
    stream->zstd = ZSTD_createDStream();
    if (!stream->zstd)
      abort();
  }
  return stream;
}

static int corrupt(const struct ql_file_stream *stream, const char *coding, const char *why, struct ql_err *err) {
  ql_fail(err, QL_E_DATA, "%s: broken %s data: %s", stream->path, coding, why);
  return ql_hint(err, "the file is damaged or was not fetched to its end; fetch it again");
}

static int64_t take_gzip(struct ql_file_stream *stream, void *out, size_t len, struct ql_err *err) {
  z_stream *gzip = &stream->gzip;
  gzip->next_out = out;
  gzip->avail_out = (unsigned)len;
  while (gzip->avail_out == len) {
    if (refill(stream, err) < 0)
      return -1;
    if (stream->ended)
      return stream->within ? corrupt(stream, "gzip", "the file ends too early", err) : 0;
    stream->within = true;
    gzip->next_in = stream->raw + stream->raw_at;
    gzip->avail_in = (unsigned)(stream->raw_len - stream->raw_at);
    int code = inflate(gzip, Z_NO_FLUSH);
    stream->raw_at = stream->raw_len - gzip->avail_in;
    if (code == Z_STREAM_END) {
      stream->within = false;
      inflateReset(gzip);
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return corrupt(stream, "gzip", gzip->msg ? gzip->msg : zError(code), err);
    }
  }
  return (int64_t)(len - gzip->avail_out);
}

static int64_t take_zstd(struct ql_file_stream *stream, void *out, size_t len, struct ql_err *err) {
  ZSTD_outBuffer target = {out, len, 0};
  while (target.pos == 0) {
    if (refill(stream, err) < 0)
      return -1;
    // At the end of the file what is left is inside the decoder: one more call with no input empties it.
    ZSTD_inBuffer source = {stream->raw, stream->raw_len, stream->raw_at};
    if (stream->ended && !stream->within)
      return 0;
    size_t code = ZSTD_decompressStream(stream->zstd, &target, &source);
    stream->raw_at = source.pos;
    if (ZSTD_isError(code))
      return corrupt(stream, "zstd", ZSTD_getErrorName(code), err);
    if (stream->ended && target.pos == 0 && code != 0)
      return corrupt(stream, "zstd", "the file ends too early", err);
    stream->within = code != 0;
  }
  return (int64_t)target.pos;
}

int64_t ql_file_stream_take(struct ql_file_stream *stream, void *out, size_t len, struct ql_err *err) {
  if (len > INT32_MAX)
    len = INT32_MAX;
  if (len == 0)
    return 0;
  if (stream->coding == GZIP)
    return take_gzip(stream, out, len, err);
  if (stream->coding == ZSTD)
    return take_zstd(stream, out, len, err);
  if (refill(stream, err) < 0)
    return -1;
  size_t held = stream->raw_len - stream->raw_at;
  if (held > len)
    held = len;
  memcpy(out, stream->raw + stream->raw_at, held);
  stream->raw_at += held;
  return (int64_t)held;
}

void ql_file_stream_close(struct ql_file_stream *stream) {
  if (!stream)
    return;
  if (stream->coding == GZIP)
    inflateEnd(&stream->gzip);
  ZSTD_freeDStream(stream->zstd);
  close(stream->fd);
  free(stream->path);
  free(stream);
}

struct ql_file_lines {
  struct ql_file_stream *stream;
  struct ql_sha256 hash;
  struct ql_buf held; // bytes taken from the stream; those before `at` are used up
  size_t at;
  bool ended;
};

struct ql_file_lines *ql_file_lines_open(const char *path, struct ql_err *err) {
  struct ql_file_stream *stream = ql_file_stream_open(path, err);
  if (!stream)
    return NULL;
  struct ql_file_lines *lines = ql_calloc(1, sizeof *lines);
  lines->stream = stream;
  ql_sha256_init(&lines->hash);
  ql_buf_init(&lines->held, LINE_LIMIT_BYTES);
  return lines;
}

static int take_more(struct ql_file_lines *lines, struct ql_err *err) {
  char chunk[RAW_BYTES];
  int64_t got = ql_file_stream_take(lines->stream, chunk, sizeof chunk, err);
  if (got < 0)
    return -1;
  lines->ended = got == 0;
  ql_sha256_feed(&lines->hash, chunk, (size_t)got);
  ql_buf_drop(&lines->held, lines->at);
  lines->at = 0;
  if (!ql_buf_add(&lines->held, chunk, (size_t)got))
    return ql_fail(err, QL_E_LIMIT, "%s: want lines of at most %d bytes, got a longer one", lines->stream->path,
                   LINE_LIMIT_BYTES);
  return 0;
}

int ql_file_lines_next(struct ql_file_lines *lines, const char **line, size_t *len, struct ql_err *err) {
  size_t looked = 0; // bytes after `at` known to hold no newline
  for (;;) {
    size_t left = lines->held.len - lines->at;
    const char *start = left ? lines->held.data + lines->at : "";
    const char *newline = left > looked ? memchr(start + looked, '\n', left - looked) : NULL;
    if (newline || (lines->ended && left)) {
      *line = start;
      *len = newline ? (size_t)(newline - start) : left;
      lines->at += *len + (newline != NULL);
      return 1;
    }
    if (lines->ended)
      return 0;
    looked = left;
    if (take_more(lines, err) < 0)
      return -1;
  }
}

void ql_file_lines_sha256(const struct ql_file_lines *lines, char hex[QL_SHA256_HEX]) {
  struct ql_sha256 copy = lines->hash; // ending it would spoil further feeding
  ql_sha256_end_hex(&copy, hex);
}

uint64_t ql_file_lines_bytes(const struct ql_file_lines *lines) {
  return lines->hash.total_bytes;
}

void ql_file_lines_close(struct ql_file_lines *lines) {
  if (!lines)
    return;
  ql_file_stream_close(lines->stream);
  ql_buf_free(&lines->held);
  free(lines);
}
