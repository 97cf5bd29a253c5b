// SPDX-License-Identifier: Apache-2.0
// The heap of moments, the mapping between clocks, and the histogram of delays.
#include "check.h"
#include "http_alarm.h"
#include "http_clock.h"

#include <stdlib.h>

static void alarms_come_in_order(void) {
  enum { COUNT = 1000 };
  static struct ql_http_alarm list[COUNT];
  static uint64_t due_ns[COUNT];
  struct ql_http_alarms alarms = {0};
  uint64_t seed = 1, last_ns = 0;
  size_t come = 0, cleared = 0;
  CHECK(ql_http_alarm_next(&alarms) == UINT64_MAX);
  for (int turn = 0; turn < 3; turn++)
    for (size_t i = 0; i < COUNT; i++) { // set, and set anew
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      due_ns[i] = seed >> 44;
      ql_http_alarm_set(&alarms, &list[i], due_ns[i]);
    }
  for (size_t i = 0; i < COUNT; i += 7, cleared++)
    ql_http_alarm_clear(&alarms, &list[i]);
  ql_http_alarm_clear(&alarms, &list[0]); // again
  CHECK(!ql_http_alarm_due(&alarms, ql_http_alarm_next(&alarms) - 1));
  for (struct ql_http_alarm *alarm; (alarm = ql_http_alarm_due(&alarms, UINT64_MAX)); come++) {
    size_t index = (size_t)(alarm - list);
    CHECK(index % 7 != 0);
    CHECK(due_ns[index] >= last_ns);
    CHECK_INT(alarm->place, 0);
    last_ns = due_ns[index];
  }
  CHECK_INT(come, COUNT - cleared);
  ql_http_alarms_free(&alarms);
}

static void a_wall_stamp_becomes_a_monotonic_one(void) {
  struct ql_http_clock clock = {0};
  uint64_t now_ns = ql_now_ns();
  CHECK(ql_http_clock_renew(&clock, now_ns));
  CHECK(!ql_http_clock_renew(&clock, now_ns + 999999999));
  CHECK_INT(clock.steps, 0);
  for (int i = 0; i < 100; i++) {
    uint64_t before_ns = ql_now_ns(), wall_ns = ql_wall_ns(), after_ns = ql_now_ns();
    uint64_t at_ns = ql_http_clock_map(&clock, wall_ns, before_ns, after_ns);
    CHECK(at_ns >= before_ns && at_ns <= after_ns);
  }
  uint64_t base_ns = now_ns + (uint64_t)clock.offset_ns;
  CHECK_INT(ql_http_clock_map(&clock, base_ns, now_ns, now_ns), now_ns);
  CHECK_INT(ql_http_clock_map(&clock, base_ns + clock.error_ns, now_ns, now_ns), now_ns);
  CHECK_INT(ql_http_clock_map(&clock, base_ns + clock.error_ns + 1, now_ns, now_ns), 0);
  CHECK_INT(ql_http_clock_map(&clock, base_ns - clock.error_ns, now_ns, now_ns), now_ns);
  CHECK_INT(ql_http_clock_map(&clock, base_ns - clock.error_ns - 1, now_ns, now_ns), 0);
}

static void a_step_of_the_wall_clock_is_counted(void) {
  struct ql_http_clock clock = {0};
  uint64_t now_ns = ql_now_ns();
  ql_http_clock_renew(&clock, now_ns);
  clock.offset_ns += 1000000000; // as if somebody had set it back by a second since
  CHECK(ql_http_clock_renew(&clock, now_ns + 1000000000));
  CHECK_INT(clock.steps, 1);
}

static size_t bin_with(const struct ql_http_hist *hist) {
  for (size_t i = 0; i < QL_HTTP_HIST_BINS; i++)
    if (atomic_load(&hist->bins[i]))
      return i;
  return SIZE_MAX;
}

static void bins_are_an_eighth_of_a_power_of_two(void) {
  static const uint64_t values[] = {0, 1, 15, 16, 17, 18, 31, 32, 100, 1000, 4095, 4096, 123456789, (UINT64_C(1) << 40) + 5};
  for (size_t i = 0; i < QL_LEN(values); i++) {
    struct ql_http_hist hist = {0};
    ql_http_hist_add(&hist, values[i]);
    uint64_t end_ns = ql_http_hist_bin_end(bin_with(&hist));
    CHECK(end_ns >= values[i] && end_ns - values[i] <= values[i] / 8);
    CHECK(hist.max_ns == values[i]);
  }
  struct ql_http_hist hist = {0};
  ql_http_hist_add(&hist, UINT64_MAX);
  CHECK_INT(bin_with(&hist), QL_HTTP_HIST_BINS - 1);
  for (size_t bin = 1; bin < QL_HTTP_HIST_BINS; bin++)
    CHECK(ql_http_hist_bin_end(bin) > ql_http_hist_bin_end(bin - 1));
}

RUN(alarms_come_in_order, a_wall_stamp_becomes_a_monotonic_one, a_step_of_the_wall_clock_is_counted,
    bins_are_an_eighth_of_a_power_of_two)
