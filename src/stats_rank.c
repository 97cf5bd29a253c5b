// SPDX-License-Identifier: Apache-2.0
// stats_rank: what needs no shape of the distribution, see stats.h.
//
// The Hodges-Lehmann shift is the median of all x - y: 197 million pairs for two full MMLU runs. They are never
// written down: with both samples sorted, "how many pairs are at most v" is one walk, and v is found by bisection
// over the doubles themselves, so the result is the exact order statistic in 64 walks.

#include "stats_inner.h"

#include <string.h>

int ql_stats_quantile_ranks(double n, double q, double level, struct ql_stats_ranks *out) {
  if (!is_count(n) || !(q > 0 && q < 1) || !is_level(level))
    return -1;
  double tail = 0.5 * (1 - level);
  *out = (struct ql_stats_ranks){NAN, NAN, NAN};
  if (n <= 0)
    return 0;
  out->lower = ql_stats_binomial_quantile(tail, n, q);
  out->upper = ql_stats_binomial_quantile_upper(tail, n, q) + 1;
  // The mass between the ranks, as 1 less the two tails: each is small and exact.
  out->coverage = 1 - ql_stats_binomial_cdf(out->lower - 1, n, q) - ql_stats_binomial_sf(out->upper - 1, n, q);
  return 0;
}

struct walk {
  double u, ties;
};

// U = #(x > y) + #(x = y)/2 and the sum of t^3 - t over groups of equal values in both samples together.
static struct walk walk_both(const double *x, size_t x_count, const double *y, size_t y_count) {
  struct walk walk = {0, 0};
  size_t i = 0, j = 0;
  while (i < x_count || j < y_count) {
    double value = j >= y_count || (i < x_count && x[i] <= y[j]) ? x[i] : y[j];
    size_t i_from = i, j_from = j;
    while (i < x_count && x[i] == value)
      i++;
    while (j < y_count && y[j] == value)
      j++;
    double of_x = (double)(i - i_from), of_y = (double)(j - j_from), tied = of_x + of_y;
    walk.u += of_x * ((double)j_from + 0.5 * of_y);
    walk.ties += tied * (square(tied) - 1);
  }
  return walk;
}

// Doubles in order as integers in order, and back.
static int64_t order_of(double value) {
  int64_t bits;
  value += 0.0; // -0 and 0 are one value
  memcpy(&bits, &value, sizeof bits);
  return bits < 0 ? INT64_MIN - bits : bits;
}

static double value_of(int64_t order) {
  int64_t bits = order < 0 ? INT64_MIN - order : order;
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Pairs with x - y <= limit; both ascending, so as x grows ever more of the small y drop out.
static uint64_t pairs_at_most(const double *x, size_t x_count, const double *y, size_t y_count, double limit) {
  uint64_t pairs = 0;
  size_t j = 0;
  for (size_t i = 0; i < x_count; i++) {
    while (j < y_count && x[i] - y[j] > limit)
      j++;
    pairs += y_count - j;
  }
  return pairs;
}

// The rank-th smallest x - y, counted from 1.
static double difference_at(const double *x, size_t x_count, const double *y, size_t y_count, uint64_t rank) {
  int64_t below = order_of(x[0] - y[y_count - 1]), at = order_of(x[x_count - 1] - y[0]);
  if (pairs_at_most(x, x_count, y, y_count, value_of(below)) >= rank)
    return value_of(below);
  while (at - 1 > below) {
    int64_t middle = (below & at) + ((below ^ at) >> 1); // the mean, without overflow
    if (pairs_at_most(x, x_count, y, y_count, value_of(middle)) >= rank)
      at = middle;
    else
      below = middle;
  }
  return value_of(at);
}

static double hodges_lehmann(const double *x, size_t x_count, const double *y, size_t y_count) {
  uint64_t pairs = (uint64_t)x_count * y_count;
  double low = difference_at(x, x_count, y, y_count, (pairs + 1) / 2);
  if (pairs % 2)
    return low;
  double high = difference_at(x, x_count, y, y_count, pairs / 2 + 1);
  return low + 0.5 * (high - low);
}

int ql_stats_mann_whitney(const double *x, size_t x_count, const double *y, size_t y_count,
                          struct ql_stats_mann_whitney *out) {
  *out = (struct ql_stats_mann_whitney){NAN, NAN, NAN, NAN, NAN, NAN};
  if (!x_count || !y_count)
    return 0;
  if (isinf(x[0]) || isinf(y[0]) || isinf(x[x_count - 1]) || isinf(y[y_count - 1]))
    return -1;
  double pairs = (double)x_count * (double)y_count, all = (double)x_count + (double)y_count;
  struct walk walk = walk_both(x, x_count, y, y_count);
  double variance = pairs / 12 * (all + 1 - walk.ties / (all * (all - 1)));
  double gap = walk.u - 0.5 * pairs;
  out->u = walk.u;
  out->share = walk.u / pairs;
  out->shift = hodges_lehmann(x, x_count, y, y_count);
  // All values equal: no evidence of a shift. Rounding may leave the variance a hair from zero.
  if (walk.ties >= all * (square(all) - 1)) {
    out->z = 0;
    out->p = out->p_cc = 1;
    return 0;
  }
  out->z = gap / sqrt(variance);
  out->p = erfc(fabs(gap) / sqrt(2 * variance));
  out->p_cc = erfc(fmax(0, fabs(gap) - 0.5) / sqrt(2 * variance));
  return 0;
}
