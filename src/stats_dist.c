// SPDX-License-Identifier: Apache-2.0
// stats_dist: normal, Student, beta and binomial distributions to near machine precision, see stats.h.
//
// Everything but the normal is one function: the incomplete beta function, a continued fraction times a density.
// The density is written as a saddle point (Loader 2000), because lgamma-based forms lose a digit for each power of
// ten of n. Small probabilities are computed as such, never as 1 minus something near 1: each function has its
// complement, and x travels together with 1 - x.

#include "stats_inner.h"

static const double sqrt_half = 0.70710678118654752440;
static const double ln_sqrt_two_pi = 0.91893853320467274178;
static const double two_pi = 6.28318530717958647693;

// ---- normal ------------------------------------------------------------------------------------------

double ql_stats_normal_cdf(double x) { return 0.5 * erfc(-x * sqrt_half); }
double ql_stats_normal_sf(double x) { return 0.5 * erfc(x * sqrt_half); }

// The middle: solve erf(x / sqrt 2) / 2 = p - 1/2, which keeps relative precision as x goes to 0.
static double normal_middle(double from_half) {
  double x = from_half * sqrt(two_pi);
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
static double normal_tail(double p) {
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
    return normal_middle(p - 0.5);
  return p < 0.5 ? -normal_tail(p) : normal_tail(1 - p);
}

double ql_stats_normal_two_sided(double level) {
  return is_level(level) ? -ql_stats_normal_quantile(0.5 * (1 - level)) : NAN;
}

// ---- the binomial density for real arguments ---------------------------------------------------------

// ln Gamma(n + 1) less Stirling's formula. Below 16 it climbs by the recurrence, above the series is exact.
static double stirling_error(double n) {
  double sum = 0;
  while (n < 16) {
    sum += (n + 0.5) * log1p(1 / n) - 1;
    n++;
  }
  double r = 1 / (n * n);
  double late = 1.0 / 1680 - r * (1.0 / 1188 - r * 691.0 / 360360);
  double series = 1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * late));
  return sum + series / n;
}

// x ln(x/m) + m - x, without the cancellation near x = m.
static double deviance(double x, double m) {
  double v = (x - m) / (x + m);
  if (fabs(v) > 0.1)
    return x * log(x / m) + m - x;
  double power = v * v * v, sum = 0;
  for (double i = 3;; i += 2) {
    double next = sum + power / i;
    if (next == sum)
      break;
    sum = next;
    power *= v * v;
  }
  return v * (x - m) + 2 * x * sum;
}

// Gamma(a+b+1) / (Gamma(a+1) Gamma(b+1)) x^a y^b for a, b > 0 and x + y = 1.
static double density(double a, double b, double x, double y) {
  double n = a + b;
  double stirling = stirling_error(n) - stirling_error(a) - stirling_error(b);
  return exp(stirling - deviance(a, n * x) - deviance(b, n * y)) * sqrt(n / (two_pi * a * b));
}

// ---- incomplete beta ---------------------------------------------------------------------------------

// Didonato and Morris 1992, equation 9, by Lentz's method, for x up to the mean a/(a+b). It takes y as well as x:
// the older fraction of DLMF 8.17.22 starts with 1 - (a+b)x/(a+1), which is all rounding when b is 1/2 and a 1e6.
static double beta_fraction(double a, double b, double x, double y) {
  const double tiny = 1e-300;
  double lambda = a * y - b * x + 1;
  double value = a * lambda / (a + 1), c = value, d = 0;
  for (int i = 1; i < 1000000; i++) {
    double n = i, step = a + 2 * n - 1;
    double over = ((a + n - 1) / step) * ((a + b + n - 1) / step) * n * (b - n) * x * x;
    double under = n + n * (b - n) * x / step + (a + n) * (lambda + n * (1 + y)) / (step + 2);
    d = under + over * d;
    d = 1 / (fabs(d) < tiny ? tiny : d);
    c = under + over / c;
    c = fabs(c) < tiny ? tiny : c;
    value *= c * d;
    if (fabs(c * d - 1) < 2e-16)
      break;
  }
  return 1 / value;
}

// The lower tail: x^a y^b / B(a, b) times the fraction.
static double beta_lower(double a, double b, double x, double y) {
  return a * b / (a + b) * density(a, b, x, y) * beta_fraction(a, b, x, y);
}

// Both tails of Beta(a, b) at x, with y = 1 - x given as exactly as the caller can.
static void beta_tails(double a, double b, double x, double y, double *lower, double *upper) {
  if (x <= 0 || y <= 0) {
    *lower = x <= 0 ? 0 : 1;
    *upper = 1 - *lower;
  } else if (a * y >= b * x) {
    *lower = fmin(1, beta_lower(a, b, x, y));
    *upper = 1 - *lower;
  } else {
    *upper = fmin(1, beta_lower(b, a, y, x));
    *lower = 1 - *upper;
  }
}

// Beyond these the fraction needs a million steps, and nobody has ten billion questions.
static bool is_shape(double a, double b) { return a >= 1e-3 && b >= 1e-3 && a <= 1e10 && b <= 1e10; }

double ql_stats_beta_cdf(double x, double a, double b) {
  if (!is_shape(a, b) || isnan(x))
    return NAN;
  double lower, upper;
  beta_tails(a, b, x, 1 - x, &lower, &upper);
  return lower;
}

double ql_stats_beta_sf(double x, double a, double b) {
  if (!is_shape(a, b) || isnan(x))
    return NAN;
  double lower, upper;
  beta_tails(a, b, x, 1 - x, &lower, &upper);
  return upper;
}

struct beta_goal {
  double a, b, p;
  bool upper;
};

static double beta_miss(double x, const void *arg) {
  const struct beta_goal *goal = arg;
  double lower, upper;
  beta_tails(goal->a, goal->b, x, 1 - x, &lower, &upper);
  return goal->upper ? upper - goal->p : goal->p - lower;
}

static double beta_solve(double p, double a, double b, bool upper) {
  if (!is_shape(a, b) || !(p >= 0 && p <= 1))
    return NAN;
  if (p <= 0 || p >= 1)
    return upper ? 1 - p : p;
  struct beta_goal goal = {a, b, p, upper};
  return ql_stats_bisect(beta_miss, &goal, 0, 1);
}

double ql_stats_beta_quantile(double p, double a, double b) {
  return p <= 0.5 ? beta_solve(p, a, b, false) : beta_solve(1 - p, a, b, true);
}

double ql_stats_beta_quantile_upper(double p, double a, double b) {
  return p <= 0.5 ? beta_solve(p, a, b, true) : beta_solve(1 - p, a, b, false);
}

// ---- Student -----------------------------------------------------------------------------------------

// P(|T| > t) and P(|T| < t).
static void t_tails(double t, double df, double *outside, double *inside) {
  double ratio = square(t) / df;
  double x = isinf(ratio) ? 0 : 1 / (1 + ratio);
  double y = isinf(ratio) ? 1 : ratio / (1 + ratio);
  beta_tails(0.5 * df, 0.5, x, y, outside, inside);
}

static bool is_df(double df) { return df >= 0.01; }
static bool is_normal(double df) { return df > 1e15; } // the last bit of a tail no longer sees the difference

double ql_stats_t_sf(double t, double df) {
  if (isnan(t) || !is_df(df))
    return NAN;
  if (is_normal(df))
    return ql_stats_normal_sf(t);
  double outside, inside;
  t_tails(t, df, &outside, &inside);
  return t > 0 ? 0.5 * outside : 0.5 + 0.5 * inside;
}

double ql_stats_t_cdf(double t, double df) { return ql_stats_t_sf(-t, df); }

struct t_goal {
  double df, p;
};

static double t_outside(double t, const void *arg) {
  const struct t_goal *goal = arg;
  double outside, inside;
  t_tails(t, goal->df, &outside, &inside);
  return 0.5 * outside - goal->p;
}

static double t_inside(double t, const void *arg) {
  const struct t_goal *goal = arg;
  double outside, inside;
  t_tails(t, goal->df, &outside, &inside);
  return goal->p - 0.5 * inside;
}

// The positive t with an upper tail of p < 1/2. Near the middle the inside is small and exact, farther out the tail.
static double t_upper(double p, double df) {
  bool middle = p > 0.25;
  struct t_goal goal = {df, middle ? 0.5 - p : p};
  double (*curve)(double, const void *) = middle ? t_inside : t_outside;
  double lo = 0, hi = 1;
  while (curve(hi, &goal) > 0) {
    if (hi > 1e150) // its square is no double; only a df below 1 comes here
      return INFINITY;
    lo = hi;
    hi *= 2;
  }
  return ql_stats_bisect(curve, &goal, lo, hi);
}

double ql_stats_t_quantile(double p, double df) {
  if (!(p >= 0 && p <= 1) || !is_df(df))
    return NAN;
  if (is_normal(df))
    return ql_stats_normal_quantile(p);
  if (p <= 0 || p >= 1)
    return p > 0 ? INFINITY : -INFINITY;
  if (p == 0.5)
    return 0;
  return p < 0.5 ? -t_upper(p, df) : t_upper(1 - p, df);
}

double ql_stats_t_two_sided(double level, double df) {
  return is_level(level) ? -ql_stats_t_quantile(0.5 * (1 - level), df) : NAN;
}

// ---- binomial ----------------------------------------------------------------------------------------

static bool is_binomial(double n, double p) { return is_count(n) && n <= 1e10 && p >= 0 && p <= 1; }

double ql_stats_binomial_pmf(double k, double n, double p) {
  if (!is_binomial(n, p) || isnan(k))
    return NAN;
  if (k < 0 || k > n || floor(k) != k)
    return 0;
  if (k == 0) // 1 - p is exact from one half up; below, log1p keeps what 1 - p would round away n times
    return p >= 0.5 ? pow(1 - p, n) : exp(n * log1p(-p));
  if (k == n)
    return pow(p, n);
  if (p <= 0 || p >= 1)
    return 0;
  return density(k, n - k, p, 1 - p);
}

static void binomial_tails(double k, double n, double p, double *lower, double *upper) {
  k = floor(k);
  if (k < 0 || k >= n) {
    *lower = k < 0 ? 0 : 1;
    *upper = 1 - *lower;
  } else {
    beta_tails(n - k, k + 1, 1 - p, p, lower, upper);
  }
}

double ql_stats_binomial_cdf(double k, double n, double p) {
  if (!is_binomial(n, p) || isnan(k))
    return NAN;
  double lower, upper;
  binomial_tails(k, n, p, &lower, &upper);
  return lower;
}

double ql_stats_binomial_sf(double k, double n, double p) {
  if (!is_binomial(n, p) || isnan(k))
    return NAN;
  double lower, upper;
  binomial_tails(k, n, p, &lower, &upper);
  return upper;
}

// A tail that equals the wanted one but for rounding counts as equal.
static const double fuzz = 1e-13;

static double binomial_solve(double tail, double n, double p, bool upper) {
  if (!is_binomial(n, p) || !(tail >= 0 && tail <= 1))
    return NAN;
  double below = -1, at = n;
  while (at - below > 1) {
    double middle = floor(below + 0.5 * (at - below)), lower, above;
    binomial_tails(middle, n, p, &lower, &above);
    bool reached = upper ? above <= tail * (1 + fuzz) : lower * (1 + fuzz) >= tail;
    if (reached)
      at = middle;
    else
      below = middle;
  }
  return at;
}

double ql_stats_binomial_quantile(double tail, double n, double p) { return binomial_solve(tail, n, p, false); }
double ql_stats_binomial_quantile_upper(double tail, double n, double p) { return binomial_solve(tail, n, p, true); }
