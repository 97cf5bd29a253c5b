// SPDX-License-Identifier: Apache-2.0
// mock: an OpenAI server that does nothing but send on time, so that a client is what a bench measures.
//
// mock.c       the loop: connections, the heap of what is due, the sends
// mock_ask.c   a request's head and body → its plan
// mock_text.c  the bytes of every reply, made once; events differ only in their digits
// mock_echo.c  the reply that has the prompt's log-probabilities
// mock_log.c   when what was planned and sent
#ifndef MOCK_H
#define MOCK_H

#include "wire.h"

enum mode {
  MODE_PACED,    // a token every 1/rate s, by an absolute schedule
  MODE_FLOOD,    // many events to a write, as fast as the client takes them
  MODE_PLAIN,    // one JSON body
  MODE_STATS,    // the mock's own counters
  MODE_RESET,    // counters to zero
  MODE_MODELS,
  MODE_METRICS,
  MODE_OK,       // /health
  MODE_REFUSED,  // the request is wrong; refusal says why
};

// What a request asks for: the command line's, changed by the path's query, changed by the body.
struct plan {
  enum mode mode;
  double rate;         // tokens per second and stream
  uint32_t tokens;     // 0: the body's max_tokens, else 128
  uint64_t first_ns;   // from the request's arrival to its first token
  uint32_t gate;       // hold streams until so many wait, then let them go together
  uint32_t per_write;  // flood: events to a write
  bool spread;         // phases spread over a period; else all streams share the ticks of one grid
  bool flood;          // mode=flood was asked for
  bool plain;          // a plain reply even to "stream": true
  bool chat;           // chat chunks, else text completion chunks
  bool logprobs;       // plain: with the candidates of one token
  bool usage;          // a last event with the counts
  const char *echo;    // plain: the prompt that comes back with log-probabilities, as it stands in the body
  size_t echo_len;
  const char *refusal;
};

#define MAX_PER_WRITE 256

// mock_ask.c
bool plan_set(struct plan *plan, const char *key, size_t key_len, const char *value, size_t len);
// Bytes of the first request in data, 0 while it is not whole; its plan begins as a copy of defaults.
size_t read_request(const char *data, size_t len, const struct plan *defaults, struct plan *plan);

// mock_text.c
struct text {
  const char *data;
  size_t len;
};
void text_open(const char *model);
struct text text_head(bool chat);                                     // head of a stream's reply, with the role's event
struct text text_event(bool chat, uint64_t sent_ns, uint32_t number); // one chunk, in place
struct text text_first(bool chat, uint64_t sent_ns, uint64_t arrived_ns); // chunk 0: says when the request arrived
struct text text_block(uint32_t count, uint64_t sent_ns, uint32_t number);
struct text text_end(bool chat, bool usage, uint32_t tokens);
struct text text_plain(bool chat, bool logprobs, uint64_t arrived_ns); // says it in the header x-arrived-ns
struct text text_reply(int status, const char *type, const char *body); // any other

// mock_echo.c
struct text echo_reply(const char *prompt, size_t len, bool top); // data NULL: the prompt is empty or too long

// mock_log.c
#define LOG_ARRIVAL UINT32_MAX // as the number: the request arrived
void log_open(const char *path);
void log_note(uint32_t stream, uint64_t planned_ns, uint64_t at_ns, uint32_t number); // nothing without log_open
void log_write(void);

#endif
