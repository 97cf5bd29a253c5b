// SPDX-License-Identifier: Apache-2.0
// stats: see stats.h. This file has what every other statistic leans on: sorting, quantiles, moments, Student's t.
//
// It allocates nothing: a quantile wants its values sorted by the caller, because whoever asks for p50 asks for p99
// next. Sums run twice, so that 1e9 + 0.5 is no worse than 0.5.

#include "stats_inner.h"

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

void ql_stats_moments(const double *values, size_t count, double *mean, double *variance) {
  *mean = *variance = NAN;
  if (!count)
    return;
  double n = (double)count, sum = 0, rest = 0, squares = 0;
  for (size_t i = 0; i < count; i++)
    sum += values[i];
  double centre = sum / n;
  for (size_t i = 0; i < count; i++)
    rest += values[i] - centre;
  centre += rest / n;
  for (size_t i = 0; i < count; i++)
    squares += square(values[i] - centre);
  *mean = centre;
  if (count > 1)
    *variance = squares / (n - 1);
}

void ql_stats_t_fill(struct ql_stats_t *out, double level) {
  out->t = out->p = out->lo = out->hi = NAN;
  if (!(out->se > 0) || !(out->df > 0))
    return;
  double half = ql_stats_t_two_sided(level, out->df) * out->se;
  out->t = out->mean / out->se;
  out->p = 2 * ql_stats_t_sf(fabs(out->t), out->df);
  out->lo = out->mean - half;
  out->hi = out->mean + half;
}

int ql_stats_t_test(const double *values, size_t count, double level, struct ql_stats_t *out) {
  if (!is_level(level))
    return -1;
  double variance;
  out->n = (double)count;
  ql_stats_moments(values, count, &out->mean, &variance);
  out->sd = sqrt(variance);
  out->se = sqrt(variance / out->n);
  out->df = count ? out->n - 1 : NAN;
  ql_stats_t_fill(out, level);
  return 0;
}

int ql_stats_paired_t(const double *baseline, const double *variant, size_t count, double level, double *difference,
                      struct ql_stats_t *out) {
  for (size_t i = 0; i < count; i++)
    difference[i] = variant[i] - baseline[i];
  return ql_stats_t_test(difference, count, level, out);
}

double ql_stats_bisect(double (*curve)(double x, const void *arg), const void *arg, double lo, double hi) {
  for (;;) {
    double middle = lo + 0.5 * (hi - lo);
    if (middle <= lo || middle >= hi)
      return middle;
    double at = curve(middle, arg);
    if (at == 0)
      return middle;
    if (at > 0)
      lo = middle;
    else
      hi = middle;
  }
}
