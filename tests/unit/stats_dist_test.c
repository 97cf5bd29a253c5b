// SPDX-License-Identifier: Apache-2.0
// Distribution functions against closed forms and against themselves: no reference file is needed here.
#include "near.h"
#include "stats.h"

static const double freedoms[] = {1, 2, 2.5, 5, 12.34, 56, 1318, 14041, 1e6};

static void the_normal_quantile_undoes_the_cdf(void) {
  for (double x = -37; x < -0.2; x += 0.37)
    CHECK_NEAR(ql_stats_normal_quantile(ql_stats_normal_cdf(x)), x, 1e-13);
  CHECK(ql_stats_normal_quantile(0.5) == 0);
  CHECK_NEAR(ql_stats_normal_quantile(0.5 + 0x1p-40), 0x1p-40 * 2.50662827463100050242, 1e-14);
}

static void the_normal_is_symmetric_to_the_last_bit(void) {
  for (double x = 0; x < 30; x += 0.61)
    CHECK(ql_stats_normal_cdf(-x) == ql_stats_normal_sf(x));
  CHECK(ql_stats_normal_quantile(0.75) == -ql_stats_normal_quantile(0.25));
  CHECK_NEAR(ql_stats_normal_two_sided(0.95), 1.959963984540054, 1e-15);
}

static void the_t_of_one_and_two_degrees_has_closed_forms(void) {
  for (double t = 1e-6; t < 1e6; t *= 3.7) {
    CHECK_NEAR(ql_stats_t_sf(t, 1), atan2(1, t) / M_PI, 1e-14);
    double root = sqrt(2 + t * t);
    CHECK_NEAR(ql_stats_t_sf(t, 2), 1 / (root * (root + t)), 1e-14);
  }
  CHECK_NEAR(ql_stats_t_quantile(0.975, 1), tan(M_PI * 0.475), 1e-13);
  CHECK_NEAR(ql_stats_t_quantile(1e-100, 1), -1 / tan(M_PI * 1e-100), 1e-13);
}

static void the_t_quantile_undoes_the_tail(void) {
  static const double tails[] = {1e-100, 1e-10, 1e-4, 0.025, 0.24, 0.26, 0.49999};
  for (size_t i = 0; i < QL_LEN(freedoms); i++)
    for (size_t k = 0; k < QL_LEN(tails); k++) {
      double t = -ql_stats_t_quantile(tails[k], freedoms[i]);
      CHECK_NEAR(ql_stats_t_sf(t, freedoms[i]), tails[k], 2e-12);
    }
  CHECK(ql_stats_t_quantile(0.5, 7) == 0);
  CHECK(ql_stats_t_quantile(0.25, 7) == -ql_stats_t_quantile(0.75, 7));
}

static void the_t_of_many_degrees_becomes_the_normal(void) {
  CHECK(ql_stats_t_sf(1.3, INFINITY) == ql_stats_normal_sf(1.3));
  CHECK(ql_stats_t_quantile(0.975, INFINITY) == ql_stats_normal_quantile(0.975));
  // The first term of the Edgeworth series: (x^3 + x) / 4 df.
  double x = 1.959963984540054, df = 1e8;
  CHECK_NEAR(ql_stats_t_quantile(0.975, df) - x, (x * x * x + x) / (4 * df), 1e-6);
}

static void the_beta_of_simple_shapes_is_a_power(void) {
  for (double x = 0.001; x < 1; x += 0.0313) {
    CHECK_NEAR(ql_stats_beta_cdf(x, 1, 1), x, 1e-14);
    CHECK_NEAR(ql_stats_beta_cdf(x, 7, 1), pow(x, 7), 1e-13);
    CHECK_NEAR(ql_stats_beta_sf(x, 1, 14042), pow(1 - x, 14042), 3e-12);
    CHECK_NEAR(ql_stats_beta_cdf(x, 3.5, 9) + ql_stats_beta_sf(x, 3.5, 9), 1, 1e-15);
    CHECK_NEAR(ql_stats_beta_cdf(x, 0.5, 0.5), 2 / M_PI * asin(sqrt(x)), 1e-13);
  }
  CHECK_NEAR(ql_stats_beta_quantile(0.025, 4, 1), pow(0.025, 0.25), 1e-14);
  CHECK_NEAR(ql_stats_beta_quantile_upper(0.025, 1, 14042), -expm1(log(0.025) / 14042), 1e-12);
}

static void binomial_probabilities_add_up(void) {
  static const double shares[] = {0.001, 0.3, 0.5, 0.93};
  for (size_t i = 0; i < QL_LEN(shares); i++) {
    double sum = 0;
    for (double k = 0; k <= 57; k++) {
      sum += ql_stats_binomial_pmf(k, 57, shares[i]);
      CHECK_NEAR(ql_stats_binomial_cdf(k, 57, shares[i]), sum, 1e-13);
      CHECK_NEAR(ql_stats_binomial_cdf(k, 57, shares[i]) + ql_stats_binomial_sf(k, 57, shares[i]), 1, 1e-15);
    }
  }
  CHECK(ql_stats_binomial_pmf(0, 1000, 0.5) == 0x1p-1000);
  CHECK(ql_stats_binomial_pmf(-1, 10, 0.5) == 0 && ql_stats_binomial_pmf(2.5, 10, 0.5) == 0);
  CHECK(ql_stats_binomial_pmf(0, 10, 0) == 1 && ql_stats_binomial_pmf(10, 10, 1) == 1);
  CHECK(ql_stats_binomial_cdf(10, 10, 0.3) == 1 && ql_stats_binomial_sf(-1, 10, 0.3) == 1);
}

static void binomial_quantiles_are_the_first_to_reach_the_tail(void) {
  for (double tail = 0.005; tail < 0.5; tail += 0.0123) {
    double k = ql_stats_binomial_quantile(tail, 1319, 0.97), u = ql_stats_binomial_quantile_upper(tail, 1319, 0.97);
    CHECK(ql_stats_binomial_cdf(k, 1319, 0.97) >= tail && ql_stats_binomial_cdf(k - 1, 1319, 0.97) < tail);
    CHECK(ql_stats_binomial_sf(u, 1319, 0.97) <= tail && ql_stats_binomial_sf(u - 1, 1319, 0.97) > tail);
  }
  CHECK(ql_stats_binomial_quantile(1.0 / 32, 5, 0.5) == 0); // the tail itself counts
}

static void arguments_outside_the_domain_are_nan(void) {
  CHECK(isnan(ql_stats_normal_quantile(-0.1)) && isnan(ql_stats_normal_quantile(NAN)));
  CHECK(isnan(ql_stats_t_sf(1, 0)) && isnan(ql_stats_t_quantile(0.5, -1)) && isnan(ql_stats_t_sf(NAN, 3)));
  CHECK(isnan(ql_stats_beta_cdf(0.5, 0, 1)) && isnan(ql_stats_beta_quantile(1.5, 1, 1)));
  CHECK(isnan(ql_stats_binomial_cdf(1, 2.5, 0.5)) && isnan(ql_stats_binomial_pmf(1, 2, 1.5)));
  CHECK(isinf(ql_stats_t_quantile(0, 5)) && isinf(ql_stats_normal_quantile(1)));
  CHECK(isnan(ql_stats_beta_sf(0.5, 1, 1e11)) && isnan(ql_stats_binomial_sf(1, -2, 0.5)));
  CHECK(isnan(ql_stats_binomial_quantile(2, 10, 0.5)) && isnan(ql_stats_t_sf(1, 1e-3)));
  CHECK(ql_stats_beta_quantile(0, 2, 3) == 0 && ql_stats_beta_quantile(1, 2, 3) == 1);
  CHECK(ql_stats_beta_quantile_upper(0, 2, 3) == 1 && ql_stats_binomial_pmf(3, 10, 0) == 0);
  CHECK(isinf(ql_stats_t_quantile(1e-10, 0.01))); // beyond any double
  CHECK(ql_stats_beta_cdf(-1, 2, 2) == 0 && ql_stats_beta_cdf(2, 2, 2) == 1);
}

RUN(the_normal_quantile_undoes_the_cdf, the_normal_is_symmetric_to_the_last_bit,
    the_t_of_one_and_two_degrees_has_closed_forms, the_t_quantile_undoes_the_tail,
    the_t_of_many_degrees_becomes_the_normal, the_beta_of_simple_shapes_is_a_power, binomial_probabilities_add_up,
    binomial_quantiles_are_the_first_to_reach_the_tail, arguments_outside_the_domain_are_nan)
