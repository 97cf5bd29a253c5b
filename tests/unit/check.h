// SPDX-License-Identifier: Apache-2.0
// check: the few macros the C unit tests need. A test file has static void functions and ends with
// RUN(first, second, …). Each failure prints file, line and both values; the closing line counts.
// A check is an expression the optimizer cannot drop, since its result is counted.
#ifndef QL_CHECK_H
#define QL_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int check_failures;
static int check_count;

#define CHECK(condition)                                                                             \
  do {                                                                                               \
    check_count++;                                                                                   \
    if (!(condition)) {                                                                              \
      check_failures++;                                                                              \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                      \
    }                                                                                                \
  } while (0)

#define CHECK_INT(got, want)                                                                         \
  do {                                                                                               \
    check_count++;                                                                                   \
    int64_t got_ = (int64_t)(got), want_ = (int64_t)(want);                                          \
    if (got_ != want_) {                                                                             \
      check_failures++;                                                                              \
      fprintf(stderr, "%s:%d: %s: want %" PRId64 ", got %" PRId64 "\n", __FILE__, __LINE__, #got,    \
              want_, got_);                                                                          \
    }                                                                                                \
  } while (0)

#define CHECK_STR(got, want)                                                                         \
  do {                                                                                               \
    check_count++;                                                                                   \
    const char *got_ = (got), *want_ = (want);                                                       \
    if (!got_ || strcmp(got_, want_) != 0) {                                                         \
      check_failures++;                                                                              \
      fprintf(stderr, "%s:%d: %s: want \"%s\", got \"%s\"\n", __FILE__, __LINE__, #got, want_,       \
              got_ ? got_ : "(null)");                                                               \
    }                                                                                                \
  } while (0)

typedef void (*check_test)(void);

static int check_main(const char *file, const check_test *tests, size_t count) {
  int failed_tests = 0;
  for (size_t i = 0; i < count; i++) {
    int before = check_failures;
    tests[i]();
    failed_tests += check_failures > before;
  }
  printf("%s: %d checks\n%zu passed, %d failed\n", file, check_count, count - (size_t)failed_tests,
         failed_tests);
  return check_failures ? 1 : 0;
}

#define RUN(...)                                                                                     \
  int main(void) {                                                                                   \
    static const check_test tests[] = {__VA_ARGS__};                                                 \
    return check_main(__FILE__, tests, sizeof tests / sizeof tests[0]);                              \
  }

#endif
