// SPDX-License-Identifier: Apache-2.0
// proc_log: see proc_log.h. Owns the log file's descriptor; makes no call of the world but write to it.
//
// A line is redacted before it is cut to length, so that no cut hides half a secret from the redaction.
// When the file cannot be written any more (disk full) the lines go on and the tail says so once.

#include "proc_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CUT_MARGIN = 4096, TAIL_LINE_BYTES = 2048, ESCAPE = 0x1b, BELL = 0x07 };

struct ql_log {
  int fd; // -1: no file, or it has failed
  char **secrets;
  size_t head_left;
  void (*on_line)(const char *line, size_t len, void *arg);
  void *arg;
  struct ql_buf raw, clean, line, head; // pieces of work, kept for their memory
  bool was_return, is_cut;
  uint64_t lines;
  char *tail[QL_LOG_TAIL_LINES];
  size_t tail_count, tail_first;
  char *ring;
  size_t ring_size;
  uint64_t ring_bytes; // ever put into the ring
};

// ---- the file -----------------------------------------------------------------------------------------

static void keep_tail(struct ql_log *log, const char *line, size_t len) {
  size_t at = (log->tail_first + log->tail_count) % QL_LOG_TAIL_LINES;
  if (log->tail_count == QL_LOG_TAIL_LINES) {
    free(log->tail[at]);
    log->tail_first = (log->tail_first + 1) % QL_LOG_TAIL_LINES;
  } else
    log->tail_count++;
  log->tail[at] = ql_strndup(line, len < TAIL_LINE_BYTES ? len : TAIL_LINE_BYTES);
}

static void write_all(struct ql_log *log, const char *bytes, size_t len) {
  while (len && log->fd >= 0) {
    ssize_t done = write(log->fd, bytes, len);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0) {
      char note[128];
      int note_len = snprintf(note, sizeof note, "[qlua: cannot write the log: %s]", strerror(errno));
      keep_tail(log, note, (size_t)note_len);
      close(log->fd);
      log->fd = -1;
      return;
    }
    bytes += done;
    len -= (size_t)done;
  }
}

static void put_ring(struct ql_log *log, const char *bytes, size_t len) {
  if (!log->ring)
    log->ring = ql_malloc(log->ring_size);
  for (size_t i = 0; i < len;) {
    size_t at = (size_t)(log->ring_bytes % log->ring_size);
    size_t piece = log->ring_size - at < len - i ? log->ring_size - at : len - i;
    memcpy(log->ring + at, bytes + i, piece);
    log->ring_bytes += piece;
    i += piece;
  }
}

static void put_file(struct ql_log *log, const struct ql_buf *line) {
  if (log->fd < 0)
    return;
  bool fits = line->len + 1 <= log->head_left;
  if (!fits)
    log->head_left = 0; // once the head is full it stays so: no line may come before an earlier one
  if (fits) {
    log->head_left -= line->len + 1;
    ql_buf_add(&log->head, line->data, line->len);
    ql_buf_add(&log->head, "\n", 1);
  } else {
    put_ring(log, line->data, line->len);
    put_ring(log, "\n", 1);
  }
}

static void flush_head(struct ql_log *log) {
  write_all(log, log->head.data, log->head.len);
  ql_buf_clear(&log->head);
}

static void write_ring(struct ql_log *log) {
  if (!log->ring_bytes)
    return;
  bool is_whole = log->ring_bytes <= log->ring_size;
  size_t from = is_whole ? 0 : (size_t)(log->ring_bytes % log->ring_size);
  size_t len = is_whole ? (size_t)log->ring_bytes : log->ring_size;
  // Two stretches of the ring in order; after a wrap the first line is half of one and goes too.
  struct ql_buf last;
  ql_buf_init(&last, 0);
  size_t first = log->ring_size - from < len ? log->ring_size - from : len;
  ql_buf_add(&last, log->ring + from, first);
  ql_buf_add(&last, log->ring, len - first);
  if (!is_whole) {
    const char *end = memchr(last.data, '\n', last.len);
    ql_buf_drop(&last, end ? (size_t)(end - last.data) + 1 : last.len);
    char note[96];
    int note_len = snprintf(note, sizeof note, "[qlua: %llu bytes left out here]\n",
                            (unsigned long long)(log->ring_bytes - last.len));
    write_all(log, note, (size_t)note_len);
  }
  write_all(log, last.data, last.len);
  ql_buf_free(&last);
}

// ---- lines --------------------------------------------------------------------------------------------

// Where the escape sequence that begins at `at` ends: CSI, OSC, or two characters.
static const char *skip_escape(const char *at, const char *end) {
  if (++at == end)
    return end;
  if (*at == '[') {
    for (at++; at < end && !(*at >= 0x40 && *at <= 0x7e);)
      at++;
  } else if (*at == ']') {
    while (at < end && *at != BELL && !(*at == ESCAPE && at + 1 < end && at[1] == '\\'))
      at++;
    if (at < end && *at == ESCAPE)
      at++;
  }
  return at < end ? at + 1 : end;
}

static void strip(struct ql_buf *out, const char *at, size_t len) {
  const char *end = at + len;
  while (at < end) {
    if (*at == ESCAPE) {
      at = skip_escape(at, end);
      continue;
    }
    if ((unsigned char)*at >= ' ' || *at == '\t')
      ql_buf_add(out, at, 1);
    at++;
  }
}

static void end_line(struct ql_log *log) {
  ql_buf_clear(&log->clean);
  ql_buf_clear(&log->line);
  strip(&log->clean, log->raw.data ? log->raw.data : "", log->raw.len);
  ql_redact(&log->line, log->clean.data ? log->clean.data : "", log->clean.len, log->secrets);
  if (log->line.len > QL_LOG_LINE_BYTES || log->is_cut) {
    if (log->line.len > QL_LOG_LINE_BYTES)
      log->line.len = QL_LOG_LINE_BYTES;
    ql_buf_adds(&log->line, " [cut]");
  }
  ql_buf_add(&log->line, "", 0); // a terminator also for an empty line
  ql_buf_clear(&log->raw);
  log->is_cut = false;
  log->lines++;
  keep_tail(log, log->line.data, log->line.len);
  put_file(log, &log->line);
  if (log->on_line)
    log->on_line(log->line.data, log->line.len, log->arg);
}

void ql_log_feed(struct ql_log *log, const char *bytes, size_t len) {
  const char *end = bytes + len;
  while (bytes < end) {
    const char *stop = bytes;
    while (stop < end && *stop != '\n' && *stop != '\r')
      stop++;
    size_t piece = (size_t)(stop - bytes), room = log->raw.limit_bytes - log->raw.len;
    log->is_cut = log->is_cut || piece > room;
    ql_buf_add(&log->raw, bytes, piece < room ? piece : room);
    if (piece)
      log->was_return = false;
    if (stop == end)
      break;
    // \r\n is one end; \r\r and a \r that draws over nothing are no lines at all.
    bool is_empty = log->raw.len == 0;
    if (*stop == '\r' ? !is_empty : !(is_empty && log->was_return))
      end_line(log);
    log->was_return = *stop == '\r';
    bytes = stop + 1;
  }
  flush_head(log);
}

void ql_log_flush(struct ql_log *log) {
  if (log->raw.len)
    end_line(log);
  flush_head(log);
}

// ---- open, close, look --------------------------------------------------------------------------------

struct ql_log *ql_log_open(const struct ql_log_options *options, struct ql_err *err) {
  int fd = -1;
  if (options->path) {
    fd = open(options->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) {
      ql_fail(err, QL_E_IO, "%s: cannot write the log: %s", options->path, strerror(errno));
      return NULL;
    }
  }
  struct ql_log *log = ql_calloc(1, sizeof *log);
  log->fd = fd;
  log->head_left = options->head_bytes ? options->head_bytes : QL_LOG_HEAD_BYTES;
  log->ring_size = options->ring_bytes ? options->ring_bytes : QL_LOG_RING_BYTES;
  log->on_line = options->on_line;
  log->arg = options->arg;
  ql_buf_init(&log->raw, QL_LOG_LINE_BYTES + CUT_MARGIN);
  size_t count = 0;
  while (options->secrets && options->secrets[count])
    count++;
  log->secrets = ql_calloc(count + 1, sizeof *log->secrets);
  for (size_t i = 0; i < count; i++)
    log->secrets[i] = ql_strdup(options->secrets[i]);
  return log;
}

void ql_log_close(struct ql_log *log) {
  if (!log)
    return;
  ql_log_flush(log);
  write_ring(log);
  if (log->fd >= 0)
    close(log->fd);
  for (char **at = log->secrets; *at; at++)
    free(*at);
  for (size_t i = 0; i < QL_LOG_TAIL_LINES; i++)
    free(log->tail[i]);
  free(log->secrets);
  free(log->ring);
  ql_buf_free(&log->raw);
  ql_buf_free(&log->clean);
  ql_buf_free(&log->line);
  ql_buf_free(&log->head);
  free(log);
}

uint64_t ql_log_lines(const struct ql_log *log) { return log->lines; }
size_t ql_log_tail_count(const struct ql_log *log) { return log->tail_count; }
const char *ql_log_tail(const struct ql_log *log, size_t i) {
  return log->tail[(log->tail_first + i) % QL_LOG_TAIL_LINES];
}
