// SPDX-License-Identifier: Apache-2.0
// stats_power: what a number of questions can show, before they are asked, see stats.h.
//
// All in the normal approximation of a mean of paired differences; var_d is the variance of one difference, which for
// right-or-wrong answers is flips - difference^2, nearly the flip rate itself. delta is the distance to be shown: the
// margin less the true difference.

#include "stats_inner.h"

static double both_z(double alpha, double power) {
  if (!is_level(alpha) || !is_level(power))
    return NAN;
  return ql_stats_normal_quantile(power) - ql_stats_normal_quantile(alpha);
}

double ql_stats_sample_size(double delta, double var_d, double alpha, double power) {
  double z = both_z(alpha, power);
  if (!(var_d >= 0) || !(delta > 0) || !(z > 0))
    return NAN;
  return square(z / delta) * var_d;
}

double ql_stats_detectable(double n, double var_d, double alpha, double power) {
  double z = both_z(alpha, power);
  if (!(var_d >= 0) || !(n > 0) || !(z > 0))
    return NAN;
  return z * sqrt(var_d / n);
}

double ql_stats_power(double n, double delta, double var_d, double alpha) {
  if (!(n > 0) || !(var_d > 0) || isnan(delta) || !is_level(alpha))
    return NAN;
  return ql_stats_normal_cdf(delta / sqrt(var_d / n) + ql_stats_normal_quantile(alpha));
}
