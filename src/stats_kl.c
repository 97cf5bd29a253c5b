// SPDX-License-Identifier: Apache-2.0
// stats_kl: how far the variant's next-token distribution is from the baseline's, see stats.h.
//
// A server tells the log-probabilities of a few tokens. What both sides told, and one bucket for everything else, is
// a coarser distribution, and by the log-sum inequality its divergence is a lower bound of the true one. Each term is
// taken as p ln(p/q) - p + q, which sums to the same and is never negative: near-equal distributions do not cancel.

#include "stats_inner.h"

#include <stdlib.h>

static double term(double p, double q) {
  if (p <= 0)
    return q;
  if (q <= 0)
    return INFINITY;
  double e = (q - p) / p; // p (e - ln(1 + e))
  return fabs(e) < 1e-5 ? p * e * e * (0.5 - e / 3) : p * (e - log1p(e));
}

static double sum_of(const double *p, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) {
    if (!(p[i] >= 0))
      return NAN;
    sum += p[i];
  }
  return sum > 0 && !isinf(sum) ? sum : NAN;
}

int ql_stats_kl(const double *p, const double *q, size_t count, double *nats) {
  double p_sum = sum_of(p, count), q_sum = sum_of(q, count), sum = 0;
  if (isnan(p_sum) || isnan(q_sum))
    return -1;
  for (size_t i = 0; i < count; i++)
    sum += term(p[i] / p_sum, q[i] / q_sum);
  *nats = sum;
  return 0;
}

size_t ql_stats_top(const double *p, size_t count) {
  size_t top = 0;
  for (size_t i = 1; i < count; i++)
    if (p[i] > p[top])
      top = i;
  return top;
}

struct token {
  double p;
  size_t at;
};

static int by_likelihood(const void *left, const void *right) {
  const struct token *a = left, *b = right;
  if (a->p != b->p)
    return a->p < b->p ? 1 : -1;
  return (a->at > b->at) - (a->at < b->at);
}

int ql_stats_kl_top(const double *p, const double *q, size_t count, size_t k, struct ql_stats_kl_part *out) {
  double p_sum = sum_of(p, count), q_sum = sum_of(q, count);
  if (isnan(p_sum) || isnan(q_sum) || !k)
    return -1;
  struct token *tokens = ql_malloc(count * sizeof *tokens);
  for (size_t i = 0; i < count; i++)
    tokens[i] = (struct token){p[i], i};
  qsort(tokens, count, sizeof *tokens, by_likelihood);
  *out = (struct ql_stats_kl_part){0, 0, 0};
  for (size_t i = 0; i < count; i++) {
    double of_p = tokens[i].p / p_sum, of_q = q[tokens[i].at] / q_sum;
    if (i < k) {
      out->nats += term(of_p, of_q);
    } else { // summed rather than taken from 1: the tail is the small part
      out->rest_base += of_p;
      out->rest_variant += of_q;
    }
  }
  out->nats += term(out->rest_base, out->rest_variant);
  free(tokens);
  return 0;
}

int ql_stats_kl_known(const double *base_logprob, const double *variant_logprob, size_t count,
                      struct ql_stats_kl_part *out) {
  // Servers give 32-bit log-probabilities, so a remainder below this is rounding. Raising the variant's remainder can
  // only lower the divergence: it stays a bound, and rounding cannot make it infinite.
  const double known = 1e-6;
  double nats = 0, of_p = 0, of_q = 0;
  for (size_t i = 0; i < count; i++) {
    double p = exp(base_logprob[i]), q = exp(variant_logprob[i]);
    if (!(p <= 1 + known) || !(q <= 1 + known))
      return -1;
    nats += p > 0 ? p * (base_logprob[i] - variant_logprob[i]) : 0;
    of_p += p;
    of_q += q;
  }
  if (of_p > 1 + 1e-3 || of_q > 1 + 1e-3)
    return -1;
  double rest_p = fmax(0, 1 - of_p), rest_q = fmax(0, 1 - of_q);
  out->rest_base = rest_p;
  out->rest_variant = rest_q;
  if (rest_p > 0)
    nats += rest_p * log(rest_p / fmax(rest_q, known));
  out->nats = fmax(0, nats);
  return 0;
}
