// SPDX-License-Identifier: Apache-2.0
// Whole samples: moments, clusters, ranks, series, bootstrap, power and divergence, by identities and by brute force.
#include "near.h"
#include "stats.h"

static void a_large_offset_costs_no_digits(void) {
  double baseline[] = {1e9, 1e9 + 1, 1e9 + 2}, variant[] = {1e9 + 0.5, 1e9 + 1, 1e9 + 2.25}, room[3];
  struct ql_stats_t out;
  CHECK_INT(ql_stats_paired_t(baseline, variant, 3, 0.95, room, &out), 0);
  CHECK(out.mean == 0.25 && out.sd == 0.25 && out.df == 2);
}

static void too_few_values_or_none_spread_are_undefined(void) {
  double same[] = {2, 2, 2};
  struct ql_stats_t out;
  ql_stats_t_test(same, 3, 0.95, &out);
  CHECK(out.mean == 2 && out.se == 0 && isnan(out.lo) && isnan(out.p));
  ql_stats_t_test(same, 1, 0.95, &out);
  CHECK(out.mean == 2 && isnan(out.se) && isnan(out.hi));
  ql_stats_t_test(same, 0, 0.95, &out);
  CHECK(isnan(out.mean) && isnan(out.df));
  CHECK_INT(ql_stats_t_test(same, 3, 0, &out), -1);
}

static void quantiles_of_infinite_neighbours_are_no_nan(void) {
  double values[] = {1, INFINITY, INFINITY};
  CHECK(ql_stats_quantile_sorted(values, 3, 0) == 1);
  CHECK(isinf(ql_stats_quantile_sorted(values, 3, 0.75)));
}

static void a_cluster_for_each_row_is_no_clustering(void) {
  double values[] = {1, 0, 1, 1, 0, 1}, mean, variance;
  uint32_t own[] = {0, 1, 2, 3, 4, 5}, one[] = {0, 0, 0, 0, 0, 0}, gaps[] = {1, 1, 4, 4, 9, 9};
  struct ql_stats_clustered out;
  CHECK_INT(ql_stats_clustered(values, own, 6, 6, 0.95, &out), 0);
  ql_stats_moments(values, 6, &mean, &variance);
  CHECK_NEAR(out.se_cr1, sqrt(variance / 6), 1e-14);
  CHECK_NEAR(out.deff, 1, 1e-14);
  CHECK_INT(ql_stats_clustered(values, one, 6, 1, 0.95, &out), 0);
  CHECK(out.clusters == 1 && isnan(out.se_cr1) && isnan(out.lo) && out.se_iid > 0);
  CHECK_INT(ql_stats_clustered(values, gaps, 6, 10, 0.95, &out), 0);
  CHECK(out.clusters == 3 && out.df == 2);
  CHECK_INT(ql_stats_clustered(values, gaps, 6, 9, 0.95, &out), -1);
  CHECK_INT(ql_stats_clustered(values, gaps, 6, 10, 1.5, &out), -1);
  CHECK_INT(ql_stats_clustered(NULL, NULL, 0, 0, 0.95, &out), 0);
  CHECK(isnan(out.mean));
}

static void micro_is_macro_for_groups_of_one_size(void) {
  double correct[] = {50, 60, 70}, n[] = {100, 100, 100}, single[] = {1, 1, 1};
  struct ql_stats_grouped out;
  CHECK_INT(ql_stats_grouped(correct, n, 3, &out), 0);
  CHECK_NEAR(out.micro, out.macro, 1e-15);
  CHECK_NEAR(out.se_macro_sample, 0.1 / sqrt(3), 1e-14);
  CHECK_NEAR(out.se_macro_fixed, sqrt((0.25 + 0.24 + 0.21) / 99) / 3, 1e-14);
  CHECK_INT(ql_stats_grouped(single, single, 3, &out), 0);
  CHECK(out.micro == 1 && isnan(out.se_macro_fixed));
  CHECK_INT(ql_stats_grouped(n, correct, 3, &out), -1);
  CHECK_INT(ql_stats_grouped(NULL, NULL, 0, &out), 0);
  CHECK(isnan(out.micro));
}

static void the_ranks_of_a_percentile_cover_at_least_the_level(void) {
  static const double shares[] = {0.01, 0.5, 0.9, 0.99};
  for (double n = 1; n < 500; n += 7)
    for (size_t i = 0; i < QL_LEN(shares); i++) {
      struct ql_stats_ranks out;
      CHECK_INT(ql_stats_quantile_ranks(n, shares[i], 0.95, &out), 0);
      CHECK(out.coverage >= 0.95 && out.lower >= 0 && out.upper <= n + 1);
    }
}

static void p99_has_an_upper_limit_from_368_values_on(void) {
  struct ql_stats_ranks out;
  ql_stats_quantile_ranks(367, 0.99, 0.95, &out);
  CHECK(out.upper == 368);
  ql_stats_quantile_ranks(368, 0.99, 0.95, &out);
  CHECK(out.upper == 368);
  CHECK_INT(ql_stats_quantile_ranks(10, 1, 0.95, &out), -1);
  CHECK_INT(ql_stats_quantile_ranks(0, 0.5, 0.95, &out), 0);
  CHECK(isnan(out.lower));
}

// U and the shift by writing down every pair.
static void mann_whitney_equals_brute_force(void) {
  enum { X = 23, Y = 18 };
  struct ql_stats_random random;
  ql_stats_random_seed(&random, 7);
  for (int round = 0; round < 50; round++) {
    double x[X], y[Y], pairs[X * Y], u = 0;
    for (int i = 0; i < X; i++)
      x[i] = (double)(ql_stats_random_next(&random) % 40) / 8 - 2;
    for (int j = 0; j < Y; j++)
      y[j] = (double)(ql_stats_random_next(&random) % 40) / 8 - 2;
    for (int i = 0; i < X; i++)
      for (int j = 0; j < Y; j++) {
        pairs[i * Y + j] = x[i] - y[j];
        u += x[i] > y[j] ? 1 : x[i] == y[j] ? 0.5 : 0;
      }
    ql_stats_sort(x, X);
    ql_stats_sort(y, Y);
    ql_stats_sort(pairs, X * Y);
    struct ql_stats_mann_whitney out, mirror;
    CHECK_INT(ql_stats_mann_whitney(x, X, y, Y, &out), 0);
    CHECK_INT(ql_stats_mann_whitney(y, Y, x, X, &mirror), 0);
    CHECK(out.u == u);
    CHECK(out.shift == ql_stats_quantile_sorted(pairs, X * Y, 0.5));
    CHECK(mirror.shift == -out.shift && mirror.u == X * Y - out.u);
    CHECK_NEAR(mirror.p, out.p, 1e-14);
  }
}

static void mann_whitney_at_its_edges(void) {
  double same[] = {5, 5, 5}, far[] = {-1e300, 1e300}, mixed[] = {-0.0, INFINITY};
  struct ql_stats_mann_whitney out;
  ql_stats_mann_whitney(same, 3, same, 2, &out);
  CHECK(out.p == 1 && out.p_cc == 1 && out.shift == 0 && out.share == 0.5);
  ql_stats_mann_whitney(far, 1, same, 3, &out);
  CHECK(out.shift == -1e300 && out.u == 0);
  ql_stats_mann_whitney(NULL, 0, same, 3, &out);
  CHECK(isnan(out.u) && isnan(out.p));
  CHECK_INT(ql_stats_mann_whitney(mixed, 2, same, 3, &out), -1);
}

static void welch_of_equal_groups_is_the_pooled_test(void) {
  double x[] = {1, 2, 3, 4}, y[] = {2, 3, 4, 5};
  struct ql_stats_t out;
  CHECK_INT(ql_stats_welch(x, 4, y, 4, 0.95, &out), 0);
  CHECK_NEAR(out.df, 6, 1e-14);
  CHECK_NEAR(out.mean, 1, 1e-15);
  CHECK_NEAR(out.se, sqrt(5.0 / 3 / 4 * 2), 1e-14);
  ql_stats_welch(x, 1, y, 4, 0.95, &out);
  CHECK(isnan(out.se) && isnan(out.lo));
}

static void autocorrelation_knows_trends_and_zigzags(void) {
  double up[] = {1, 2, 3, 4, 5, 6, 7, 8}, zigzag[] = {1, -1, 1, -1, 1, -1, 1, -1}, flat[] = {3, 3};
  CHECK_NEAR(ql_stats_autocorrelation(up, 8), 0.625, 1e-14);
  CHECK_NEAR(ql_stats_autocorrelation(zigzag, 8), -0.875, 1e-14);
  CHECK(isnan(ql_stats_autocorrelation(flat, 2)));
}

static void sample_size_power_and_detectable_undo_each_other(void) {
  double n = ql_stats_sample_size(0.01, 0.03, 0.025, 0.8);
  CHECK_NEAR(n, 2354.6639203047275, 1e-12);
  CHECK_NEAR(ql_stats_detectable(n, 0.03, 0.025, 0.8), 0.01, 1e-14);
  CHECK_NEAR(ql_stats_power(n, 0.01, 0.03, 0.025), 0.8, 1e-13);
  CHECK(isnan(ql_stats_sample_size(0, 0.03, 0.025, 0.8)) && isnan(ql_stats_power(0, 0.01, 0.03, 0.025)));
  CHECK(isnan(ql_stats_detectable(100, 0.03, 0, 0.8)));
}

static void coarser_distributions_diverge_less(void) {
  double p[] = {0.4, 0.3, 0.15, 0.1, 0.05}, q[] = {0.35, 0.25, 0.2, 0.15, 0.05}, nats, before = 0;
  CHECK_INT(ql_stats_kl(p, q, 5, &nats), 0);
  for (size_t k = 1; k <= 5; k++) {
    struct ql_stats_kl_part part;
    CHECK_INT(ql_stats_kl_top(p, q, 5, k, &part), 0);
    CHECK(part.nats >= before && part.nats <= nats * (1 + 1e-14));
    before = part.nats;
  }
  CHECK_NEAR(before, nats, 1e-14);
  CHECK_INT(ql_stats_kl(p, p, 5, &nats), 0);
  CHECK(nats == 0);
  double bad[] = {-1, 2}, zero[] = {0, 0};
  CHECK_INT(ql_stats_kl(bad, q, 2, &nats), -1);
  CHECK_INT(ql_stats_kl(zero, q, 2, &nats), -1);
}

static void known_tokens_give_the_truncated_divergence(void) {
  double p[] = {0.6, 0.3}, q[] = {0.5, 0.35}, base[2], variant[2];
  for (int i = 0; i < 2; i++) {
    base[i] = log(p[i]);
    variant[i] = log(q[i]);
  }
  struct ql_stats_kl_part part;
  CHECK_INT(ql_stats_kl_known(base, variant, 2, &part), 0);
  CHECK_NEAR(part.nats, 0.6 * log(0.6 / 0.5) + 0.3 * log(0.3 / 0.35) + 0.1 * log(0.1 / 0.15), 1e-13);
  CHECK_NEAR(part.rest_base, 0.1, 1e-14);
  // Rounded log-probabilities that sum to a hair above 1 are no infinite divergence.
  double sure[] = {1e-8}, likely[] = {log(0.9)};
  CHECK_INT(ql_stats_kl_known(likely, sure, 1, &part), 0);
  CHECK(part.rest_variant == 0 && isfinite(part.nats) && part.nats > 0);
  CHECK_INT(ql_stats_kl_known(NULL, NULL, 0, &part), 0);
  CHECK(part.nats == 0 && part.rest_base == 1);
  double more[] = {0, 0};
  CHECK_INT(ql_stats_kl_known(more, more, 2, &part), -1);
}

// ---- bootstrap ----------------------------------------------------------------------------------------

static void the_generator_is_the_published_one(void) {
  // splitmix64 from seed 0 starts with these two; the state holds them.
  struct ql_stats_random random;
  ql_stats_random_seed(&random, 0);
  CHECK(random.s[0] == 0xe220a8397b1dcdafu && random.s[1] == 0x6e789e6aa1b965f4u);
  // xoshiro256++ from the state 1, 2, 3, 4.
  random = (struct ql_stats_random){{1, 2, 3, 4}};
  CHECK(ql_stats_random_next(&random) == 41943041u);
  CHECK(ql_stats_random_next(&random) == 58720359u);
}

static void a_bootstrap_draws_the_rows_it_has(void) {
  enum { ROWS = 40, ROUNDS = 4000 };
  static double value[ROWS], sums[ROUNDS * 2], again[ROUNDS * 2];
  double mean, variance;
  for (int i = 0; i < ROWS; i++)
    value[i] = i;
  const double *columns[] = {value};
  struct ql_stats_boot plan = {.columns = columns, .column_count = 1, .rows = ROWS, .rounds = ROUNDS, .seed = 5};
  CHECK_INT(ql_stats_boot_sums(&plan, sums), 0);
  CHECK_INT(ql_stats_boot_sums(&plan, again), 0);
  CHECK(memcmp(sums, again, sizeof sums) == 0);
  for (int r = 0; r < ROUNDS; r++) {
    CHECK(sums[2 * r + 1] == ROWS);
    again[r] = sums[2 * r] / ROWS;
  }
  // The mean of n draws has variance sigma^2 / n; 4000 rounds know it to some 2.2 %, and the mean to 0.03.
  ql_stats_moments(again, ROUNDS, &mean, &variance);
  double sigma2 = (ROWS * ROWS - 1) / 12.0;
  CHECK(fabs(mean - 19.5) < 5 * sqrt(sigma2 / ROWS / ROUNDS));
  CHECK(fabs(variance / (sigma2 / ROWS) - 1) < 5 * sqrt(2.0 / ROUNDS));
  plan.seed = 6;
  ql_stats_boot_sums(&plan, again);
  CHECK(memcmp(sums, again, sizeof sums) != 0);
}

static void columns_of_a_row_are_drawn_together(void) {
  enum { ROWS = 57, ROUNDS = 200 };
  double a[ROWS], b[ROWS], c[ROWS], d[ROWS], sums[ROUNDS * 5];
  for (int i = 0; i < ROWS; i++) {
    a[i] = i * i % 13;
    b[i] = 2 * a[i];
    c[i] = 1;
    d[i] = -a[i];
  }
  const double *columns[] = {a, b, c, d};
  struct ql_stats_boot plan = {.columns = columns, .column_count = 4, .rows = ROWS, .rounds = ROUNDS, .seed = 1};
  CHECK_INT(ql_stats_boot_sums(&plan, sums), 0);
  for (int r = 0; r < ROUNDS; r++) {
    const double *s = sums + 5 * r;
    CHECK(s[1] == 2 * s[0] && s[2] == ROWS && s[3] == -s[0] && s[4] == ROWS);
  }
  for (plan.column_count = 1; plan.column_count < 4; plan.column_count++) { // the draws do not depend on the columns
    double fewer[ROUNDS * 4];
    CHECK_INT(ql_stats_boot_sums(&plan, fewer), 0);
    for (size_t r = 0; r < ROUNDS; r++)
      CHECK(fewer[(plan.column_count + 1) * r] == sums[5 * r] && fewer[(plan.column_count + 1) * (r + 1) - 1] == ROWS);
  }
  CHECK_INT(ql_stats_boot_sums(&plan, sums), 0);
  plan.column_count = 5;
  CHECK_INT(ql_stats_boot_sums(&plan, sums), -1);
}

static void clusters_come_whole_and_strata_keep_their_size(void) {
  enum { ROWS = 30, ROUNDS = 300 };
  double value[ROWS], marks[ROWS], sums[ROUNDS * 3];
  uint32_t group[ROWS];
  for (int i = 0; i < ROWS; i++) { // groups 0, 2 and 3 of 15, 10 and 5 rows, mixed; 1 has none
    group[i] = i % 6 < 3 ? 0 : i % 6 < 5 ? 2 : 3;
    value[i] = group[i] == 0;
    marks[i] = group[i] == 2;
  }
  const double *columns[] = {value, marks};
  struct ql_stats_boot plan = {.columns = columns, .column_count = 2, .rows = ROWS, .group = group, .group_count = 4,
                               .resample = QL_STATS_CLUSTERS, .rounds = ROUNDS, .seed = 3};
  CHECK_INT(ql_stats_boot_sums(&plan, sums), 0);
  bool sizes_differ = false;
  for (int r = 0; r < ROUNDS; r++) {
    const double *s = sums + 3 * r;
    CHECK(fmod(s[0], 15) == 0 && fmod(s[1], 10) == 0 && fmod(s[2], 5) == 0 && s[2] >= 15 && s[2] <= 45);
    sizes_differ = sizes_differ || s[2] != ROWS;
  }
  CHECK(sizes_differ);
  plan.resample = QL_STATS_STRATA;
  CHECK_INT(ql_stats_boot_sums(&plan, sums), 0);
  for (int r = 0; r < ROUNDS; r++)
    CHECK(sums[3 * r] == 15 && sums[3 * r + 1] == 10 && sums[3 * r + 2] == ROWS);
  plan.group_count = 3;
  CHECK_INT(ql_stats_boot_sums(&plan, sums), -1);
  plan.rows = 0;
  CHECK_INT(ql_stats_boot_sums(&plan, sums), -1);
}

RUN(a_large_offset_costs_no_digits, too_few_values_or_none_spread_are_undefined,
    quantiles_of_infinite_neighbours_are_no_nan, a_cluster_for_each_row_is_no_clustering,
    micro_is_macro_for_groups_of_one_size, the_ranks_of_a_percentile_cover_at_least_the_level,
    p99_has_an_upper_limit_from_368_values_on, mann_whitney_equals_brute_force, mann_whitney_at_its_edges,
    welch_of_equal_groups_is_the_pooled_test, autocorrelation_knows_trends_and_zigzags,
    sample_size_power_and_detectable_undo_each_other, coarser_distributions_diverge_less,
    known_tokens_give_the_truncated_divergence, the_generator_is_the_published_one,
    a_bootstrap_draws_the_rows_it_has, columns_of_a_row_are_drawn_together,
    clusters_come_whole_and_strata_keep_their_size)
