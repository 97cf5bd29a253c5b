// SPDX-License-Identifier: Apache-2.0
// stats: see stats.h. This file has what every other statistic leans on: sorting and quantiles.
//
// It allocates nothing: a quantile wants its values sorted by the caller, because whoever asks for p50 asks for p99 next.

#include "stats.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

void ql_stats_sort(double *values, size_t count) {
  if (count > 1)
    qsort(values, count, sizeof *values, by_value);
}

double ql_stats_quantile_sorted(const double *sorted, size_t count, double q) {
  if (!count || !(q >= 0 && q <= 1))
    return NAN;
  double position = q * (double)(count - 1);
  size_t below = (size_t)position;
  if (below + 1 >= count)
    return sorted[count - 1];
  double share = position - (double)below;
  double low = sorted[below], high = sorted[below + 1];
  // Equal neighbours may be infinite, and an untouched lower one must not meet 0 * infinity.
  if (share <= 0 || low == high)
    return low;
  return low + share * (high - low);
}
