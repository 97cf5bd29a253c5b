// SPDX-License-Identifier: Apache-2.0
// text: width, case, folding and what is done with bytes that are no UTF-8.
#include "text.h"

#include "check.h"

#define LITERAL(text) text, sizeof(text) - 1

static void width_counts_terminal_columns(void) {
  CHECK_INT(ql_text_width(LITERAL("abc")), 3);
  CHECK_INT(ql_text_width(LITERAL("中文")), 4);
  CHECK_INT(ql_text_width(LITERAL("，。")), 4);
  CHECK_INT(ql_text_width(LITERAL("ａ")), 2);
  CHECK_INT(ql_text_width(LITERAL("e\xCC\x81")), 1); // combining acute
  CHECK_INT(ql_text_width(LITERAL("a\tb\n")), 2);
  CHECK_INT(ql_text_width(LITERAL("\xFF\xFE")), 2); // shown as two replacement characters
  CHECK_INT(ql_text_width(LITERAL("")), 0);
}

static void valid_names_the_first_bad_byte(void) {
  size_t at = 99;
  CHECK(ql_text_valid(LITERAL("中 é \xF0\x9F\x98\x80"), &at));
  CHECK(!ql_text_valid(LITERAL("ab\xFF"), &at));
  CHECK_INT(at, 2);
  CHECK(!ql_text_valid(LITERAL("\xC0\x80"), &at)); // overlong NUL
  CHECK_INT(at, 0);
  CHECK(!ql_text_valid(LITERAL("x\xED\xA0\x80"), &at)); // a surrogate
  CHECK_INT(at, 1);
  CHECK(!ql_text_valid(LITERAL("\xF4\x90\x80\x80"), &at)); // past U+10FFFF
  CHECK(!ql_text_valid(LITERAL("中\xE4\xB8"), &at));       // cut short
  CHECK_INT(at, 3);
}

static void check_repair(const char *text, size_t len, const char *want) {
  struct ql_buf out;
  ql_buf_init(&out, 0);
  ql_text_repair(text, len, &out);
  CHECK_STR(out.data, want);
  ql_buf_free(&out);
}

static void repair_replaces_each_damaged_character_once(void) {
  check_repair(LITERAL("fine 中"), "fine 中");
  check_repair(LITERAL("a\xE4\xB8z"), "a\xEF\xBF\xBDz");
  check_repair(LITERAL("\xFF\xFF"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  check_repair(LITERAL("\xF0\x9F\x98"), "\xEF\xBF\xBD");
  check_repair(LITERAL("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"); // as CPython counts them
  CHECK_INT(ql_text_chars(LITERAL("a\xE4\xB8z中")), 4);
}

static void check_case(const char *text, enum ql_case to, const char *want) {
  struct ql_buf out;
  ql_buf_init(&out, 0);
  CHECK(ql_text_case(text, strlen(text), to, &out));
  CHECK_STR(out.data, want);
  ql_buf_free(&out);
}

static void case_follows_unicode(void) {
  check_case("ÉCOLE Straße ΑΒΓ Жук", QL_CASE_LOWER, "école straße αβγ жук");
  check_case("école", QL_CASE_UPPER, "ÉCOLE");
  check_case("ǆ", QL_CASE_TITLE, "ǅ");
  check_case("A\xFFZ", QL_CASE_LOWER, "a\xFFz");
}

static void check_fold(const char *text, const char *want) {
  struct ql_buf out;
  struct ql_err err;
  ql_buf_init(&out, 0);
  CHECK_INT(ql_text_fold(text, strlen(text), &out, &err), 0);
  CHECK_STR(out.data, want);
  ql_buf_free(&out);
}

static void fold_is_nfkc(void) {
  check_fold("（Ａ）１８：", "(A)18:");
  check_fold("e\xCC\x81", "é");
  check_fold("ﬁ", "fi");
  check_fold("a\xFF", "a\xEF\xBF\xBD");
}

static void limits_are_kept(void) {
  struct ql_buf out;
  ql_buf_init(&out, 4);
  CHECK(!ql_text_case(LITERAL("abcdef"), QL_CASE_UPPER, &out));
  ql_buf_free(&out);
  ql_buf_init(&out, 4);
  struct ql_err err;
  CHECK_INT(ql_text_fold(LITERAL("abcdef"), &out, &err), -1);
  CHECK_INT(err.kind, QL_E_LIMIT);
  ql_buf_free(&out);
}

RUN(width_counts_terminal_columns, valid_names_the_first_bad_byte, repair_replaces_each_damaged_character_once,
    case_follows_unicode, fold_is_nfkc, limits_are_kept)
