// SPDX-License-Identifier: Apache-2.0
// stats_cluster: questions that come in groups, see stats.h.
//
// The clustered error lets the scores of one group go up and down together; it is what a claim about "subjects like
// these" needs. Whether that is the claim is the caller's to say: for "these very subjects" the plain one is right.

#include "stats_inner.h"

#include <stdlib.h>

// Residual sums by cluster, and how many clusters have rows at all.
static double clustered_squares(const double *values, const uint32_t *cluster, size_t count, size_t clusters,
                                double mean, double *present) {
  double *sums = ql_calloc(clusters, sizeof *sums), squares = 0;
  bool *seen = ql_calloc(clusters, sizeof *seen);
  for (size_t i = 0; i < count; i++) {
    sums[cluster[i]] += values[i] - mean;
    seen[cluster[i]] = true;
  }
  *present = 0;
  for (size_t g = 0; g < clusters; g++) {
    squares += square(sums[g]);
    *present += seen[g];
  }
  free(sums);
  free(seen);
  return squares;
}

int ql_stats_clustered(const double *values, const uint32_t *cluster, size_t count, size_t clusters, double level,
                       struct ql_stats_clustered *out) {
  if (!is_level(level))
    return -1;
  for (size_t i = 0; i < count; i++)
    if (cluster[i] >= clusters)
      return -1;
  double n = (double)count, variance;
  *out = (struct ql_stats_clustered){n, 0, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  if (!count)
    return 0;
  ql_stats_moments(values, count, &out->mean, &variance);
  double squares = clustered_squares(values, cluster, count, clusters, out->mean, &out->clusters);
  out->se_iid = sqrt(variance / n);
  out->df = out->clusters - 1;
  if (out->clusters < 2)
    return 0;
  out->se_cr0 = sqrt(squares) / n;
  out->se_cr1 = out->se_cr0 * sqrt(out->clusters / out->df);
  double half = ql_stats_t_two_sided(level, out->df) * out->se_cr1;
  out->lo = out->mean - half;
  out->hi = out->mean + half;
  if (variance > 0)
    out->deff = square(out->se_cr0) / (variance * (n - 1) / square(n));
  return 0;
}

int ql_stats_grouped(const double *correct, const double *n, size_t groups, struct ql_stats_grouped *out) {
  double right = 0, all = 0, shares = 0, fixed = 0, within = 0, spread = 0, count = (double)groups;
  for (size_t g = 0; g < groups; g++) {
    if (!(n[g] > 0) || !(correct[g] >= 0 && correct[g] <= n[g]))
      return -1;
    double share = correct[g] / n[g];
    right += correct[g];
    all += n[g];
    shares += share;
    within += n[g] * share * (1 - share);
    fixed += share * (1 - share) / (n[g] - 1); // s^2 / n of this group
  }
  *out = (struct ql_stats_grouped){NAN, NAN, NAN, NAN, NAN};
  if (!groups)
    return 0;
  out->micro = right / all;
  out->macro = shares / count;
  for (size_t g = 0; g < groups; g++)
    spread += square(correct[g] / n[g] - out->macro);
  if (isfinite(fixed)) // a group of one question has no variance of its own
    out->se_macro_fixed = sqrt(fixed) / count;
  if (groups > 1)
    out->se_macro_sample = sqrt(spread / (count - 1) / count);
  if (all > count)
    out->se_pooled = sqrt(within / (all - count) / all);
  return 0;
}
