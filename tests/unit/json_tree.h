// SPDX-License-Identifier: Apache-2.0
// json_tree: reads a JSON file that is known to be sound into a tree, for tests whose cases are kept as JSON.
//
// The core has no JSON (it lives in the Lua room), so a C test brings these few lines. Numbers as doubles, strings
// without escapes; anything else ends the test program with a word. What is allocated stays in one list until the
// program ends, which is soon.
#ifndef QL_JSON_TREE_H
#define QL_JSON_TREE_H

#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct json {
  enum { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_LIST, JSON_OBJECT } type;
  double number; // also of a bool
  char *text;
  char *key; // of a field
  struct json *first, *next;
  size_t count;
};

static const char *json_at;
static void **json_kept;
static size_t json_kept_count;

static void *json_keep(void *memory) {
  json_kept = ql_realloc(json_kept, (json_kept_count + 1) * sizeof *json_kept);
  return json_kept[json_kept_count++] = memory;
}

static _Noreturn void json_bad(const char *what) {
  fprintf(stderr, "not the JSON this test reads: %s at \"%.20s\"\n", what, json_at);
  exit(2);
}

static char json_peek(void) {
  json_at += strspn(json_at, " \t\r\n");
  return *json_at;
}

static bool json_take(char c) {
  if (json_peek() != c)
    return false;
  json_at++;
  return true;
}

static char *json_text(void) {
  if (!json_take('"'))
    json_bad("want a string");
  size_t len = strcspn(json_at, "\"\\");
  struct ql_buf buf;
  ql_buf_init(&buf, 0);
  while (json_at[len] == '\\') { // notes have escapes; names never do, so the escaped byte is good enough
    ql_buf_add(&buf, json_at, len);
    json_at += len + 2;
    len = strcspn(json_at, "\"\\");
  }
  ql_buf_add(&buf, json_at, len);
  json_at += len + 1;
  return json_keep(ql_buf_take(&buf, NULL));
}

static struct json *json_value(void);

static void json_members(struct json *parent, char end) {
  struct json **last = &parent->first;
  while (!json_take(end)) {
    if (parent->count && !json_take(','))
      json_bad("want a comma");
    char *key = parent->type == JSON_OBJECT ? json_text() : NULL;
    if (key && !json_take(':'))
      json_bad("want a colon");
    *last = json_value();
    (*last)->key = key;
    last = &(*last)->next;
    parent->count++;
  }
}

static struct json *json_value(void) {
  struct json *value = json_keep(ql_calloc(1, sizeof *value));
  char c = json_peek(), *end;
  if (c == '{' || c == '[') {
    json_at++;
    value->type = c == '{' ? JSON_OBJECT : JSON_LIST;
    json_members(value, c == '{' ? '}' : ']');
  } else if (c == '"') {
    value->type = JSON_STRING;
    value->text = json_text();
  } else if (!strncmp(json_at, "null", 4)) {
    json_at += 4;
  } else if (!strncmp(json_at, "true", 4) || !strncmp(json_at, "false", 5)) {
    value->type = JSON_BOOL;
    value->number = c == 't';
    json_at += c == 't' ? 4 : 5;
  } else {
    value->type = JSON_NUMBER;
    value->number = strtod(json_at, &end);
    if (end == json_at)
      json_bad("want a value");
    json_at = end;
  }
  return value;
}

// NULL when there is no such file.
static struct json *json_read(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return NULL;
  struct ql_buf buf;
  char chunk[4096];
  size_t got;
  ql_buf_init(&buf, 0);
  while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
    ql_buf_add(&buf, chunk, got);
  fclose(file);
  json_at = json_keep(ql_buf_take(&buf, NULL));
  return json_value();
}

static struct json *json_find(const struct json *object, const char *key) {
  for (struct json *field = object->first; field; field = field->next)
    if (field->key && !strcmp(field->key, key))
      return field;
  return NULL;
}

// The field, which must be there.
static struct json *json_get(const struct json *object, const char *key) {
  struct json *field = json_find(object, key);
  if (!field) {
    fprintf(stderr, "no field %s\n", key);
    exit(2);
  }
  return field;
}

#endif
