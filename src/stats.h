// SPDX-License-Identifier: Apache-2.0
// stats: what the numbers allow one to say. Pure: arrays in, numbers out, nothing but libm.
//
// Conventions, for every function here:
// - A level is a two-sided confidence level, strictly between 0 and 1.
// - A function that can be misused returns 0, or -1 for arguments that have no meaning (a level of 2, k > n, a
//   fraction where a count is wanted); then nothing has been written. Arrays must hold no NaN.
// - What is undefined for sound arguments (an interval from no data) is NaN, never a guess.
// - Formulas, sources and edges are in docs/statistics.md; a comment here says only what a caller must know.
#ifndef QL_STATS_H
#define QL_STATS_H

#include "base.h"

struct ql_stats_range {
  double lo, hi;
};

// ---- distributions (stats_dist.c): NaN for arguments outside their domain ----------------------------
double ql_stats_normal_cdf(double x);
double ql_stats_normal_sf(double x); // P(X > x); never 1 - cdf
double ql_stats_normal_quantile(double p);
double ql_stats_normal_two_sided(double level); // the quantile of a two-sided level: 1.96 for 0.95
double ql_stats_t_cdf(double t, double df);     // df may be a fraction, or infinite for the normal
double ql_stats_t_sf(double t, double df);
double ql_stats_t_quantile(double p, double df);
double ql_stats_t_two_sided(double level, double df);
double ql_stats_beta_cdf(double x, double a, double b); // the regularized incomplete beta function
double ql_stats_beta_sf(double x, double a, double b);
double ql_stats_beta_quantile(double p, double a, double b);
double ql_stats_beta_quantile_upper(double p, double a, double b); // where the upper tail is p
double ql_stats_binomial_pmf(double k, double n, double p);
double ql_stats_binomial_cdf(double k, double n, double p); // P(X <= k)
double ql_stats_binomial_sf(double k, double n, double p);  // P(X > k)
double ql_stats_binomial_quantile(double tail, double n, double p);       // least k with P(X <= k) >= tail
double ql_stats_binomial_quantile_upper(double tail, double n, double p); // least k with P(X > k) <= tail

// ---- one proportion (stats_prop.c) -------------------------------------------------------------------
// k of n. n = 0 leaves both limits NaN. k = 0 gives exactly 0 below, k = n exactly 1 above.
int ql_stats_wilson(double k, double n, double level, double *lo, double *hi);
int ql_stats_clopper_pearson(double k, double n, double level, double *lo, double *hi);

// ---- two variants on the same questions (stats_paired.c) ---------------------------------------------
struct ql_stats_cells { // how many questions
  double both_right, base_only, variant_only, both_wrong;
};
struct ql_stats_mcnemar {
  double p_exact, p_midp, chi2, p_chi2, chi2_cc, p_chi2_cc; // _cc: with continuity correction
};
int ql_stats_mcnemar(double base_only, double variant_only, struct ql_stats_mcnemar *out);

struct ql_stats_paired {
  double n, diff, flips, se, df;         // diff = accuracy of the variant minus the baseline's; se with n - 1
  struct ql_stats_range tango;           // the one to report
  struct ql_stats_range bonett_price;    // its closed-form check
  struct ql_stats_range newcombe10, agresti_min, t;
  struct ql_stats_range wald;            // zero width without flips: for comparison only
};
int ql_stats_paired(const struct ql_stats_cells *cells, double level, struct ql_stats_paired *out);

// Tango's statistic for the hypothesis that the true difference is delta; falls as delta grows.
double ql_stats_tango(const struct ql_stats_cells *cells, double delta);

struct ql_stats_tost { // lower: against -margin, upper: against +margin
  double lower, p_noninferior, upper, p_nonsuperior, p_tost, df;
};
int ql_stats_tango_tost(const struct ql_stats_cells *cells, double margin, struct ql_stats_tost *out);
// The same questions of any estimate with a standard error; df infinite means normal. se = 0 leaves NaN.
int ql_stats_tost(double estimate, double se, double df, double margin, struct ql_stats_tost *out);

// ---- many tests at once (stats_adjust.c): out in the order of p; p and out may be one array ------------
int ql_stats_holm(const double *p, size_t count, double *out);
int ql_stats_benjamini_hochberg(const double *p, size_t count, double *out);
int ql_stats_bonferroni(const double *p, size_t count, double *out);

// ---- samples (stats.c) -------------------------------------------------------------------------------
void ql_stats_sort(double *values, size_t count); // ascending; no NaN among them
// Type 7 (linear between order statistics) of values in ascending order; NaN when there are none.
double ql_stats_quantile_sorted(const double *sorted, size_t count, double q);
// Mean and variance with n - 1: NaN mean for no values, NaN variance for fewer than two.
void ql_stats_moments(const double *values, size_t count, double *mean, double *variance);

struct ql_stats_t {
  double n, mean, sd, se, df, t, p, lo, hi; // t and p against a mean of zero, two-sided
};
// Student's interval and test; zero variance leaves t, p, lo and hi NaN: it is no evidence of certainty.
int ql_stats_t_test(const double *values, size_t count, double level, struct ql_stats_t *out);
// Of variant - baseline, subtracted row by row before anything is squared. difference is room for count numbers.
int ql_stats_paired_t(const double *baseline, const double *variant, size_t count, double level, double *difference,
                      struct ql_stats_t *out);
// Fills t, p, lo, hi of out from its mean, se and df.
void ql_stats_t_fill(struct ql_stats_t *out, double level);

// ---- clusters and groups (stats_cluster.c) -----------------------------------------------------------
struct ql_stats_clustered {
  double n, clusters, mean, se_iid, se_cr0, se_cr1, df, lo, hi, deff; // lo, hi: se_cr1 with t, clusters - 1
};
// cluster[i] < clusters says where row i belongs. Clusters without rows do not count.
int ql_stats_clustered(const double *values, const uint32_t *cluster, size_t count, size_t clusters, double level,
                       struct ql_stats_clustered *out);

struct ql_stats_grouped {
  double micro, macro;
  double se_macro_fixed;  // of macro, when these very groups are meant
  double se_macro_sample; // of macro, when the groups stand for others like them
  double se_pooled;       // of micro, within groups only, as lm-eval prints it
};
int ql_stats_grouped(const double *correct, const double *n, size_t groups, struct ql_stats_grouped *out);

// ---- ranks (stats_rank.c) ----------------------------------------------------------------------------
// Ranks from 1; lower = 0 means no finite lower limit, upper = n + 1 no finite upper one.
struct ql_stats_ranks {
  double lower, upper, coverage;
};
int ql_stats_quantile_ranks(double n, double q, double level, struct ql_stats_ranks *out);

struct ql_stats_mann_whitney {
  double u, z, p, p_cc, share, shift; // share: P(x > y) + P(x = y)/2; shift: Hodges-Lehmann, x - y
};
// Both arrays in ascending order.
int ql_stats_mann_whitney(const double *x, size_t x_count, const double *y, size_t y_count,
                          struct ql_stats_mann_whitney *out);

// ---- series and replicates (stats_series.c) ----------------------------------------------------------
double ql_stats_autocorrelation(const double *values, size_t count); // lag 1; NaN for a constant series
// Of mean(y) - mean(x), unequal variances.
int ql_stats_welch(const double *x, size_t x_count, const double *y, size_t y_count, double level,
                   struct ql_stats_t *out);

// ---- bootstrap (stats_boot.c) ------------------------------------------------------------------------
enum ql_stats_resample { QL_STATS_ROWS, QL_STATS_CLUSTERS, QL_STATS_STRATA };
enum { QL_STATS_BOOT_COLUMNS = 4 };
struct ql_stats_boot {
  const double *const *columns; // each of rows numbers; a row's columns are always drawn together
  size_t column_count, rows;
  const uint32_t *group; // of each row, below group_count; unused for QL_STATS_ROWS
  size_t group_count;
  enum ql_stats_resample resample;
  size_t rounds;
  uint64_t seed;
};
// sums: rounds x (column_count + 1) numbers, each round's column sums and then its number of rows.
int ql_stats_boot_sums(const struct ql_stats_boot *plan, double *sums);

// xoshiro256++ seeded by splitmix64.
struct ql_stats_random {
  uint64_t s[4];
};
void ql_stats_random_seed(struct ql_stats_random *random, uint64_t seed);
uint64_t ql_stats_random_next(struct ql_stats_random *random);

// ---- how many questions (stats_power.c): alpha is one-sided ------------------------------------------
double ql_stats_sample_size(double delta, double var_d, double alpha, double power); // not rounded up
double ql_stats_detectable(double n, double var_d, double alpha, double power);
double ql_stats_power(double n, double delta, double var_d, double alpha);

// ---- divergence (stats_kl.c), in nats ----------------------------------------------------------------
// p and q are scaled to sum to 1 each. Infinite where p has what q lacks.
int ql_stats_kl(const double *p, const double *q, size_t count, double *nats);
struct ql_stats_kl_part {
  double nats, rest_base, rest_variant;
};
// Over the k tokens most likely under p and one bucket for all others: never more than the full divergence.
int ql_stats_kl_top(const double *p, const double *q, size_t count, size_t k, struct ql_stats_kl_part *out);
size_t ql_stats_top(const double *p, size_t count); // the most likely; of equal ones the first
// Over tokens whose log-probabilities are known on both sides and one bucket for the unknown rest.
int ql_stats_kl_known(const double *base_logprob, const double *variant_logprob, size_t count,
                      struct ql_stats_kl_part *out);

#endif
