// SPDX-License-Identifier: Apache-2.0
// regex: see regex.h.
//
// A search runs in windows of starting positions (PCRE2_USE_OFFSET_LIMIT) that grow while that is
// quick; between two windows the CPU clock is read. Lookbehind still sees the whole text, as only the
// starting position is limited. Bytes that are no UTF-8 match nothing (PCRE2_MATCH_INVALID_UTF).
#include "regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEPS_PER_START 2000000u // of PCRE2's internal match(); some tens of milliseconds
#define DEPTH_LIMIT 200000u
#define HEAP_LIMIT_KIB 65536u
#define PATTERN_MAX_BYTES 65536u
#define CPU_BUDGET_NS (2u * 1000000000ull)
#define WINDOW_NS 20000000u // between two looks at the clock, roughly
#define FIRST_WINDOW 256u
#define JIT_STACK_MAX_BYTES (8u << 20)

struct ql_regex {
  pcre2_code *code;
  pcre2_match_data *match;
  pcre2_match_context *context;
  pcre2_jit_stack *jit_stack;
  unsigned groups;
  bool one_window; // \G means "where the search began", which a window would move
};

static int parse_flags(const char *flags, uint32_t *options, struct ql_err *err) {
  *options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;
  for (const char *flag = flags ? flags : ""; *flag; flag++) {
    switch (*flag) {
    case 'i': *options |= PCRE2_CASELESS; break;
    case 'm': *options |= PCRE2_MULTILINE; break;
    case 's': *options |= PCRE2_DOTALL; break;
    case 'x': *options |= PCRE2_EXTENDED; break;
    case 'a': *options &= ~PCRE2_UCP; break;
    default: return ql_fail(err, QL_E_SCRIPT, "regex: want flags from \"imsxa\", got \"%s\"", flags);
    }
  }
  return 0;
}

static pcre2_code *compile(const char *pattern, size_t len, uint32_t options, struct ql_err *err) {
  pcre2_compile_context *context = pcre2_compile_context_create(NULL);
  if (!context) {
    ql_fail(err, QL_E_INTERNAL, "regex: no memory");
    return NULL;
  }
  pcre2_set_newline(context, PCRE2_NEWLINE_LF); // Python's; the library's default is its packager's choice
  pcre2_set_max_pattern_length(context, PATTERN_MAX_BYTES);
  int code;
  PCRE2_SIZE at;
  pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern, len, options, &code, &at, context);
  pcre2_compile_context_free(context);
  if (!compiled) {
    char why[160] = "unknown error";
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    ql_fail(err, QL_E_SCRIPT, "regex \"%.*s\": character %zu: %s", (int)(len < 200 ? len : 200), pattern, (size_t)at + 1,
            why);
  }
  return compiled;
}

// JIT is an optimization: where the machine forbids executable memory, the interpreter does the same work.
static void use_jit(struct ql_regex *regex) {
  if (pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE) != 0)
    return;
  regex->jit_stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK_MAX_BYTES, NULL);
  if (regex->jit_stack)
    pcre2_jit_stack_assign(regex->context, NULL, regex->jit_stack);
}

struct ql_regex *ql_regex_new(const char *pattern, size_t len, const char *flags, struct ql_err *err) {
  uint32_t options;
  if (parse_flags(flags, &options, err) < 0)
    return NULL;
  pcre2_code *code = compile(pattern, len, options, err);
  if (!code)
    return NULL;
  struct ql_regex *regex = ql_calloc(1, sizeof *regex);
  regex->code = code;
  regex->match = pcre2_match_data_create_from_pattern(code, NULL);
  regex->context = pcre2_match_context_create(NULL);
  if (!regex->match || !regex->context) {
    ql_regex_free(regex);
    ql_fail(err, QL_E_INTERNAL, "regex: no memory");
    return NULL;
  }
  pcre2_set_match_limit(regex->context, STEPS_PER_START);
  pcre2_set_depth_limit(regex->context, DEPTH_LIMIT);
  pcre2_set_heap_limit(regex->context, HEAP_LIMIT_KIB);
  uint32_t groups = 0;
  pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
  regex->groups = groups;
  regex->one_window = len >= 2 && memmem(pattern, len, "\\G", 2) != NULL;
  use_jit(regex);
  return regex;
}

void ql_regex_free(struct ql_regex *regex) {
  if (!regex)
    return;
  pcre2_match_data_free(regex->match);
  pcre2_match_context_free(regex->context);
  pcre2_jit_stack_free(regex->jit_stack);
  pcre2_code_free(regex->code);
  free(regex);
}

unsigned ql_regex_groups(const struct ql_regex *regex) { return regex->groups; }

// The thread's own time: a busy machine must not turn a good pattern into an error.
static uint64_t cpu_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static int fail_match(int rc, struct ql_err *err) {
  if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT ||
      rc == PCRE2_ERROR_JIT_STACKLIMIT || rc == PCRE2_ERROR_RECURSELOOP) {
    ql_fail(err, QL_E_LIMIT, "regex takes too many steps on this text");
    return ql_hint(err, "nested repeats such as (a+)+ try every split: make them atomic, (?>a+)+");
  }
  char why[160] = "unknown error";
  pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
  return ql_fail(err, QL_E_INTERNAL, "regex: %s", why);
}

// The first match that starts at `at` or later.
static int search(struct ql_regex *regex, const struct ql_regex_walk *walk, uint32_t options, struct ql_err *err) {
  size_t window = regex->one_window ? walk->len + 1 : FIRST_WINDOW;
  size_t at = walk->at;
  uint64_t looked_ns = cpu_ns();
  if (looked_ns > walk->deadline_ns) // many matches, each costly, in one walk
    return fail_match(PCRE2_ERROR_MATCHLIMIT, err);
  for (;;) {
    size_t last = walk->len - at < window ? walk->len : at + window - 1;
    pcre2_set_offset_limit(regex->context, last);
    int rc = pcre2_match(regex->code, (PCRE2_SPTR)walk->text, walk->len, at, options, regex->match, regex->context);
    if (rc >= 0)
      return 1;
    if (rc != PCRE2_ERROR_NOMATCH)
      return fail_match(rc, err);
    if (last == walk->len)
      return 0;
    uint64_t now_ns = cpu_ns();
    if (now_ns > walk->deadline_ns)
      return fail_match(PCRE2_ERROR_MATCHLIMIT, err);
    at = last + 1;
    while (at < walk->len && ((unsigned char)walk->text[at] & 0xC0) == 0x80)
      at++; // never start inside a character
    window = now_ns - looked_ns < WINDOW_NS ? window * 2 : window / 2 + 1;
    looked_ns = now_ns;
    options &= ~(uint32_t)PCRE2_NOTEMPTY_ATSTART;
  }
}

void ql_regex_walk(struct ql_regex_walk *walk, const char *text, size_t len, size_t from) {
  *walk = (struct ql_regex_walk){.text = text, .len = len, .at = from, .deadline_ns = cpu_ns() + CPU_BUDGET_NS};
}

int ql_regex_next(struct ql_regex *regex, struct ql_regex_walk *walk, struct ql_err *err) {
  if (walk->at > walk->len)
    return 0;
  int rc = search(regex, walk, walk->was_empty ? PCRE2_NOTEMPTY_ATSTART : 0, err);
  if (rc <= 0)
    return rc;
  size_t from = 0, to = 0;
  ql_regex_span(regex, 0, &from, &to);
  if (to < walk->at || from > to) // only \K inside a lookahead can do that; never walk backwards
    return ql_fail(err, QL_E_SCRIPT, "regex matches backwards: \\K in a lookaround");
  walk->at = to;
  walk->was_empty = from == to;
  return 1;
}

bool ql_regex_span(const struct ql_regex *regex, unsigned group, size_t *from, size_t *to) {
  const PCRE2_SIZE *vector = pcre2_get_ovector_pointer(regex->match);
  if (group >= pcre2_get_ovector_count(regex->match) || vector[2 * group] == PCRE2_UNSET)
    return false;
  *from = vector[2 * group];
  *to = vector[2 * group + 1];
  return true;
}
