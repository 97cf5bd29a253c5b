// SPDX-License-Identifier: Apache-2.0
// mock_text: the bytes of every reply, in vLLM's shape, made once. An event is 232 bytes on the wire as a chunk of its
// own; sending one changes its digits in place.

#include "mock.h"

#include <stdarg.h>

#define MODEL_MAX 80
#define CHAT_ID "\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion"
#define TEXT_ID "\"id\":\"cmpl-0123456789abcdef0123456789abcdef\",\"object\":\"text_completion\""
#define STAMP_TEXT " " STAMP_MARK "0000000000000000000 #0000000"

static char model[MODEL_MAX];

// A chunk whose digits change: where the stamp's and the number's digits are.
struct event {
  char data[512];
  size_t len, stamp_at, number_at, arrived_at;
};
static struct event events[2], firsts[2]; // [chat]
static char block[MAX_PER_WRITE * 512];
static char heads[2][1024], plain[2][2][4096], other[65536], end_text[1024];
static size_t head_lens[2], plain_lens[2][2], plain_arrived_at; // in plain: the head begins alike in all four

static size_t print(char *to, size_t size, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int len = vsnprintf(to, size, format, args);
  va_end(args);
  if (len < 0 || (size_t)len >= size)
    abort(); // a text of this file that does not fit
  return (size_t)len;
}

// HTTP's frame about one server-sent event.
static size_t print_chunk(char *to, size_t size, const char *json) {
  return print(to, size, "%zx\r\ndata: %s\n\n\r\n", strlen(json) + 8, json);
}

static size_t after(const char *data, const char *mark) { return (size_t)(strstr(data, mark) - data) + strlen(mark); }

static void make_event(struct event *event, bool chat, const char *more) {
  char json[512];
  if (chat)
    print(json, sizeof json,
          "{" CHAT_ID ".chunk\",\"created\":1700000000,\"model\":\"%s\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" STAMP_TEXT
          "%s\"},\"logprobs\":null,\"finish_reason\":null}]}",
          model, more);
  else
    print(json, sizeof json,
          "{" TEXT_ID ",\"created\":1700000000,\"model\":\"%s\",\"choices\":[{\"index\":0,\"text\":\"" STAMP_TEXT
          "%s\",\"logprobs\":null,\"finish_reason\":null,\"stop_reason\":null}]}",
          model, more);
  event->len = print_chunk(event->data, sizeof event->data, json);
  event->stamp_at = after(event->data, STAMP_MARK);
  event->number_at = event->stamp_at + STAMP_DIGITS + 2;
  event->arrived_at = *more ? after(event->data, "@arrived=") : 0;
}

static void make_head(bool chat) {
  char *to = heads[chat];
  size_t size = sizeof heads[chat];
  size_t len = print(to, size,
                     "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n");
  if (chat) {
    char json[512];
    print(json, sizeof json,
          "{" CHAT_ID ".chunk\",\"created\":1700000000,\"model\":\"%s\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
          "\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]}",
          model);
    len += print_chunk(to + len, size - len, json);
  }
  head_lens[chat] = len;
}

#define USAGE "\"usage\":{\"prompt_tokens\":16,\"total_tokens\":32,\"completion_tokens\":16}"

// Candidates of one token, A to E and some words, as a letter question wants them.
#define ANSWER "The answer is B.\\n#### 42" // a letter or a number, whichever the question wants

static size_t print_candidates(char *to, size_t size, bool chat) {
  static const char *const tokens[] = {"B", "A", "C", "D", "E", "The", "(", "\\n"};
  const char *space = chat ? "" : " "; // a text goes on after "Answer:"
  size_t len = 0;
  for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
    double value = -0.25 - 0.75 * (double)i;
    len += chat ? print(to + len, size - len, "%s{\"token\":\"%s%s\",\"logprob\":%.2f,\"bytes\":null}", i ? "," : "",
                        space, tokens[i], value)
                : print(to + len, size - len, "%s\"%s%s\":%.2f", i ? "," : "", space, tokens[i], value);
  }
  return len;
}

static void make_plain(bool chat, bool logprobs) {
  char candidates[1024] = "", lists[1400] = "null", body[3000];
  if (logprobs)
    print_candidates(candidates, sizeof candidates, chat);
  if (logprobs && chat)
    print(lists, sizeof lists,
          "{\"content\":[{\"token\":\"B\",\"logprob\":-0.25,\"bytes\":null,\"top_logprobs\":[%s]}]}", candidates);
  else if (logprobs)
    print(lists, sizeof lists,
          "{\"text_offset\":[0],\"token_logprobs\":[-0.25],\"tokens\":[\" B\"],\"top_logprobs\":[{%s}]}", candidates);
  const char *answer = !logprobs ? ANSWER : chat ? "B" : " B";
  size_t len = chat ? print(body, sizeof body,
                            "{" CHAT_ID "\",\"created\":1700000000,\"model\":\"%s\",\"choices\":[{\"index\":0,\"message\":"
                            "{\"role\":\"assistant\",\"content\":\"%s\"},\"logprobs\":%s,\"finish_reason\":\"stop\"}]," USAGE "}",
                            model, answer, lists)
                    : print(body, sizeof body,
                            "{" TEXT_ID ",\"created\":1700000000,\"model\":\"%s\",\"choices\":[{\"index\":0,\"text\":\"%s\","
                            "\"logprobs\":%s,\"finish_reason\":\"stop\"}]," USAGE "}",
                            model, answer, lists);
  plain_lens[chat][logprobs] =
      print(plain[chat][logprobs], sizeof plain[0][0],
            "HTTP/1.1 200 OK\r\nx-arrived-ns: 0000000000000000000\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
            len, body);
  plain_arrived_at = after(plain[chat][logprobs], "x-arrived-ns: ");
}

void text_open(const char *name) {
  print(model, sizeof model, "%s", name);
  for (int chat = 0; chat < 2; chat++) {
    make_event(&events[chat], chat, "");
    make_event(&firsts[chat], chat, " @arrived=0000000000000000000");
    make_head(chat);
    for (int logprobs = 0; logprobs < 2; logprobs++)
      make_plain(chat, logprobs);
  }
  for (size_t i = 0; i < MAX_PER_WRITE; i++)
    memcpy(block + i * events[true].len, events[true].data, events[true].len);
}

struct text text_head(bool chat) { return (struct text){heads[chat], head_lens[chat]}; }

struct text text_event(bool chat, uint64_t sent_ns, uint32_t number) {
  struct event *event = &events[chat];
  put_digits(event->data + event->stamp_at, sent_ns, STAMP_DIGITS);
  put_digits(event->data + event->number_at, number, NUMBER_DIGITS);
  return (struct text){event->data, event->len};
}

struct text text_first(bool chat, uint64_t sent_ns, uint64_t arrived_ns) {
  struct event *event = &firsts[chat];
  put_digits(event->data + event->stamp_at, sent_ns, STAMP_DIGITS);
  put_digits(event->data + event->arrived_at, arrived_ns, STAMP_DIGITS);
  return (struct text){event->data, event->len};
}

// Events that leave together have one stamp. At most MAX_PER_WRITE.
struct text text_block(uint32_t count, uint64_t sent_ns, uint32_t number) {
  const struct event *like = &events[true];
  char stamp[STAMP_DIGITS];
  put_digits(stamp, sent_ns, STAMP_DIGITS);
  for (size_t i = 0; i < count; i++) {
    char *event = block + i * like->len;
    memcpy(event + like->stamp_at, stamp, STAMP_DIGITS);
    put_digits(event + like->number_at, number + i, NUMBER_DIGITS);
  }
  return (struct text){block, count * like->len};
}

struct text text_end(bool chat, bool usage, uint32_t tokens) {
  const char *id = chat ? CHAT_ID ".chunk\"" : TEXT_ID, *nothing = chat ? "\"delta\":{\"content\":\"\"}" : "\"text\":\"\"";
  char json[512];
  print(json, sizeof json,
        "{%s,\"created\":1700000000,\"model\":\"%s\",\"choices\":[{\"index\":0,%s,\"logprobs\":null,"
        "\"finish_reason\":\"length\",\"stop_reason\":null}]}",
        id, model, nothing);
  size_t len = print_chunk(end_text, sizeof end_text, json);
  if (usage) {
    print(json, sizeof json,
          "{%s,\"created\":1700000000,\"model\":\"%s\",\"choices\":[],\"usage\":{\"prompt_tokens\":16,"
          "\"total_tokens\":%u,\"completion_tokens\":%u}}",
          id, model, 16 + tokens, tokens);
    len += print_chunk(end_text + len, sizeof end_text - len, json);
  }
  len += print_chunk(end_text + len, sizeof end_text - len, "[DONE]");
  len += print(end_text + len, sizeof end_text - len, "0\r\n\r\n");
  return (struct text){end_text, len};
}

struct text text_plain(bool chat, bool logprobs, uint64_t arrived_ns) {
  put_digits(plain[chat][logprobs] + plain_arrived_at, arrived_ns, STAMP_DIGITS);
  return (struct text){plain[chat][logprobs], plain_lens[chat][logprobs]};
}

struct text text_reply(int status, const char *type, const char *body) {
  size_t len = print(other, sizeof other, "HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\n\r\n%s", status,
                     status == 200 ? "OK" : "Bad Request", type, strlen(body), body);
  return (struct text){other, len};
}
