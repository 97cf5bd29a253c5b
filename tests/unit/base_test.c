// SPDX-License-Identifier: Apache-2.0
#include "base.h"
#include "check.h"

#include <stdlib.h>

static void buffer_keeps_its_limit(void) {
  struct ql_buf buf;
  ql_buf_init(&buf, 8);
  CHECK(ql_buf_adds(&buf, "12345678"));
  CHECK(!ql_buf_adds(&buf, "9"));
  CHECK(!ql_buf_addf(&buf, "%d", 9));
  CHECK_STR(buf.data, "12345678");
  ql_buf_drop(&buf, 3);
  CHECK_STR(buf.data, "45678");
  ql_buf_drop(&buf, 100);
  CHECK_INT(buf.len, 0);
  ql_buf_free(&buf);
}

static void buffer_holds_any_byte(void) {
  struct ql_buf buf;
  ql_buf_init(&buf, 0);
  for (int i = 0; i < 1000; i++)
    CHECK(ql_buf_add(&buf, "a\0b", 3));
  CHECK_INT(buf.len, 3000);
  size_t len = 0;
  char *taken = ql_buf_take(&buf, &len);
  CHECK_INT(len, 3000);
  CHECK(memcmp(taken + 2997, "a\0b", 4) == 0);
  free(taken);
  CHECK(buf.data == NULL);
}

static void an_empty_take_is_an_empty_string(void) {
  struct ql_buf buf;
  ql_buf_init(&buf, 0);
  char *taken = ql_buf_take(&buf, NULL);
  CHECK_STR(taken, "");
  free(taken);
}

static void errors_carry_kind_text_and_hint(void) {
  struct ql_err err = {0};
  CHECK_INT(ql_fail(&err, QL_E_DATA, "row %d is bad", 517), -1);
  CHECK_STR(err.text, "row 517 is bad");
  CHECK_STR(err.hint, "");
  ql_hint(&err, "see %s", "line 3");
  CHECK_STR(err.hint, "see line 3");
  CHECK_STR(ql_kind_name(err.kind), "data");
  CHECK_INT(ql_fail(NULL, QL_E_DATA, "nobody listens"), -1);
}

static void the_clock_does_not_go_back(void) {
  uint64_t before = ql_now_ns();
  CHECK(ql_now_ns() >= before);
  CHECK(ql_wall_ns() > 1700000000ull * 1000000000ull);
}

RUN(buffer_keeps_its_limit, buffer_holds_any_byte, an_empty_take_is_an_empty_string, errors_carry_kind_text_and_hint,
    the_clock_does_not_go_back)
