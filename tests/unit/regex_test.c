// SPDX-License-Identifier: Apache-2.0
// regex: repeated matches as Python's re walks them (the wanted spans are CPython's), and that nothing hangs.
#include "regex.h"

#include "check.h"

#include <stdlib.h>

// All matches as "from-to from-to", 0-based and end exclusive like Python's span().
static void check_walk(const char *pattern, const char *flags, const char *text, const char *want) {
  struct ql_err err = {0};
  struct ql_regex *regex = ql_regex_new(pattern, strlen(pattern), flags, &err);
  CHECK_STR(err.text, "");
  CHECK(regex != NULL);
  if (!regex)
    return;
  struct ql_regex_walk walk;
  struct ql_buf spans;
  ql_buf_init(&spans, 0);
  ql_buf_adds(&spans, "");
  ql_regex_walk(&walk, text, strlen(text), 0);
  size_t from = 0, to = 0;
  while (ql_regex_next(regex, &walk, &err) > 0) {
    CHECK(ql_regex_span(regex, 0, &from, &to));
    ql_buf_addf(&spans, "%s%zu-%zu", spans.len ? " " : "", from, to);
  }
  CHECK_STR(spans.data, want);
  ql_buf_free(&spans);
  ql_regex_free(regex);
}

static void empty_matches_as_python_takes_them(void) {
  check_walk("x*", "", "abxd", "0-0 1-1 2-3 3-3 4-4");
  check_walk("a|", "", "aab", "0-1 1-2 2-2 3-3");
  check_walk("\\b|:+", "", "a::bc", "0-0 1-1 1-3 3-3 5-5");
  check_walk("", "", "", "0-0");
  check_walk("", "", "中", "0-0 3-3"); // by characters, never inside one
}

static void classes_and_flags(void) {
  check_walk("#### (\\-?[0-9\\.\\,]+)", "", "x #### 18.\n#### 5", "2-10 11-17");
  check_walk("^b$", "", "a\nb\n", "");
  check_walk("^b$", "m", "a\nb\n", "2-3");
  check_walk("b$", "", "ab\n", "1-2");
  check_walk("a.b", "", "a\nb", "");
  check_walk("a.b", "s", "a\nb", "0-3");
  check_walk("A", "i", "aA", "0-1 1-2");
  check_walk("\\d+", "", "１８", "0-6");
  check_walk("\\d+", "a", "１８", "");
}

static void bytes_that_are_no_utf8_match_nothing(void) {
  check_walk("\\w", "", "a\xFF" "b", "0-1 2-3");
  check_walk(".", "", "\xE4\xB8", "");
}

static void groups_may_be_unset(void) {
  struct ql_err err;
  struct ql_regex *regex = ql_regex_new("(a)|(b)", 7, "", &err);
  struct ql_regex_walk walk;
  ql_regex_walk(&walk, "b", 1, 0);
  CHECK_INT(ql_regex_next(regex, &walk, &err), 1);
  size_t from = 9, to = 9;
  CHECK(!ql_regex_span(regex, 1, &from, &to));
  CHECK(ql_regex_span(regex, 2, &from, &to));
  CHECK_INT(from, 0);
  CHECK(!ql_regex_span(regex, 3, &from, &to));
  CHECK_INT(ql_regex_groups(regex), 2);
  ql_regex_free(regex);
}

static void bad_patterns_are_named(void) {
  struct ql_err err;
  CHECK(ql_regex_new("a(", 2, "", &err) == NULL);
  CHECK_INT(err.kind, QL_E_SCRIPT);
  CHECK(strstr(err.text, "regex \"a(\": character 3: missing closing parenthesis") != NULL);
  CHECK(ql_regex_new("a", 1, "q", &err) == NULL);
  CHECK(strstr(err.text, "got \"q\"") != NULL);
}

static void check_limit(const char *pattern, const char *text, size_t len) {
  struct ql_err err = {0};
  struct ql_regex *regex = ql_regex_new(pattern, strlen(pattern), "", &err);
  struct ql_regex_walk walk;
  ql_regex_walk(&walk, text, len, 0);
  CHECK_INT(ql_regex_next(regex, &walk, &err), -1);
  CHECK_INT(err.kind, QL_E_LIMIT);
  CHECK(err.hint[0] != '\0');
  ql_regex_free(regex);
}

static void no_pattern_hangs(void) {
  check_limit("(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 45);
  size_t len = 1 << 20;
  char *text = malloc(len);
  memset(text, 'a', len);
  check_limit("(?:a|b)*x", text, len);
  // Cheap at each start but tried from a million of them: only the budget of CPU time ends this one.
  for (size_t at = 0; at < len; at += 2)
    text[at] = 'x';
  check_limit("x(?=[ax]*+[cd])", text, len);
  free(text);
}

static void long_texts_are_searched_to_the_end(void) {
  size_t len = 1 << 20;
  char *text = malloc(len + 1);
  memset(text, ' ', len);
  text[len] = '\0';
  memcpy(text + len - 2, "18", 2);
  memcpy(text + 255, "é", 2); // across the edge of the first window
  check_walk("\\d+", "", text, "1048574-1048576");
  check_walk("é", "", text, "255-257");
  check_walk("(?<=é) +", "", text, "257-1048574");
  free(text);
}

RUN(empty_matches_as_python_takes_them, classes_and_flags, bytes_that_are_no_utf8_match_nothing, groups_may_be_unset,
    bad_patterns_are_named, no_pattern_hangs, long_texts_are_searched_to_the_end)
