// SPDX-License-Identifier: Apache-2.0
// stats_paired: two variants on the same questions, right or wrong, see stats.h.
//
// Tango's score statistic is the one behind interval, non-inferiority and equivalence, so that the three can never
// contradict each other. Its limits come from bisection, never from the closed-form quartic, which loses nine digits
// at n = 14,042. For a negative delta the roles are swapped, so that the statistic is symmetric to the last bit.

#include "stats_inner.h"

int ql_stats_mcnemar(double b, double c, struct ql_stats_mcnemar *out) {
  if (!is_count(b) || !is_count(c))
    return -1;
  double n = b + c, less = fmin(b, c), gap = fabs(b - c);
  *out = (struct ql_stats_mcnemar){1, 1, NAN, NAN, NAN, NAN};
  if (n <= 0)
    return 0;
  // 2 P(X <= m) - P(X = m), with the point kept out of the sum rather than taken off it again.
  double point = ql_stats_binomial_pmf(less, n, 0.5), below = ql_stats_binomial_cdf(less - 1, n, 0.5);
  out->p_exact = gap <= 0 ? 1 : fmin(1, 2 * (below + point));
  out->p_midp = gap <= 0 ? 1 - 0.5 * point : fmin(1, 2 * below + point);
  out->chi2 = square(gap) / n;
  out->p_chi2 = erfc(gap / sqrt(2 * n));
  double corrected = fmax(0, gap - 1);
  out->chi2_cc = square(corrected) / n;
  out->p_chi2_cc = erfc(corrected / sqrt(2 * n));
  return 0;
}

static double total(const struct ql_stats_cells *cells) {
  return cells->both_right + cells->base_only + cells->variant_only + cells->both_wrong;
}

static bool are_cells(const struct ql_stats_cells *cells) {
  return is_count(cells->both_right) && is_count(cells->base_only) && is_count(cells->variant_only) &&
         is_count(cells->both_wrong);
}

// T(delta) for delta >= 0; share is the base_only probability that is likeliest given delta.
static double tango_positive(double n, double b, double c, double delta) {
  if (delta <= 0)
    return b + c > 0 ? (c - b) / sqrt(b + c) : 0;
  double B = -b - c + (2 * n - c + b) * delta, C = -b * delta * (1 - delta);
  double root = sqrt(square(B) - 8 * n * C);
  // The usual form of the root subtracts two near numbers when B > 0.
  double share = B > 0 ? -2 * C / (root + B) : (root - B) / (4 * n);
  double variance = n * (2 * share + delta * (1 - delta)), gap = c - b - n * delta;
  return gap == 0 ? 0 : gap / sqrt(variance);
}

double ql_stats_tango(const struct ql_stats_cells *cells, double delta) {
  double n = total(cells), b = cells->base_only, c = cells->variant_only;
  if (!(n > 0) || !(fabs(delta) <= 1))
    return NAN;
  return delta >= 0 ? tango_positive(n, b, c, delta) : -tango_positive(n, c, b, -delta);
}

struct tango_goal {
  const struct ql_stats_cells *cells;
  double z;
};

static double tango_miss(double delta, const void *arg) {
  const struct tango_goal *goal = arg;
  return ql_stats_tango(goal->cells, delta) - goal->z;
}

static struct ql_stats_range tango(const struct ql_stats_cells *cells, double diff, double z) {
  struct tango_goal low = {cells, z}, high = {cells, -z};
  struct ql_stats_range range;
  range.lo = diff <= -1 ? -1 : ql_stats_bisect(tango_miss, &low, -1, diff);
  range.hi = diff >= 1 ? 1 : ql_stats_bisect(tango_miss, &high, diff, 1);
  return range;
}

static struct ql_stats_range around(double centre, double half) {
  return (struct ql_stats_range){clamp(centre - half, -1, 1), clamp(centre + half, -1, 1)};
}

// Wald with `add` in each cell: 0 is Wald itself, 1/2 is Agresti and Min.
static struct ql_stats_range wald(double n, double b, double c, double add, double z) {
  double all = n + 4 * add, up = (c + add) / all, down = (b + add) / all;
  return around(up - down, z * sqrt(fmax(0, up + down - square(up - down)) / all));
}

static struct ql_stats_range bonett_price(double n, double b, double c, double z) {
  double up = (c + 1) / (n + 2), down = (b + 1) / (n + 2);
  return around(up - down, z * sqrt((up + down - square(up - down)) / (n + 2)));
}

// Newcombe 1998, method 10: Wilson limits of both margins, put together with a corrected phi.
static struct ql_stats_range newcombe10(const struct ql_stats_cells *cells, double n, double level) {
  double a = cells->both_right, b = cells->base_only, c = cells->variant_only, d = cells->both_wrong;
  double right1 = a + c, right2 = a + b, l1, u1, l2, u2;
  ql_stats_wilson(right1, n, level, &l1, &u1);
  ql_stats_wilson(right2, n, level, &l2, &u2);
  double margins = right1 * (n - right1) * right2 * (n - right2), cross = a * d - b * c;
  double phi = margins > 0 ? (cross > 0 ? fmax(cross - 0.5 * n, 0) : cross) / sqrt(margins) : 0;
  double p1 = right1 / n, p2 = right2 / n, diff = (c - b) / n;
  double down1 = p1 - l1, up1 = u1 - p1, down2 = p2 - l2, up2 = u2 - p2;
  double below = sqrt(fmax(0, square(down1) + square(up2) - 2 * phi * down1 * up2));
  double above = sqrt(fmax(0, square(up1) + square(down2) - 2 * phi * up1 * down2));
  return (struct ql_stats_range){clamp(diff - below, -1, 1), clamp(diff + above, -1, 1)};
}

// Standard error of the mean of n differences of -1, 0 and 1, with n - 1.
static double se_of_differences(double n, double b, double c) {
  return n > 1 ? sqrt(fmax(0, b + c - square(c - b) / n) / (n - 1) / n) : NAN;
}

int ql_stats_paired(const struct ql_stats_cells *cells, double level, struct ql_stats_paired *out) {
  if (!are_cells(cells) || !is_level(level))
    return -1;
  const struct ql_stats_range none = {NAN, NAN};
  double n = total(cells), b = cells->base_only, c = cells->variant_only;
  *out = (struct ql_stats_paired){n, NAN, NAN, NAN, NAN, none, none, none, none, none, none};
  if (n <= 0)
    return 0;
  double z = ql_stats_normal_two_sided(level), diff = (c - b) / n;
  out->diff = diff;
  out->flips = (b + c) / n;
  out->df = n - 1;
  out->se = se_of_differences(n, b, c);
  out->tango = tango(cells, diff, z);
  out->bonett_price = bonett_price(n, b, c, z);
  out->newcombe10 = newcombe10(cells, n, level);
  out->agresti_min = wald(n, b, c, 0.5, z);
  out->wald = wald(n, b, c, 0, z);
  if (n > 1) {
    double half = ql_stats_t_two_sided(level, out->df) * out->se;
    out->t = (struct ql_stats_range){diff - half, diff + half};
  }
  return 0;
}

static bool is_margin(double margin) { return margin >= 0 && !isinf(margin); }

int ql_stats_tango_tost(const struct ql_stats_cells *cells, double margin, struct ql_stats_tost *out) {
  if (!are_cells(cells) || !is_margin(margin) || margin >= 1)
    return -1;
  out->lower = ql_stats_tango(cells, -margin);
  out->upper = ql_stats_tango(cells, margin);
  out->p_noninferior = ql_stats_normal_sf(out->lower);
  out->p_nonsuperior = ql_stats_normal_cdf(out->upper);
  out->p_tost = total(cells) > 0 ? fmax(out->p_noninferior, out->p_nonsuperior) : NAN;
  out->df = INFINITY;
  return 0;
}

int ql_stats_tost(double estimate, double se, double df, double margin, struct ql_stats_tost *out) {
  if (!is_margin(margin))
    return -1;
  *out = (struct ql_stats_tost){NAN, NAN, NAN, NAN, NAN, df};
  if (!(se > 0) || isinf(se) || !(df > 0) || isnan(estimate))
    return 0;
  out->lower = (estimate + margin) / se;
  out->upper = (estimate - margin) / se;
  out->p_noninferior = ql_stats_t_sf(out->lower, df);
  out->p_nonsuperior = ql_stats_t_cdf(out->upper, df);
  out->p_tost = fmax(out->p_noninferior, out->p_nonsuperior);
  return 0;
}
