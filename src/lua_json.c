// SPDX-License-Identifier: Apache-2.0
// qlua.core.json: the one door for JSON.
//
// Decoding of strict JSON is lua_json_read's. Where that gives up the text is lua-cjson's, which takes some more, and words
// the error with its position; under Lua 5.4 it makes every number a float, so integers are restored after it. Both ways a
// number without a fraction within ±2^53 is an integer. Encoding is a canonical writer of our own, since hashes are taken over it: keys sorted bytewise, no spaces, integers stay integers, floats
// in the fewest digits that read back the same, text as UTF-8 with invalid bytes as U+FFFD.

#include "lua_json.h"
#include "task.h"

#include <lauxlib.h>
#include <lua-cjson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ql_open_json(lua_State *L);

enum { INDENT_MAX = 8, SCRATCH_MAX = 1 << 20 };

static char array_mark; // its address names the metatable of json.array

// ---- decode -------------------------------------------------------------------------------------------

// The table on top; false when it has a number beyond the range of a double, which could not be written again.
static bool restore_integers(lua_State *L) {
  luaL_checkstack(L, 4, "JSON nested too deeply");
  int table = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, table);) {
    if (lua_istable(L, -1)) {
      if (!restore_integers(L))
        return false;
    } else if (lua_type(L, -1) == LUA_TNUMBER) {
      double value = lua_tonumber(L, -1);
      if (!isfinite(value))
        return false;
      if (value >= -QL_JSON_TWO_53 && value <= QL_JSON_TWO_53 && value == floor(value)) {
        lua_pushvalue(L, -2);
        lua_pushinteger(L, (lua_Integer)value);
        lua_rawset(L, table); // assigning to an existing field is allowed during lua_next
      }
    }
    lua_pop(L, 1);
  }
  return true;
}

// What lua-cjson (upvalue 1) makes of the text at 1.
static int decode_any(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    struct ql_err err;
    ql_fail(&err, QL_E_PROTOCOL, "not JSON: %s", lua_tostring(L, -1));
    return ql_push_err(L, &err);
  }
  bool is_finite = true;
  if (lua_istable(L, -1)) {
    is_finite = restore_integers(L);
  } else if (lua_type(L, -1) == LUA_TNUMBER) {
    double value = lua_tonumber(L, -1);
    is_finite = isfinite(value);
    if (value >= -QL_JSON_TWO_53 && value <= QL_JSON_TWO_53 && value == floor(value))
      lua_pushinteger(L, (lua_Integer)value);
  }
  if (!is_finite) {
    struct ql_err err;
    ql_fail(&err, QL_E_PROTOCOL, "not JSON that can be kept: a number is beyond the range of a double");
    return ql_push_err(L, &err);
  }
  return 1;
}

// One large value must not hold its memory for good.
static void trim(struct ql_buf *buffer) {
  if (buffer->cap > SCRATCH_MAX)
    ql_buf_free(buffer);
}

// decode(text) → value | nil, err. Upvalue 2 holds the buffer for strings with escapes, so that an error leaks nothing.
static int decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct ql_buf *scratch = lua_touserdata(L, lua_upvalueindex(2));
  lua_settop(L, 1);
  bool is_read = ql_json_read(L, text, len, scratch);
  trim(scratch);
  return is_read ? 1 : decode_any(L);
}

// ---- encode -------------------------------------------------------------------------------------------

struct writer {
  lua_State *L;
  struct ql_buf *out;
  int indent; // spaces per level, 0: none
};

struct key {
  const char *text;
  size_t len;
};

static int compare_keys(const void *left, const void *right) {
  const struct key *a = left, *b = right;
  int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
  return order ? order : (a->len > b->len) - (a->len < b->len);
}

// Length of the well-formed UTF-8 sequence at text, or 0 (Unicode table 3-7).
static size_t utf8_length(const unsigned char *text, size_t left) {
  unsigned char first = text[0];
  size_t length = first < 0x80 ? 1 : first >= 0xC2 && first <= 0xDF ? 2 : (first & 0xF0) == 0xE0 ? 3 : 4;
  if (length == 4 && (first < 0xF0 || first > 0xF4))
    return 0;
  if (length > left)
    return 0;
  for (size_t i = 1; i < length; i++)
    if ((text[i] & 0xC0) != 0x80)
      return 0;
  bool is_bad_second = (first == 0xE0 && text[1] < 0xA0) || (first == 0xED && text[1] > 0x9F) ||
                       (first == 0xF0 && text[1] < 0x90) || (first == 0xF4 && text[1] > 0x8F);
  return length > 1 && is_bad_second ? 0 : length;
}

static void write_escape(struct ql_buf *out, unsigned char byte) {
  static const char short_form[128] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                       ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
  if (short_form[byte])
    ql_buf_addf(out, "\\%c", short_form[byte]);
  else
    ql_buf_addf(out, "\\u%04x", (unsigned)byte);
}

static void write_text(struct ql_buf *out, const char *text, size_t len) {
  const unsigned char *bytes = (const unsigned char *)text;
  ql_buf_adds(out, "\"");
  size_t plain = 0; // start of the run not yet copied
  for (size_t i = 0; i < len;) {
    size_t step = utf8_length(bytes + i, len - i);
    bool is_plain = step > 1 || (step == 1 && bytes[i] >= 0x20 && bytes[i] != '"' && bytes[i] != '\\');
    if (is_plain) {
      i += step;
      continue;
    }
    ql_buf_add(out, text + plain, i - plain);
    if (step == 0)
      ql_buf_adds(out, "\xEF\xBF\xBD");
    else
      write_escape(out, bytes[i]);
    plain = ++i;
  }
  ql_buf_add(out, text + plain, len - plain);
  ql_buf_adds(out, "\"");
}

static void write_number(struct writer *writer, int index) {
  lua_State *L = writer->L;
  if (lua_isinteger(L, index)) {
    ql_buf_addf(writer->out, "%lld", (long long)lua_tointeger(L, index));
    return;
  }
  double value = lua_tonumber(L, index);
  if (!isfinite(value))
    luaL_error(L, "json: %f has no JSON form", value);
  char text[40];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value)
      break;
  }
  ql_buf_adds(writer->out, text);
}

static void write_value(struct writer *writer, int depth);

static void new_line(struct writer *writer, int depth) {
  if (!writer->indent)
    return;
  ql_buf_adds(writer->out, "\n");
  for (int i = 0; i < depth * writer->indent; i++)
    ql_buf_adds(writer->out, " ");
}

static void write_array(struct writer *writer, int table, lua_Integer count, int depth) {
  ql_buf_adds(writer->out, "[");
  for (lua_Integer i = 1; i <= count; i++) {
    if (i > 1)
      ql_buf_adds(writer->out, ",");
    new_line(writer, depth + 1);
    lua_rawgeti(writer->L, table, i);
    write_value(writer, depth + 1);
    lua_pop(writer->L, 1);
  }
  if (count)
    new_line(writer, depth);
  ql_buf_adds(writer->out, "]");
}

static void write_object(struct writer *writer, int table, size_t count, int depth) {
  lua_State *L = writer->L;
  struct key *keys = lua_newuserdatauv(L, (count ? count : 1) * sizeof *keys, 0); // freed by the collector on error
  size_t filled = 0;
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "json: a key of type %s in an object (want string keys, or 1..n for an array)",
                 luaL_typename(L, -2));
    keys[filled].text = lua_tolstring(L, -2, &keys[filled].len);
    filled++;
  }
  qsort(keys, filled, sizeof *keys, compare_keys);
  ql_buf_adds(writer->out, "{");
  for (size_t i = 0; i < filled; i++) {
    if (i > 0)
      ql_buf_adds(writer->out, ",");
    new_line(writer, depth + 1);
    write_text(writer->out, keys[i].text, keys[i].len);
    ql_buf_adds(writer->out, writer->indent ? ": " : ":");
    lua_pushlstring(L, keys[i].text, keys[i].len);
    lua_rawget(L, table);
    write_value(writer, depth + 1);
    lua_pop(L, 1);
  }
  if (filled)
    new_line(writer, depth);
  ql_buf_adds(writer->out, "}");
  lua_pop(L, 1);
}

static bool is_marked_array(lua_State *L, int table) {
  if (!lua_getmetatable(L, table))
    return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &array_mark);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

static void write_table(struct writer *writer, int depth) {
  lua_State *L = writer->L;
  if (depth >= QL_JSON_MAX_DEPTH)
    luaL_error(L, "json: nested more than %d levels deep (a cycle?)", QL_JSON_MAX_DEPTH);
  luaL_checkstack(L, 6, "json");
  int table = lua_gettop(L);
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
    count++;
  lua_Integer length = (lua_Integer)lua_rawlen(L, table);
  if (is_marked_array(L, table))
    write_array(writer, table, length, depth);
  else if (count > 0 && (size_t)length == count)
    write_array(writer, table, length, depth);
  else
    write_object(writer, table, count, depth);
}

static void write_value(struct writer *writer, int depth) { // the value on top
  lua_State *L = writer->L;
  size_t len;
  const char *text;
  switch (lua_type(L, -1)) {
  case LUA_TNIL:
    ql_buf_adds(writer->out, "null");
    return;
  case LUA_TBOOLEAN:
    ql_buf_adds(writer->out, lua_toboolean(L, -1) ? "true" : "false");
    return;
  case LUA_TNUMBER:
    write_number(writer, -1);
    return;
  case LUA_TSTRING:
    text = lua_tolstring(L, -1, &len);
    write_text(writer->out, text, len);
    return;
  case LUA_TTABLE:
    write_table(writer, depth);
    return;
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(L, -1) == NULL) { // cjson.null
      ql_buf_adds(writer->out, "null");
      return;
    }
    break;
  default:
    break;
  }
  luaL_error(L, "json: a %s has no JSON form", luaL_typename(L, -1));
}

// encode(value [, indent]) → text. Upvalue 1 holds the buffer, so that an error leaks nothing.
static int encode(lua_State *L) {
  luaL_checkany(L, 1);
  lua_Integer indent = luaL_optinteger(L, 2, 0);
  luaL_argcheck(L, indent >= 0 && indent <= INDENT_MAX, 2, "want 0 to 8 spaces");
  lua_settop(L, 1);
  struct ql_buf *out = lua_touserdata(L, lua_upvalueindex(1));
  ql_buf_clear(out);
  struct writer writer = {L, out, (int)indent};
  write_value(&writer, 0);
  lua_pushlstring(L, out->data, out->len);
  trim(out);
  return 1;
}

static int free_buffer(lua_State *L) {
  ql_buf_free(lua_touserdata(L, 1));
  return 0;
}

static int array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &array_mark);
  lua_setmetatable(L, 1);
  return 1;
}

static void push_buffer(lua_State *L) {
  struct ql_buf *buffer = lua_newuserdatauv(L, sizeof *buffer, 0);
  ql_buf_init(buffer, 0);
  lua_newtable(L);
  lua_pushcfunction(L, free_buffer);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
}

int ql_open_json(lua_State *L) {
  lua_newtable(L);
  lua_pushliteral(L, "json.array");
  lua_setfield(L, -2, "__name");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &array_mark);

  lua_newtable(L); // the module
  lua_pushcfunction(L, luaopen_cjson);
  lua_call(L, 0, 1);
  lua_getfield(L, -1, "decode_invalid_numbers");
  lua_pushboolean(L, 0);
  lua_call(L, 1, 0);
  lua_getfield(L, -1, "decode_max_depth");
  lua_pushinteger(L, QL_JSON_MAX_DEPTH);
  lua_call(L, 1, 0);
  lua_getfield(L, -1, "null");
  lua_setfield(L, -3, "null");
  lua_getfield(L, -1, "decode");
  push_buffer(L);
  lua_pushcclosure(L, decode, 2);
  lua_setfield(L, -3, "decode");
  lua_pop(L, 1);

  push_buffer(L);
  lua_pushcclosure(L, encode, 1);
  lua_setfield(L, -2, "encode");
  lua_pushcfunction(L, array);
  lua_setfield(L, -2, "array");
  return 1;
}
