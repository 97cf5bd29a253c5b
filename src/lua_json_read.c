// SPDX-License-Identifier: Apache-2.0
// lua_json_read: strict JSON into Lua values in one pass. Every reply and every event of a benchmark comes through here, and
// lua-cjson followed by a walk that makes integers of floats took most of the time that a request costs.
//
// It need not know how to say what is wrong: at the first thing that is not plain it gives up, and lua_json.c asks lua-cjson,
// which either takes the text after all (a raw tab in a string, 1. for 1.0) or words the error with its position.
// Members are gathered on Lua's stack, so that a table is made with the size that it needs.
// As a module of its own it is only there because every binding is one.

#include "lua_json.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int ql_open_json_read(lua_State *L);

enum { CHUNK = 16 }; // values on the stack before they go into their table

struct reader {
  lua_State *L;
  const char *at, *end; // a NUL follows the end, as behind every string of Lua
  struct ql_buf *scratch;
  int depth;
};

static bool read_value(struct reader *reader);

static char skip_space(struct reader *reader) {
  while (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t')
    reader->at++;
  return *reader->at;
}

// ---- strings --------------------------------------------------------------------------------------------

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS (ONES * 0x80)
#define HAS_ZERO(word) (((word)-ONES) & ~(word) & HIGHS)

// The first byte from `at` that is a quote, a backslash or a control character; the NUL behind the end is one.
static const char *plain_end(const char *at, const char *end) {
  while (end - at >= 8) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    uint64_t control = (word - ONES * 0x20) & ~word & HIGHS;
    if (control | HAS_ZERO(word ^ ONES * '"') | HAS_ZERO(word ^ ONES * '\\'))
      break;
    at += 8;
  }
  while ((unsigned char)*at >= 0x20 && *at != '"' && *at != '\\')
    at++;
  return at;
}

static int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9')
    return digit - '0';
  digit |= 0x20;
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

// The four digits at `at`, or -1; a NUL is none, so the end is never passed.
static long read_unit(const char *at) {
  long unit = 0;
  for (int i = 0; i < 4; i++) {
    int digit = hex_digit(at[i]);
    if (digit < 0)
      return -1;
    unit = unit << 4 | digit;
  }
  return unit;
}

static void add_utf8(struct ql_buf *out, long code) {
  char bytes[4];
  size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const int lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  for (size_t i = len - 1; i > 0; i--, code >>= 6)
    bytes[i] = (char)(0x80 | (code & 0x3F));
  bytes[0] = (char)(lead[len] | code);
  ql_buf_add(out, bytes, len);
}

// What follows "\u"; a surrogate counts only as one of a pair.
static bool read_unicode(struct reader *reader) {
  long code = read_unit(reader->at);
  if (code < 0 || (code >= 0xDC00 && code <= 0xDFFF))
    return false;
  reader->at += 4;
  if (code >= 0xD800 && code <= 0xDBFF) {
    if (reader->at[0] != '\\' || reader->at[1] != 'u')
      return false;
    long low = read_unit(reader->at + 2);
    if (low < 0xDC00 || low > 0xDFFF)
      return false;
    reader->at += 6;
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  add_utf8(reader->scratch, code);
  return true;
}

static bool read_escape(struct reader *reader) {
  static const char meaning[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
  unsigned char letter = (unsigned char)reader->at[1];
  if (letter == 'u') {
    reader->at += 2;
    return read_unicode(reader);
  }
  if (letter >= sizeof meaning || !meaning[letter])
    return false;
  reader->at += 2;
  ql_buf_add(reader->scratch, &meaning[letter], 1);
  return true;
}

static bool read_escaped_string(struct reader *reader) {
  ql_buf_clear(reader->scratch);
  for (;;) {
    const char *from = reader->at;
    reader->at = plain_end(from, reader->end);
    ql_buf_add(reader->scratch, from, (size_t)(reader->at - from));
    if (*reader->at == '"')
      break;
    if (*reader->at != '\\' || !read_escape(reader))
      return false;
  }
  reader->at++;
  lua_pushlstring(reader->L, reader->scratch->data, reader->scratch->len);
  return true;
}

// At its opening quote.
static bool read_string(struct reader *reader) {
  const char *from = ++reader->at, *to = plain_end(from, reader->end);
  if (*to != '"')
    return *to == '\\' && read_escaped_string(reader);
  lua_pushlstring(reader->L, from, (size_t)(to - from));
  reader->at = to + 1;
  return true;
}

// ---- numbers --------------------------------------------------------------------------------------------

// A decimal number as it stands: mantissa × 10^exponent, where both fit.
struct decimal {
  uint64_t mantissa;
  long exponent;
  bool is_negative, is_whole; // whole: neither point nor exponent
  bool is_large;              // the mantissa, or the exponent, is beyond what is counted here
};

static bool is_digit(char digit) { return digit >= '0' && digit <= '9'; }

static const char *read_digits(const char *at, struct decimal *number) {
  for (; is_digit(*at); at++) {
    number->is_large |= number->mantissa >= UINT64_C(1) << 53;
    number->mantissa = number->mantissa * 10 + (uint64_t)(*at - '0');
  }
  return at;
}

static const char *read_exponent(const char *at, struct decimal *number) {
  bool is_negative = *at == '-';
  if (*at == '-' || *at == '+')
    at++;
  if (!is_digit(*at))
    return NULL;
  long value = 0;
  for (; is_digit(*at); at++)
    value = value < 100000 ? value * 10 + (*at - '0') : value;
  number->exponent += is_negative ? -value : value;
  return at;
}

// Its end, or NULL for what the grammar of JSON does not know.
static const char *scan_number(const char *at, struct decimal *number) {
  number->is_whole = true;
  number->is_negative = *at == '-';
  at += number->is_negative;
  if (!is_digit(*at) || (*at == '0' && is_digit(at[1])))
    return NULL;
  at = read_digits(at, number);
  if (*at == '.') {
    const char *fraction = ++at;
    at = read_digits(at, number);
    if (at == fraction)
      return NULL;
    number->exponent = -(long)(at - fraction);
    number->is_whole = false;
  }
  if (*at == 'e' || *at == 'E') {
    number->is_whole = false;
    at = read_exponent(at + 1, number);
  }
  return at;
}

// Where mantissa and power of ten are both exact doubles, one rounding is the right one (Clinger 1990, "How to read
// floating point numbers accurately"). False where that is not so.
static bool exact_double(const struct decimal *number, double *value) {
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const long most = (long)QL_LEN(powers) - 1;
  if (number->is_large || number->mantissa > UINT64_C(1) << 53 || number->exponent > most || number->exponent < -most)
    return false;
  double whole = (double)number->mantissa;
  *value = number->exponent < 0 ? whole / powers[-number->exponent] : whole * powers[number->exponent];
  if (number->is_negative)
    *value = -*value;
  return true;
}

static bool read_number(struct reader *reader) {
  struct decimal number = {0};
  const char *end = scan_number(reader->at, &number);
  if (!end)
    return false;
  double value;
  if (number.is_whole && !number.is_large && number.mantissa <= UINT64_C(1) << 53) {
    lua_Integer whole = (lua_Integer)number.mantissa;
    lua_pushinteger(reader->L, number.is_negative ? -whole : whole);
    reader->at = end;
    return true;
  }
  if (!exact_double(&number, &value)) {
    char *stop;
    value = strtod(reader->at, &stop);
    if (stop != end || !isfinite(value)) // another locale's point; or beyond the range
      return false;
  }
  reader->at = end;
  if (value >= -QL_JSON_TWO_53 && value <= QL_JSON_TWO_53 && value == floor(value))
    lua_pushinteger(reader->L, (lua_Integer)value);
  else
    lua_pushnumber(reader->L, value);
  return true;
}

// ---- arrays and objects ---------------------------------------------------------------------------------

// What lies above the table's slot goes into it; the table is made where there is none yet.
static void flush_array(lua_State *L, int table, lua_Integer before) {
  int count = lua_gettop(L) - table;
  if (!before) {
    lua_createtable(L, count, 0);
    lua_replace(L, table);
  }
  for (int i = 1; i <= count; i++) {
    lua_pushvalue(L, table + i);
    lua_rawseti(L, table, before + i);
  }
  lua_settop(L, table);
}

// In their order: of two equal keys the last one counts.
static void flush_object(lua_State *L, int table, bool is_first) {
  int top = lua_gettop(L);
  if (is_first) {
    lua_createtable(L, 0, (top - table) / 2);
    lua_replace(L, table);
  }
  for (int key = table + 1; key < top; key += 2) {
    lua_pushvalue(L, key);
    lua_pushvalue(L, key + 1);
    lua_rawset(L, table);
  }
  lua_settop(L, table);
}

// After a member: at the next one, or past the end with *is_over set.
static bool read_separator(struct reader *reader, char closing, bool *is_over) {
  char next = skip_space(reader);
  *is_over = next == closing;
  if (next != closing && next != ',')
    return false;
  reader->at++;
  return true;
}

static bool read_array(struct reader *reader) {
  lua_State *L = reader->L;
  lua_Integer flushed = 0;
  lua_pushnil(L); // the table's slot
  int table = lua_gettop(L);
  bool is_over = skip_space(reader) == ']';
  if (is_over)
    reader->at++;
  while (!is_over) {
    if (!read_value(reader) || !read_separator(reader, ']', &is_over))
      return false;
    if (!is_over && lua_gettop(L) - table == CHUNK) {
      flush_array(L, table, flushed);
      flushed += CHUNK;
    }
  }
  flush_array(L, table, flushed);
  return true;
}

static bool read_member(struct reader *reader) {
  if (skip_space(reader) != '"' || !read_string(reader) || skip_space(reader) != ':')
    return false;
  reader->at++;
  return read_value(reader);
}

static bool read_object(struct reader *reader) {
  lua_State *L = reader->L;
  bool is_first = true;
  lua_pushnil(L);
  int table = lua_gettop(L);
  bool is_over = skip_space(reader) == '}';
  if (is_over)
    reader->at++;
  while (!is_over) {
    if (!read_member(reader) || !read_separator(reader, '}', &is_over))
      return false;
    if (!is_over && lua_gettop(L) - table == CHUNK) {
      flush_object(L, table, is_first);
      is_first = false;
    }
  }
  flush_object(L, table, is_first);
  return true;
}

static bool read_container(struct reader *reader, bool (*read)(struct reader *reader)) {
  if (++reader->depth > QL_JSON_MAX_DEPTH)
    return false;
  luaL_checkstack(reader->L, CHUNK + 8, "JSON nested too deeply");
  reader->at++;
  bool is_good = read(reader);
  reader->depth--;
  return is_good;
}

static bool read_word(struct reader *reader, const char *word, size_t len) {
  if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
    return false;
  reader->at += len;
  return true;
}

static bool read_value(struct reader *reader) {
  switch (skip_space(reader)) {
  case '"':
    return read_string(reader);
  case '{':
    return read_container(reader, read_object);
  case '[':
    return read_container(reader, read_array);
  case 't':
    lua_pushboolean(reader->L, 1);
    return read_word(reader, "true", 4);
  case 'f':
    lua_pushboolean(reader->L, 0);
    return read_word(reader, "false", 5);
  case 'n':
    lua_pushlightuserdata(reader->L, NULL); // json.null
    return read_word(reader, "null", 4);
  default:
    return read_number(reader);
  }
}

bool ql_json_read(lua_State *L, const char *text, size_t len, struct ql_buf *scratch) {
  int top = lua_gettop(L);
  struct reader reader = {.L = L, .at = text, .end = text + len, .scratch = scratch};
  luaL_checkstack(L, 8, "JSON");
  if (read_value(&reader) && (skip_space(&reader), reader.at == reader.end))
    return true;
  lua_settop(L, top);
  return false;
}

int ql_open_json_read(lua_State *L) {
  lua_newtable(L);
  return 1;
}
