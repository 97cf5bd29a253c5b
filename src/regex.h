// SPDX-License-Identifier: Apache-2.0
// regex: PCRE2 patterns over UTF-8, matched with Python's rules for repeated matches, and bounded.
//
// Owns compiled patterns; touches libpcre2 only. Patterns come from scripts and configurations and meet
// whatever a model wrote, so no match may hang or overflow a stack: PCRE2's own match, depth and heap
// limits bound one starting position, and a budget of CPU time bounds the whole call, since those limits
// start afresh at every position. Not thread-safe: one pattern is used by one thread at a time.
#ifndef QL_REGEX_H
#define QL_REGEX_H

#include "base.h"

struct ql_regex;

// flags: any of i (ignore case), m (multi-line), s (dot matches newline), x (extended), a (ASCII classes).
struct ql_regex *ql_regex_new(const char *pattern, size_t len, const char *flags, struct ql_err *err);
void ql_regex_free(struct ql_regex *regex);
unsigned ql_regex_groups(const struct ql_regex *regex); // capture groups, not counting the whole match

// A walk through all matches as Python's finditer takes it: matches do not overlap, an empty match is not
// taken twice at one place but may follow a match directly.
struct ql_regex_walk {
  const char *text;
  size_t len;
  size_t at;
  bool was_empty;
  uint64_t deadline_ns; // of this thread's CPU time
};
void ql_regex_walk(struct ql_regex_walk *walk, const char *text, size_t len, size_t from);
// 1 a match, 0 no more, -1 and err of kind limit when it takes too much.
int ql_regex_next(struct ql_regex *regex, struct ql_regex_walk *walk, struct ql_err *err);
// Group 0 is the whole match; false when the group took no part in the last match.
bool ql_regex_span(const struct ql_regex *regex, unsigned group, size_t *from, size_t *to);

#endif
