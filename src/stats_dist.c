// SPDX-License-Identifier: Apache-2.0
// stats_dist: distribution functions to near machine precision, see stats.h.
//
// Small probabilities are computed as such, never as 1 minus something near 1, and quantiles are polished
// against the very cdf of this file, so that cdf(quantile(p)) gives p back.

#include "stats.h"

#include <math.h>

static const double sqrt_half = 0.70710678118654752440;
static const double ln_sqrt_two_pi = 0.91893853320467274178;

double ql_stats_normal_cdf(double x) { return 0.5 * erfc(-x * sqrt_half); }
double ql_stats_normal_sf(double x) { return 0.5 * erfc(x * sqrt_half); }

// The middle: solve erf(x / sqrt 2) / 2 = p - 1/2, which keeps relative precision as x goes to 0.
static double quantile_middle(double from_half) {
  double x = from_half * 2.50662827463100050242;
  for (int i = 0; i < 8; i++) {
    double miss = 0.5 * erf(x * sqrt_half) - from_half;
    double step = miss * exp(0.5 * x * x + ln_sqrt_two_pi);
    step /= 1 + 0.5 * x * step;
    x -= step;
    if (fabs(step) <= 1e-16 * fabs(x))
      break;
  }
  return x;
}

// The upper tail for 0 < p < 1/2: the start is Abramowitz & Stegun 26.2.23 (4.5e-4), then Halley's steps on the
// relative miss Q(x)/p - 1, which neither overflows nor vanishes where p is 1e-300.
static double quantile_tail(double p) {
  double t = sqrt(-2 * log(p));
  double x = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int i = 0; i < 6; i++) {
    double miss = ql_stats_normal_sf(x) / p - 1;
    double step = miss * exp(log(p) + 0.5 * x * x + ln_sqrt_two_pi);
    step /= 1 - 0.5 * x * step;
    x += step;
    if (fabs(step) <= 1e-16 * x)
      break;
  }
  return x;
}

double ql_stats_normal_quantile(double p) {
  if (!(p >= 0 && p <= 1))
    return NAN;
  if (p <= 0 || p >= 1)
    return p > 0 ? INFINITY : -INFINITY;
  if (fabs(p - 0.5) < 0.3)
    return quantile_middle(p - 0.5);
  return p < 0.5 ? -quantile_tail(p) : quantile_tail(1 - p);
}

double ql_stats_normal_two_sided(double level) {
  if (!(level > 0 && level < 1))
    return NAN;
  return -ql_stats_normal_quantile(0.5 * (1 - level));
}
