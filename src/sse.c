// SPDX-License-Identifier: Apache-2.0
// sse: see sse.h. Rules of the HTML standard's event stream, with two additions: [DONE] is an event
// of its own kind, and a stream that ends in the middle of an event gives that event, flagged.
//
// A line that lies whole in one read is taken where it lies; only a line cut by a read is copied
// into sse->line. Both ways lead through take_line, so that a cut can change nothing but the copy.
// So it is with data: an event of one line in one read is handed over as it lies there, and only what outlasts the
// read, or is joined from several lines, is copied. The usual event costs three memchr and no copy.

#include "sse.h"

#include <string.h>

void ql_sse_init(struct ql_sse *sse, size_t limit_bytes) {
  *sse = (struct ql_sse){.limit_bytes = limit_bytes, .retry_ms = -1};
  ql_buf_init(&sse->line, 0);
  ql_buf_init(&sse->data, 0);
  ql_buf_init(&sse->name, 0);
  ql_buf_init(&sse->id, 0);
}

void ql_sse_free(struct ql_sse *sse) {
  ql_buf_free(&sse->line);
  ql_buf_free(&sse->data);
  ql_buf_free(&sse->name);
  ql_buf_free(&sse->id);
}

static int over_limit(struct ql_sse *sse, struct ql_err *err) {
  sse->failed = true;
  return ql_fail(err, QL_E_LIMIT, "event stream, line at byte %llu: want an event of at most %zu bytes, got more",
                 (unsigned long long)sse->line_offset, sse->limit_bytes);
}

static const char *text_of(const struct ql_buf *buf) { return buf->data ? buf->data : ""; }

static bool is_done(const char *text, size_t len) {
  while (len && text[len - 1] == ' ')
    len--;
  return len == 6 && memcmp(text, "[DONE]", 6) == 0;
}

static void dispatch(struct ql_sse *sse, bool incomplete, ql_sse_on_event on_event, void *arg) {
  if (sse->data_lines) {
    const char *data = sse->lent ? sse->lent : text_of(&sse->data);
    size_t data_len = sse->lent ? sse->lent_len : sse->data.len;
    struct ql_sse_event event = {
        .kind = is_done(data, data_len) ? QL_SSE_DONE : QL_SSE_MESSAGE,
        .incomplete = incomplete,
        .data = data,
        .data_len = data_len,
        .name = text_of(&sse->name),
        .name_len = sse->name.len,
        .id = text_of(&sse->id),
        .id_len = sse->id.len,
        .data_lines = sse->data_lines,
        .begin_offset = sse->data_begin,
        .end_offset = sse->data_end,
        .at_ns = sse->data_at_ns,
    };
    on_event(arg, &event);
  }
  sse->data_lines = 0;
  sse->lent = NULL;
  ql_buf_clear(&sse->data);
  ql_buf_clear(&sse->name);
}

// What is lent goes into the buffer: the read ends, or another line is to be joined to it.
static void keep_lent(struct ql_sse *sse) {
  if (!sse->lent)
    return;
  ql_buf_add(&sse->data, sse->lent, sse->lent_len);
  sse->lent = NULL;
}

static bool add_data(struct ql_sse *sse, const char *value, size_t len, uint64_t line_end) {
  bool is_first = !sse->data_lines;
  keep_lent(sse);
  if (sse->limit_bytes && sse->data.len + !is_first + len > sse->limit_bytes)
    return false;
  if (is_first) {
    sse->lent = value; // also where it lies in sse->line, until that is cleared
    sse->lent_len = len;
  } else {
    ql_buf_add(&sse->data, "\n", 1);
    ql_buf_add(&sse->data, value, len);
  }
  sse->data_lines++;
  sse->data_begin = line_end - len;
  sse->data_end = line_end;
  sse->data_at_ns = sse->line_at_ns;
  return true;
}

static void set_retry(struct ql_sse *sse, const char *value, size_t len) {
  int64_t ms = 0;
  for (size_t i = 0; i < len; i++) {
    if (value[i] < '0' || value[i] > '9' || ms > INT64_MAX / 20)
      return;
    ms = ms * 10 + (value[i] - '0');
  }
  if (len)
    sse->retry_ms = ms;
}

static bool is_field(const char *field, size_t len, const char *name) {
  return len == strlen(name) && memcmp(field, name, len) == 0;
}

static bool take_field(struct ql_sse *sse, const char *line, size_t len) {
  uint64_t line_end = sse->line_offset + len;
  if (len > 6 && memcmp(line, "data: ", 6) == 0) // nearly every line
    return add_data(sse, line + 6, len - 6, line_end);
  const char *colon = memchr(line, ':', len);
  size_t name_len = colon ? (size_t)(colon - line) : len;
  const char *value = colon ? colon + 1 : line + len;
  if (value < line + len && *value == ' ')
    value++;
  size_t value_len = (size_t)(line + len - value);
  if (is_field(line, name_len, "data"))
    return add_data(sse, value, value_len, line_end);
  if (is_field(line, name_len, "event")) {
    ql_buf_clear(&sse->name);
    ql_buf_add(&sse->name, value, value_len);
  } else if (is_field(line, name_len, "id") && !memchr(value, '\0', value_len)) {
    ql_buf_clear(&sse->id);
    ql_buf_add(&sse->id, value, value_len);
  } else if (is_field(line, name_len, "retry")) {
    set_retry(sse, value, value_len);
  }
  return true;
}

// One whole line without its end, starting at sse->line_offset of the stream.
static bool take_line(struct ql_sse *sse, const char *line, size_t len, ql_sse_on_event on_event, void *arg) {
  if (sse->limit_bytes && len > sse->limit_bytes + sizeof "data: " - 1)
    return false;
  if (sse->line_offset == 0 && len >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0) {
    line += 3;
    len -= 3;
    sse->line_offset += 3;
  }
  if (len == 0) {
    dispatch(sse, false, on_event, arg);
    return true;
  }
  if (line[0] == ':') {
    sse->comments++;
    return true;
  }
  return take_field(sse, line, len);
}

static const char *find_line_end(const char *from, const char *end) {
  const char *lf = memchr(from, '\n', (size_t)(end - from));
  const char *cr = memchr(from, '\r', (size_t)((lf ? lf : end) - from));
  return cr ? cr : lf;
}

// Bytes [from, to) continue the current line.
static void note_run(struct ql_sse *sse, const char *from, const char *to, uint64_t at_ns) {
  if (from == to)
    return;
  sse->line_at_ns = at_ns;
  char first = sse->line.len ? sse->line.data[0] : *from;
  if (first != ':')
    sse->payload_bytes += (uint64_t)(to - from);
}

static bool keep_part(struct ql_sse *sse, const char *from, const char *to) {
  ql_buf_add(&sse->line, from, (size_t)(to - from));
  return !sse->limit_bytes || sse->line.len <= sse->limit_bytes + sizeof "data: " - 1;
}

int ql_sse_feed(struct ql_sse *sse, const char *bytes, size_t len, uint64_t at_ns, ql_sse_on_event on_event,
                void *arg, struct ql_err *err) {
  const char *at = bytes, *end = bytes + len;
  if (sse->failed)
    return over_limit(sse, err);
  while (at < end) {
    if (sse->skip_lf && *at == '\n') { // the second half of CRLF
      at++;
      sse->skip_lf = false;
      sse->line_offset++;
      sse->offset++;
      continue;
    }
    sse->skip_lf = false;
    const char *stop = find_line_end(at, end);
    note_run(sse, at, stop ? stop : end, at_ns);
    sse->offset += (uint64_t)((stop ? stop + 1 : end) - at);
    bool ok;
    if (!stop) {
      ok = keep_part(sse, at, end);
      at = end;
    } else {
      if (sse->line.len) {
        ok = keep_part(sse, at, stop) && take_line(sse, sse->line.data, sse->line.len, on_event, arg);
        keep_lent(sse);
        ql_buf_clear(&sse->line);
      } else {
        ok = take_line(sse, at, (size_t)(stop - at), on_event, arg);
      }
      sse->skip_lf = *stop == '\r';
      at = stop + 1;
    }
    if (!ok)
      return over_limit(sse, err);
    if (stop)
      sse->line_offset = sse->offset;
  }
  keep_lent(sse);
  return 0;
}

int ql_sse_end(struct ql_sse *sse, ql_sse_on_event on_event, void *arg, struct ql_err *err) {
  if (sse->failed)
    return over_limit(sse, err);
  if (sse->line.len) {
    bool ok = take_line(sse, sse->line.data, sse->line.len, on_event, arg);
    keep_lent(sse);
    ql_buf_clear(&sse->line);
    sse->line_offset = sse->offset;
    if (!ok)
      return over_limit(sse, err);
  }
  dispatch(sse, true, on_event, arg);
  return 0;
}
