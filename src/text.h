// SPDX-License-Identifier: Apache-2.0
// text: what Unicode knows about a string of bytes: validity, width, case, compatibility forms.
//
// Owns nothing; touches utf8proc only. Every function takes any bytes: a byte that is no UTF-8 counts
// as one character of width 1 and is passed on as it is, except by repair and fold, whose results are
// always valid. What counts as *one* bad piece is the longest prefix of a well-formed sequence, as in
// the Unicode Standard 3.9 (and as Python's "replace" does), so that counts agree across programs.
#ifndef QL_TEXT_H
#define QL_TEXT_H

#include "base.h"

// One step through bytes: returns how many belong together (0 at the end); *code is the code point, or -1
// when they are no UTF-8.
size_t ql_text_step(const char *text, size_t len, int32_t *code);

bool ql_text_valid(const char *text, size_t len, size_t *bad_at); // bad_at: offset of the first bad byte
size_t ql_text_chars(const char *text, size_t len);
size_t ql_text_width(const char *text, size_t len); // terminal columns: wide 2, combining and control 0

enum ql_case { QL_CASE_LOWER, QL_CASE_UPPER, QL_CASE_TITLE };
// Simple (one to one) case mapping of every code point.
bool ql_text_case(const char *text, size_t len, enum ql_case to, struct ql_buf *out);

bool ql_text_repair(const char *text, size_t len, struct ql_buf *out); // bad pieces become U+FFFD
int ql_text_fold(const char *text, size_t len, struct ql_buf *out, struct ql_err *err); // NFKC

#endif
