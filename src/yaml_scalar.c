// SPDX-License-Identifier: Apache-2.0
// yaml_scalar: see yaml_scalar.h. Touches nothing but the node.
//
// An integer that does not fit 64 bits is an error rather than a rounded float: whoever wrote an
// identifier without quotes should hear of it. strtod is safe here as the program never leaves the C
// locale for numbers.

#include "yaml_scalar.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const char *text, const char *const *words) {
  for (; *words; words++)
    if (strcmp(text, *words) == 0)
      return true;
  return false;
}

static bool is_null(const char *text) {
  static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
  return is_one_of(text, words);
}

static bool is_boolean(const char *text, bool *value) {
  static const char *const yes[] = {"true", "True", "TRUE", NULL};
  static const char *const no[] = {"false", "False", "FALSE", NULL};
  *value = is_one_of(text, yes);
  return *value || is_one_of(text, no);
}

// [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+
static bool is_integer(const char *text, int64_t *value, bool *fits) {
  int base = 10;
  const char *digits = text, *allowed = "0123456789";
  if (strncmp(text, "0x", 2) == 0) {
    base = 16;
    allowed = "0123456789abcdefABCDEF";
    digits += 2;
  } else if (strncmp(text, "0o", 2) == 0) {
    base = 8;
    allowed = "01234567";
    digits += 2;
  } else if (*text == '-' || *text == '+')
    digits++;
  if (!*digits || digits[strspn(digits, allowed)])
    return false;
  errno = 0;
  *value = strtoll(base == 10 ? text : digits, NULL, base);
  *fits = errno == 0;
  return true;
}

// [-+]? ( \.[0-9]+ | [0-9]+ ( \.[0-9]* )? ) ( [eE] [-+]? [0-9]+ )?  and the infinities and NaN
static bool is_float(const char *text, double *value) {
  static const char *const infinities[] = {".inf", ".Inf", ".INF", NULL};
  static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
  const char *at = text + (*text == '-' || *text == '+');
  if (is_one_of(at, infinities)) {
    *value = *text == '-' ? -INFINITY : INFINITY;
    return true;
  }
  if (is_one_of(text, nans)) {
    *value = NAN;
    return true;
  }
  size_t whole = strspn(at, "0123456789"), fraction = 0;
  at += whole;
  if (*at == '.') {
    fraction = strspn(at + 1, "0123456789");
    at += 1 + fraction;
  }
  if (whole + fraction == 0)
    return false;
  if (*at == 'e' || *at == 'E') {
    at++;
    at += *at == '-' || *at == '+';
    size_t exponent = strspn(at, "0123456789");
    if (!exponent)
      return false;
    at += exponent;
  }
  if (*at)
    return false;
  *value = strtod(text, NULL);
  return true;
}

static int resolve_looks(struct ql_yaml_node *node, char *what, size_t size) {
  bool fits = true;
  node->type = QL_YAML_TEXT;
  if (strlen(node->text) != node->len)
    return 0;
  if (is_null(node->text))
    node->type = QL_YAML_NULL;
  else if (is_boolean(node->text, &node->boolean))
    node->type = QL_YAML_BOOLEAN;
  else if (is_integer(node->text, &node->integer, &fits))
    node->type = QL_YAML_INTEGER;
  else if (is_float(node->text, &node->real))
    node->type = QL_YAML_FLOAT;
  if (fits)
    return 0;
  snprintf(what, size, "integer %.60s does not fit 64 bits (put quotes around it if it is text)", node->text);
  return -1;
}

int ql_yaml_resolve(struct ql_yaml_node *node, const char *tag, bool is_plain, char *what, size_t size) {
  static const char standard[] = "tag:yaml.org,2002:";
  if (!tag || strcmp(tag, "?") == 0) {
    node->type = QL_YAML_TEXT;
    return is_plain ? resolve_looks(node, what, size) : 0;
  }
  const char *name = strncmp(tag, standard, sizeof standard - 1) == 0 ? tag + sizeof standard - 1 : "";
  node->type = QL_YAML_TEXT;
  if (strcmp(tag, "!") == 0 || strcmp(name, "str") == 0)
    return 0;
  static const char *const names[] = {
      [QL_YAML_NULL] = "null", [QL_YAML_BOOLEAN] = "bool", [QL_YAML_INTEGER] = "int", [QL_YAML_FLOAT] = "float"};
  for (size_t type = 0; type < QL_LEN(names); type++) {
    if (strcmp(name, names[type]) != 0)
      continue;
    if (resolve_looks(node, what, size) != 0)
      return -1;
    if (type == QL_YAML_FLOAT && node->type == QL_YAML_INTEGER) {
      node->type = QL_YAML_FLOAT;
      node->real = (double)node->integer;
    }
    if (node->type == type)
      return 0;
    snprintf(what, size, "\"%.60s\" is not of type %s, as its tag says", node->text, names[type]);
    return -1;
  }
  snprintf(what, size, "tag '%.80s' is not supported", tag);
  return -1;
}
