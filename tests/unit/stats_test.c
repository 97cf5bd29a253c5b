// SPDX-License-Identifier: Apache-2.0
#include "near.h"
#include "stats.h"

static void wilson_matches_published_limits(void) {
  double lo, hi;
  CHECK_INT(ql_stats_wilson(1, 10, 0.95, &lo, &hi), 0);
  CHECK_NEAR(lo, 0.017876213095072924, 1e-11);
  CHECK_NEAR(hi, 0.40415002679523837, 1e-11);
}

static void wilson_is_exact_at_both_ends(void) {
  double lo, hi, low, high;
  ql_stats_wilson(0, 10, 0.95, &lo, &hi);
  ql_stats_wilson(10, 10, 0.95, &low, &high);
  CHECK(lo == 0 && high == 1);
  CHECK_NEAR(hi, 1 - low, 1e-14);
  CHECK_INT(ql_stats_wilson(0, 0, 0.95, &lo, &hi), 0);
  CHECK(isnan(lo) && isnan(hi));
  CHECK_INT(ql_stats_wilson(2, 1, 0.95, &lo, &hi), -1);
  CHECK_INT(ql_stats_wilson(1, 2, 1, &lo, &hi), -1);
}

static void quantiles_interpolate_between_neighbours(void) {
  double values[] = {3, 1, 2};
  ql_stats_sort(values, 3);
  CHECK_NEAR(ql_stats_quantile_sorted(values, 3, 0.9), 2.8, 1e-15);
  CHECK(ql_stats_quantile_sorted(values, 3, 0) == 1);
  CHECK(ql_stats_quantile_sorted(values, 3, 1) == 3);
  CHECK(ql_stats_quantile_sorted(values, 1, 0.7) == 1);
  CHECK(isnan(ql_stats_quantile_sorted(values, 0, 0.5)));
}

RUN(wilson_matches_published_limits, wilson_is_exact_at_both_ends, quantiles_interpolate_between_neighbours)
