// SPDX-License-Identifier: Apache-2.0
// stats_prop: intervals for one proportion, see stats.h.
//
// Wilson is the one to print; Clopper-Pearson is for whoever must not be below the level, and wider for it.

#include "stats_inner.h"

// Counts may be fractions here: a mean score of 0.37 over 10 questions has a Wilson interval too.
int ql_stats_wilson(double k, double n, double level, double *lo, double *hi) {
  if (!is_level(level) || !(k >= 0 && k <= n) || isinf(n))
    return -1;
  if (n <= 0) {
    *lo = *hi = NAN;
    return 0;
  }
  double z = ql_stats_normal_two_sided(level), share = k / n, zz_n = z * z / n;
  double centre = (share + 0.5 * zz_n) / (1 + zz_n);
  double half = z / (1 + zz_n) * sqrt(share * (1 - share) / n + 0.25 * zz_n / n);
  *lo = k <= 0 ? 0 : fmax(0, centre - half);
  *hi = k >= n ? 1 : fmin(1, centre + half);
  return 0;
}

int ql_stats_clopper_pearson(double k, double n, double level, double *lo, double *hi) {
  if (!is_level(level) || !is_count(n) || !is_count(k) || k > n)
    return -1;
  if (n <= 0) {
    *lo = *hi = NAN;
    return 0;
  }
  double tail = 0.5 * (1 - level);
  *lo = k <= 0 ? 0 : ql_stats_beta_quantile(tail, k, n - k + 1);
  *hi = k >= n ? 1 : ql_stats_beta_quantile_upper(tail, k + 1, n - k);
  return 0;
}
