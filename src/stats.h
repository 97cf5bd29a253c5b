// SPDX-License-Identifier: Apache-2.0
// stats: what the numbers allow one to say. Pure: arrays in, numbers out, nothing but libm.
//
// Conventions, for every function here:
// - A level is a two-sided confidence level, strictly between 0 and 1.
// - A function that can be misused returns 0, or -1 for arguments that have no meaning (a level of 2, k > n, a
//   NaN among the data); then nothing has been written.
// - What is undefined for sound arguments (an interval from no data) is NaN, never a guess.
// - Formulas, sources and edges are in docs/statistics.md; a comment here says only what a caller must know.
#ifndef QL_STATS_H
#define QL_STATS_H

#include "base.h"

// ---- distributions (stats_dist.c): NaN for arguments outside their domain ----------------------------
double ql_stats_normal_cdf(double x);
double ql_stats_normal_sf(double x); // P(X > x); never 1 - cdf
double ql_stats_normal_quantile(double p);
// The quantile that belongs to a two-sided level: 1.96 for 0.95.
double ql_stats_normal_two_sided(double level);

// ---- one proportion (stats_prop.c) -------------------------------------------------------------------
// k of n. n = 0 leaves both limits NaN. k = 0 gives exactly 0 below, k = n exactly 1 above.
int ql_stats_wilson(double k, double n, double level, double *lo, double *hi);

// ---- samples (stats.c) -------------------------------------------------------------------------------
void ql_stats_sort(double *values, size_t count); // ascending; no NaN among them
// Type 7 (linear between order statistics) of values in ascending order; NaN when there are none.
double ql_stats_quantile_sorted(const double *sorted, size_t count, double q);

#endif
