// SPDX-License-Identifier: Apache-2.0
// text: Unicode properties and forms, see text.h.
//
// utf8proc supplies the tables. The decoder is our own since utf8proc's says only *that* bytes are bad,
// not how many belong to one damaged character, and since nearly every byte of a reply is ASCII, which
// must cost nothing. Nothing here keeps state.
#include "text.h"

#include <stdlib.h>
#include <utf8proc.h>

// The range the second byte must be in: this is where overlong forms, surrogates and code points past
// U+10FFFF are caught (Unicode Standard, table 3-7).
static size_t sequence_shape(unsigned char lead, unsigned char *low, unsigned char *high) {
  *low = 0x80;
  *high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF)
    return 2;
  if (lead >= 0xE0 && lead <= 0xEF) {
    *low = lead == 0xE0 ? 0xA0 : 0x80;
    *high = lead == 0xED ? 0x9F : 0xBF;
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    *low = lead == 0xF0 ? 0x90 : 0x80;
    *high = lead == 0xF4 ? 0x8F : 0xBF;
    return 4;
  }
  return 0;
}

size_t ql_text_step(const char *text, size_t len, int32_t *code) {
  const unsigned char *byte = (const unsigned char *)text;
  if (len == 0)
    return 0;
  if (byte[0] < 0x80) {
    *code = byte[0];
    return 1;
  }
  unsigned char low, high;
  size_t want = sequence_shape(byte[0], &low, &high);
  *code = -1;
  if (want == 0)
    return 1;
  int32_t value = byte[0] & (0x7F >> want);
  for (size_t i = 1; i < want; i++) {
    if (i >= len || byte[i] < low || byte[i] > high)
      return i;
    value = value << 6 | (byte[i] & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  *code = value;
  return want;
}

bool ql_text_valid(const char *text, size_t len, size_t *bad_at) {
  int32_t code;
  for (size_t at = 0; at < len;) {
    size_t step = ql_text_step(text + at, len - at, &code);
    if (code < 0) {
      if (bad_at)
        *bad_at = at;
      return false;
    }
    at += step;
  }
  return true;
}

size_t ql_text_chars(const char *text, size_t len) {
  size_t count = 0;
  int32_t code;
  for (size_t at = 0; at < len; at += ql_text_step(text + at, len - at, &code))
    count++;
  return count;
}

size_t ql_text_width(const char *text, size_t len) {
  size_t columns = 0;
  int32_t code;
  for (size_t at = 0; at < len;) {
    at += ql_text_step(text + at, len - at, &code);
    if (code >= 0x20 && code < 0x7F) {
      columns++;
    } else if (code < 0) {
      columns++; // shown as one replacement character
    } else {
      int width = utf8proc_charwidth(code);
      columns += width > 0 ? (size_t)width : 0;
    }
  }
  return columns;
}

static int32_t map_code(int32_t code, enum ql_case to) {
  switch (to) {
  case QL_CASE_LOWER:
    return utf8proc_tolower(code);
  case QL_CASE_UPPER:
    return utf8proc_toupper(code);
  case QL_CASE_TITLE:
    return utf8proc_totitle(code);
  }
  return code;
}

bool ql_text_case(const char *text, size_t len, enum ql_case to, struct ql_buf *out) {
  int32_t code;
  for (size_t at = 0; at < len;) {
    size_t step = ql_text_step(text + at, len - at, &code);
    utf8proc_uint8_t encoded[4];
    bool added = code < 0 ? ql_buf_add(out, text + at, step)
                          : ql_buf_add(out, encoded, (size_t)utf8proc_encode_char(map_code(code, to), encoded));
    if (!added)
      return false;
    at += step;
  }
  return true;
}

bool ql_text_repair(const char *text, size_t len, struct ql_buf *out) {
  size_t good_from = 0, at = 0;
  int32_t code;
  while (at < len) {
    size_t step = ql_text_step(text + at, len - at, &code);
    if (code < 0) {
      if (!ql_buf_add(out, text + good_from, at - good_from) || !ql_buf_adds(out, "\xEF\xBF\xBD"))
        return false;
      good_from = at + step;
    }
    at += step;
  }
  return ql_buf_add(out, text + good_from, len - good_from);
}

static int fold_valid(const char *text, size_t len, struct ql_buf *out, struct ql_err *err) {
  utf8proc_uint8_t *folded = NULL;
  utf8proc_ssize_t got = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &folded,
                                      UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
  if (got < 0)
    return ql_fail(err, QL_E_DATA, "text cannot be folded: %s", utf8proc_errmsg(got));
  bool added = ql_buf_add(out, folded, (size_t)got);
  free(folded); // allocated by utf8proc with malloc
  return added ? 0 : ql_fail(err, QL_E_LIMIT, "folded text is over its limit");
}

int ql_text_fold(const char *text, size_t len, struct ql_buf *out, struct ql_err *err) {
  size_t bad_at;
  if (ql_text_valid(text, len, &bad_at))
    return fold_valid(text, len, out, err);
  struct ql_buf repaired;
  ql_buf_init(&repaired, 0);
  ql_text_repair(text, len, &repaired);
  int rc = fold_valid(repaired.data, repaired.len, out, err);
  ql_buf_free(&repaired);
  return rc;
}
