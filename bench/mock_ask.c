// SPDX-License-Identifier: Apache-2.0
// mock_ask: a request's head and body → its plan. Reads only what it obeys.

#include "mock.h"

#include <strings.h>

// ---- key=value --------------------------------------------------------------------------------------------------

static bool is(const char *word, const char *text, size_t len) {
  return strlen(word) == len && memcmp(word, text, len) == 0;
}

static bool set_mode(struct plan *plan, const char *value, size_t len) {
  plan->flood = is("flood", value, len);
  plan->plain = is("plain", value, len);
  return plan->flood || plan->plain || is("paced", value, len);
}

static bool set_phase(struct plan *plan, const char *value, size_t len) {
  plan->spread = is("spread", value, len);
  return plan->spread || is("step", value, len);
}

bool plan_set(struct plan *plan, const char *key, size_t key_len, const char *value, size_t len) {
  char digits[32];
  if (is("mode", key, key_len))
    return set_mode(plan, value, len);
  if (is("phase", key, key_len))
    return set_phase(plan, value, len);
  if (!len || len >= sizeof digits)
    return false;
  memcpy(digits, value, len);
  digits[len] = '\0';
  char *end;
  double number = strtod(digits, &end);
  if (*end || number < 0 || number > 1e9)
    return false;
  if (is("rate", key, key_len) && number > 0)
    plan->rate = number;
  else if (is("tokens", key, key_len))
    plan->tokens = (uint32_t)number;
  else if (is("first_ms", key, key_len))
    plan->first_ns = (uint64_t)(number * 1e6);
  else if (is("gate", key, key_len))
    plan->gate = (uint32_t)number;
  else if (is("per_write", key, key_len) && number >= 1 && number <= MAX_PER_WRITE)
    plan->per_write = (uint32_t)number;
  else if (is("logprobs", key, key_len))
    plan->logprobs = number > 0;
  else
    return false;
  return true;
}

static void read_query(struct plan *plan, const char *at, const char *end) {
  while (at < end) {
    const char *stop = memchr(at, '&', (size_t)(end - at));
    if (!stop)
      stop = end;
    const char *equals = memchr(at, '=', (size_t)(stop - at));
    if (!equals || !plan_set(plan, at, (size_t)(equals - at), equals + 1, (size_t)(stop - equals - 1)))
      plan->refusal = "a field of the query is unknown, or its value out of range";
    at = stop + 1;
  }
}

// ---- the body ---------------------------------------------------------------------------------------------------

// The value of a member of the body, or NULL. Inside a string a quote has a backslash before it.
static const char *member(const char *body, size_t len, const char *name) {
  size_t name_len = strlen(name);
  const char *end = body + len;
  for (const char *at = body; (at = memmem(at, (size_t)(end - at), name, name_len)); at++) {
    if (at > body && at[-1] == '\\')
      continue;
    const char *value = at + name_len;
    while (value < end && (*value == ' ' || *value == ':'))
      value++;
    return value < end ? value : NULL;
  }
  return NULL;
}

static void read_prompt(struct plan *plan, const char *body, size_t len) {
  const char *prompt = member(body, len, "\"prompt\""), *end = body + len;
  if (!prompt || *prompt != '"')
    return;
  plan->echo = ++prompt;
  while (prompt < end && *prompt != '"')
    prompt += *prompt == '\\' ? 2 : 1;
  plan->echo_len = (size_t)(prompt - plan->echo);
}

static void read_body(struct plan *plan, const char *body, size_t len) {
  const char *stream = member(body, len, "\"stream\"");
  bool streams = stream && *stream == 't' && !plan->plain;
  plan->mode = !streams ? MODE_PLAIN : plan->flood ? MODE_FLOOD : MODE_PACED;
  if (streams) {
    const char *usage = member(body, len, "\"include_usage\"");
    plan->usage = usage && *usage == 't';
    const char *tokens = plan->tokens ? NULL : member(body, len, "\"max_completion_tokens\"");
    if (!tokens && !plan->tokens)
      tokens = member(body, len, "\"max_tokens\"");
    if (tokens)
      plan->tokens = (uint32_t)strtoul(tokens, NULL, 10); // a body is followed by a zero byte
    if (!plan->tokens)
      plan->tokens = 128;
  } else {
    const char *logprobs = member(body, len, "\"logprobs\"");
    plan->logprobs |= logprobs && (*logprobs == 't' || (*logprobs >= '1' && *logprobs <= '9'));
    const char *echo = plan->chat ? NULL : member(body, len, "\"echo\"");
    if (echo && *echo == 't')
      read_prompt(plan, body, len);
  }
}

// ---- the head ---------------------------------------------------------------------------------------------------

static size_t content_length(const char *head, const char *end) {
  static const char name[] = "\ncontent-length:";
  for (const char *at = head; (at = memchr(at, '\n', (size_t)(end - at))); at++)
    if ((size_t)(end - at) > sizeof name && strncasecmp(at, name, sizeof name - 1) == 0)
      return strtoul(at + sizeof name - 1, NULL, 10);
  return 0;
}

static enum mode mode_of(const char *path, size_t len, bool *chat) {
  *chat = len >= 16 && memmem(path, len, "chat/completions", 16);
  if (*chat || (len >= 11 && memcmp(path + len - 11, "completions", 11) == 0))
    return MODE_PACED;
  static const struct {
    const char *path;
    enum mode mode;
  } others[] = {{"/v1/models", MODE_MODELS}, {"/metrics", MODE_METRICS}, {"/health", MODE_OK},
                {"/stats", MODE_STATS},      {"/reset", MODE_RESET},     {"/", MODE_OK}};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (is(others[i].path, path, len))
      return others[i].mode;
  return MODE_REFUSED;
}

size_t read_request(const char *data, size_t len, const struct plan *defaults, struct plan *plan) {
  const char *blank = memmem(data, len, "\r\n\r\n", 4);
  if (!blank)
    return 0;
  size_t head_len = (size_t)(blank + 4 - data), body_len = content_length(data, blank + 2);
  if (len < head_len + body_len)
    return 0;
  *plan = *defaults;
  plan->refusal = NULL;
  const char *line_end = memchr(data, '\r', head_len), *path = memchr(data, ' ', (size_t)(line_end - data));
  const char *path_end = path ? memchr(path + 1, ' ', (size_t)(line_end - path - 1)) : NULL;
  if (!path_end) {
    plan->mode = MODE_REFUSED;
    plan->refusal = "no request line";
    return head_len + body_len;
  }
  path++;
  const char *query = memchr(path, '?', (size_t)(path_end - path));
  plan->mode = mode_of(path, (size_t)((query ? query : path_end) - path), &plan->chat);
  if (plan->mode == MODE_REFUSED)
    plan->refusal = "no such path";
  if (query)
    read_query(plan, query + 1, path_end);
  if (plan->refusal)
    plan->mode = MODE_REFUSED;
  else if (plan->mode == MODE_PACED)
    read_body(plan, blank + 4, body_len);
  return head_len + body_len;
}
