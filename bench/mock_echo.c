// SPDX-License-Identifier: Apache-2.0
// mock_echo: the reply to "echo": true, with a log-probability for each word of the prompt, so that whole suites of
// multiple choice run against the mock. The prompt stays in its JSON spelling: a word is what lies between two spaces,
// the space before it included; its log-probability comes of its bytes.

#include "mock.h"

#define WORDS_MAX 65536
#define REPLY_MAX (4u << 20)

struct word {
  uint32_t at, len, offset; // in the JSON text; offset in code points of the text it stands for
  int32_t centis;           // log-probability, hundredths
};

static struct word words[WORDS_MAX];
static char reply[REPLY_MAX];

// Bytes of the code point at a place of a JSON string; shown is 0 for the first half of a surrogate pair.
static uint32_t step(const char *at, const char *end, uint32_t *shown) {
  uint32_t len = 1;
  *shown = 1;
  if (*at == '\\' && end - at >= 6 && at[1] == 'u') {
    *shown = !((at[2] == 'd' || at[2] == 'D') && strchr("89abAB", at[3]));
    return 6;
  }
  if (*at == '\\')
    return 2;
  while (at + len < end && ((unsigned char)at[len] & 0xC0) == 0x80)
    len++;
  return len;
}

static int32_t likelihood(const char *at, uint32_t len) {
  uint32_t hash = 2166136261u;
  for (uint32_t i = 0; i < len; i++)
    hash = (hash ^ (unsigned char)at[i]) * 16777619u;
  return -1 - (int32_t)(hash % 900);
}

static uint32_t split(const char *text, uint32_t len) {
  uint32_t count = 0, offset = 0, shown = 0;
  for (uint32_t at = 0; at < len; at += step(text + at, text + len, &shown), offset += shown)
    if ((at == 0 || text[at] == ' ') && count < WORDS_MAX)
      words[count++] = (struct word){.at = at, .offset = offset};
  for (uint32_t i = 0; i < count; i++) {
    words[i].len = (i + 1 < count ? words[i + 1].at : len) - words[i].at;
    words[i].centis = likelihood(text + words[i].at, words[i].len);
  }
  return count;
}

// ---- writing: a cursor that stops at the end of the reply ---------------------------------------------------------

static char *put(char *to, const char *data, size_t len) {
  if (len > (size_t)(reply + REPLY_MAX - to))
    abort(); // the prompt is bounded by what echo_reply takes
  memcpy(to, data, len);
  return to + len;
}

static char *put_text(char *to, const char *text) { return put(to, text, strlen(text)); }

static char *put_number(char *to, uint32_t value) {
  char digits[10];
  int at = 10;
  do
    digits[--at] = (char)('0' + value % 10);
  while (value /= 10);
  return put(to, digits + at, (size_t)(10 - at));
}

static char *put_likelihood(char *to, int32_t centis) {
  to = put_number(put_text(to, "-"), (uint32_t)-centis / 100);
  return put(to, (char[]){'.', (char)('0' + -centis / 10 % 10), (char)('0' + -centis % 10)}, 3);
}

static char *put_word(char *to, const char *text, const struct word *word) {
  return put_text(put(put_text(to, "\""), text + word->at, word->len), "\"");
}

static char *put_lists(char *to, const char *text, uint32_t count, bool top) {
  to = put_text(to, "{\"text_offset\":[");
  for (uint32_t i = 0; i < count; i++)
    to = put_text(put_number(to, words[i].offset), ",");
  to = put_text(put_number(to, words[count - 1].offset + words[count - 1].len), "],\"token_logprobs\":[null,");
  for (uint32_t i = 1; i < count; i++)
    to = put_text(put_likelihood(to, words[i].centis), ",");
  to = put_text(to, "-1.00],\"tokens\":[");
  for (uint32_t i = 0; i < count; i++)
    to = put_text(put_word(to, text, &words[i]), ",");
  to = put_text(to, "\" There\"],\"top_logprobs\":[null,");
  for (uint32_t i = 1; top && i < count; i++)
    to = put_text(put_likelihood(put_text(put_word(put_text(to, "{"), text, &words[i]), ":"), words[i].centis), "},");
  for (uint32_t i = 1; !top && i < count; i++)
    to = put_text(to, "{},");
  return put_text(to, "{\" There\":-1.00}]}");
}

struct text echo_reply(const char *prompt, size_t len, bool top) {
  static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 0000000000\r\n\r\n";
  if (len == 0 || len > REPLY_MAX / 32)
    return (struct text){NULL, 0};
  uint32_t count = split(prompt, (uint32_t)len);
  char *body = put_text(reply, head);
  char *to = put_text(body, "{\"id\":\"cmpl-0\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"mock\",\"choices\":[{"
                            "\"index\":0,\"text\":\"");
  to = put_text(put(to, prompt, len), " There\",\"logprobs\":");
  to = put_lists(to, prompt, count, top);
  to = put_text(to, ",\"finish_reason\":\"length\"}],\"usage\":{\"completion_tokens\":1,\"prompt_tokens\":");
  to = put_text(put_number(to, count), ",\"total_tokens\":");
  to = put_text(put_number(to, count + 1), "}}");
  put_digits(body - 14, (uint64_t)(to - body), 10);
  return (struct text){reply, (size_t)(to - reply)};
}
