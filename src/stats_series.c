// SPDX-License-Identifier: Apache-2.0
// stats_series: slices of a running window, and repeated runs, see stats.h.
//
// Requests of one run share batches and queues, so they are not independent; slices of a run nearly are, once they
// are long enough, and runs are. Ratios are compared on the log scale: the caller takes logs and exponentials.

#include "stats_inner.h"

double ql_stats_autocorrelation(const double *values, size_t count) {
  double mean, variance, products = 0, squares = 0;
  ql_stats_moments(values, count, &mean, &variance);
  for (size_t i = 0; i < count; i++) {
    squares += square(values[i] - mean);
    if (i + 1 < count)
      products += (values[i] - mean) * (values[i + 1] - mean);
  }
  return squares > 0 ? products / squares : NAN;
}

int ql_stats_welch(const double *x, size_t x_count, const double *y, size_t y_count, double level,
                   struct ql_stats_t *out) {
  if (!is_level(level))
    return -1;
  double x_mean, y_mean, x_variance, y_variance;
  ql_stats_moments(x, x_count, &x_mean, &x_variance);
  ql_stats_moments(y, y_count, &y_mean, &y_variance);
  double x_part = x_variance / (double)x_count, y_part = y_variance / (double)y_count, both = x_part + y_part;
  out->n = (double)x_count + (double)y_count;
  out->mean = y_mean - x_mean;
  out->sd = NAN; // there are two
  out->se = sqrt(both);
  out->df = both > 0 ? square(both) / (square(x_part) / ((double)x_count - 1) + square(y_part) / ((double)y_count - 1))
                     : NAN;
  ql_stats_t_fill(out, level);
  return 0;
}
