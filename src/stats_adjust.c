// SPDX-License-Identifier: Apache-2.0
// stats_adjust: p-values of many tests at once, see stats.h.
//
// Adjusted values come back in the order they went in. Each method is one walk over the sorted values with a running
// extreme, which keeps a larger p from ending up with a smaller adjusted one.

#include "stats_inner.h"

#include <stdlib.h>

struct ranked {
  double p;
  size_t at;
};

static int by_p(const void *left, const void *right) {
  const struct ranked *a = left, *b = right;
  return (a->p > b->p) - (a->p < b->p);
}

// The values with their places, smallest first; NULL when one is no probability.
static struct ranked *rank(const double *p, size_t count) {
  struct ranked *order = ql_malloc((count ? count : 1) * sizeof *order);
  for (size_t i = 0; i < count; i++) {
    if (!(p[i] >= 0 && p[i] <= 1)) {
      free(order);
      return NULL;
    }
    order[i] = (struct ranked){p[i], i};
  }
  if (count > 1)
    qsort(order, count, sizeof *order, by_p);
  return order;
}

int ql_stats_holm(const double *p, size_t count, double *out) {
  struct ranked *order = rank(p, count);
  if (!order)
    return -1;
  double most = 0;
  for (size_t i = 0; i < count; i++) {
    most = fmax(most, fmin(1, (double)(count - i) * order[i].p));
    out[order[i].at] = most;
  }
  free(order);
  return 0;
}

int ql_stats_benjamini_hochberg(const double *p, size_t count, double *out) {
  struct ranked *order = rank(p, count);
  if (!order)
    return -1;
  double least = 1;
  for (size_t i = count; i-- > 0;) {
    least = fmin(least, (double)count / (double)(i + 1) * order[i].p);
    out[order[i].at] = least;
  }
  free(order);
  return 0;
}

int ql_stats_bonferroni(const double *p, size_t count, double *out) {
  for (size_t i = 0; i < count; i++)
    if (!(p[i] >= 0 && p[i] <= 1))
      return -1;
  for (size_t i = 0; i < count; i++)
    out[i] = fmin(1, (double)count * p[i]);
  return 0;
}
