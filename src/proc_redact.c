// SPDX-License-Identifier: Apache-2.0
// proc_redact: ql_redact of proc_log.h. Pure.
//
// Engines print their arguments and headers, so keys turn up in logs in many shapes. Rather too much is
// replaced than too little: a log without a word is still a log, a key in a shared report is an incident.

#include "proc_log.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { MIN_TOKEN = 8 };

static bool is_token(char c) { return isalnum((unsigned char)c) || (c && strchr("-_.~+/=:", c)); }

static size_t token_len(const char *at, const char *end) {
  const char *from = at;
  while (at < end && is_token(*at))
    at++;
  return (size_t)(at - from);
}

static bool starts(const char *at, const char *end, const char *word) {
  size_t len = strlen(word);
  return (size_t)(end - at) >= len && strncasecmp(at, word, len) == 0;
}

// After `api_key`: up to a few signs that lead to the value, as in api_key=x, "api_key": "x", api_key=['x'].
static const char *skip_to_value(const char *at, const char *end) {
  for (int i = 0; i < 6 && at < end && strchr("'\": =[(", *at); i++)
    at++;
  return at;
}

// Where the value of a key that begins at `at` lies; false when there is none.
static bool find_key(const char *text, const char *at, const char *end, const char **value, size_t *len) {
  static const char *const labels[] = {"api_key", "api-key", "apikey", "authorization"};
  bool is_start = at == text || !isalnum((unsigned char)at[-1]);
  if (is_start && end - at > 3 && (memcmp(at, "sk-", 3) == 0 || memcmp(at, "hf_", 3) == 0)) {
    *value = at;
    *len = token_len(at, end);
    return *len >= MIN_TOKEN;
  }
  if (is_start && starts(at, end, "bearer ")) {
    *value = at + strlen("bearer ");
    *len = token_len(*value, end);
    return *len > 0;
  }
  for (size_t i = 0; i < QL_LEN(labels); i++) {
    if (!starts(at, end, labels[i]))
      continue;
    const char *after = at + strlen(labels[i]);
    *value = skip_to_value(after, end);
    *len = token_len(*value, end);
    bool is_none = *len == 4 && starts(*value, end, "none");
    bool has_scheme = labels[i][1] == 'u' && *value + *len < end && (*value)[*len] == ' '; // Basic dXNlcjpwdw==
    if (has_scheme)
      *len += 1 + token_len(*value + *len + 1, end);
    // "authorization: Bearer x" is left to the rule for Bearer; "api_key_count" is no key
    return *value > after && *len > 0 && !is_none && !starts(*value, end, "bearer ");
  }
  return false;
}

static size_t secret_len(const char *at, const char *end, char *const *secrets) {
  size_t longest = 0;
  for (; secrets && *secrets; secrets++) {
    size_t len = strlen(*secrets);
    if (len > longest && (size_t)(end - at) >= len && memcmp(at, *secrets, len) == 0)
      longest = len;
  }
  return longest;
}

void ql_redact(struct ql_buf *out, const char *text, size_t len, char *const *secrets) {
  const char *end = text + len, *kept = text;
  // The value of a key that was found, until it is reached: what leads to it may hold a secret as well.
  const char *value = text, *value_end = text;
  for (const char *at = text; at < end;) {
    size_t found_len = 0, hidden = secret_len(at, end, secrets);
    if (at >= value_end && find_key(text, at, end, &value, &found_len))
      value_end = value + found_len;
    if (!hidden && at >= value && at < value_end)
      hidden = (size_t)(value_end - at);
    if (!hidden) {
      at++;
      continue;
    }
    ql_buf_add(out, kept, (size_t)(at - kept));
    ql_buf_adds(out, "***");
    at = kept = at + hidden;
  }
  ql_buf_add(out, kept, (size_t)(end - kept));
}
