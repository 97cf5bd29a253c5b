// SPDX-License-Identifier: Apache-2.0
// Paired tests and intervals: identities between them, symmetry, edges, and figures printed in papers.
#include "near.h"
#include "stats.h"

static const struct ql_stats_cells tables[] = {
    {1160, 24, 20, 115}, {10980, 362, 301, 2399}, {1, 7, 1, 12}, {0, 5, 5, 0}, {50, 0, 3, 7}, {13000, 700, 12, 330},
};

static struct ql_stats_cells swapped(struct ql_stats_cells cells) {
  return (struct ql_stats_cells){cells.both_right, cells.variant_only, cells.base_only, cells.both_wrong};
}

static void mcnemar_gives_the_published_airway_figures(void) {
  struct ql_stats_mcnemar out;
  CHECK_INT(ql_stats_mcnemar(1, 7, &out), 0);
  CHECK_NEAR(out.p_exact, 18.0 / 256, 1e-14);
  CHECK_NEAR(out.p_midp, 10.0 / 256, 1e-14);
  CHECK_NEAR(out.chi2, 4.5, 1e-15);
}

static void mcnemar_without_flips_or_balanced_is_one(void) {
  struct ql_stats_mcnemar out;
  ql_stats_mcnemar(0, 0, &out);
  CHECK(out.p_exact == 1 && out.p_midp == 1 && isnan(out.chi2) && isnan(out.p_chi2_cc));
  ql_stats_mcnemar(1, 1, &out);
  CHECK(out.p_exact == 1 && out.chi2_cc == 0 && out.p_chi2_cc == 1);
  CHECK_NEAR(out.p_midp, 0.75, 1e-15);
  ql_stats_mcnemar(0, 1000, &out);
  CHECK(out.p_exact == 0x1p-999 && out.p_midp == 0x1p-1000);
  CHECK_INT(ql_stats_mcnemar(-1, 0, &out), -1);
  CHECK_INT(ql_stats_mcnemar(1.5, 0, &out), -1);
}

static void tango_squared_at_zero_is_the_mcnemar_statistic(void) {
  for (size_t i = 0; i < QL_LEN(tables); i++) {
    struct ql_stats_mcnemar out;
    ql_stats_mcnemar(tables[i].base_only, tables[i].variant_only, &out);
    double t = ql_stats_tango(&tables[i], 0);
    CHECK_NEAR(t * t, out.chi2, 1e-14);
  }
}

static void tango_is_symmetric_to_the_last_bit(void) {
  for (size_t i = 0; i < QL_LEN(tables); i++) {
    struct ql_stats_cells mirror = swapped(tables[i]);
    for (double delta = -0.99; delta < 1; delta += 0.0617)
      CHECK(ql_stats_tango(&tables[i], delta) == -ql_stats_tango(&mirror, -delta));
  }
}

static void tango_falls_as_delta_grows(void) {
  for (size_t i = 0; i < QL_LEN(tables); i++) {
    double before = INFINITY;
    for (double delta = -0.999; delta < 1; delta += 0.0037) {
      double t = ql_stats_tango(&tables[i], delta);
      CHECK(t < before);
      before = t;
    }
  }
}

static void interval_and_test_never_contradict_each_other(void) {
  for (size_t i = 0; i < QL_LEN(tables); i++) {
    struct ql_stats_paired out;
    CHECK_INT(ql_stats_paired(&tables[i], 0.95, &out), 0);
    CHECK_NEAR(ql_stats_normal_sf(ql_stats_tango(&tables[i], out.tango.lo)), 0.025, 1e-8);
    CHECK_NEAR(ql_stats_normal_cdf(ql_stats_tango(&tables[i], out.tango.hi)), 0.025, 1e-8);
    struct ql_stats_tost tost;
    CHECK_INT(ql_stats_tango_tost(&tables[i], fmin(0.99, fabs(out.tango.lo)), &tost), 0);
    if (out.tango.lo < 0)
      CHECK_NEAR(tost.p_noninferior, 0.025, 1e-8);
  }
}

static void no_flips_at_all_give_the_closed_form(void) {
  struct ql_stats_cells same = {1184, 0, 0, 135};
  struct ql_stats_paired out;
  ql_stats_paired(&same, 0.95, &out);
  double z = ql_stats_normal_two_sided(0.95), limit = z * z / (1319 + z * z);
  CHECK_NEAR(out.tango.hi, limit, 1e-12);
  CHECK(out.tango.lo == -out.tango.hi);
  CHECK(out.wald.lo == 0 && out.wald.hi == 0 && out.se == 0 && out.diff == 0);
}

static void every_flip_one_way_pins_a_limit(void) {
  struct ql_stats_cells lost = {0, 10, 0, 0}, won = {0, 0, 10, 0};
  struct ql_stats_paired down, up;
  ql_stats_paired(&lost, 0.95, &down);
  ql_stats_paired(&won, 0.95, &up);
  CHECK(down.tango.lo == -1 && up.tango.hi == 1);
  CHECK_NEAR(down.tango.hi, -0.44493440027424, 1e-12);
  CHECK_NEAR(up.tango.lo, -down.tango.hi, 1e-14);
}

static void one_question_and_none(void) {
  struct ql_stats_cells one = {1, 0, 0, 0}, none = {0, 0, 0, 0}, bad = {1, -1, 0, 0};
  struct ql_stats_paired out;
  CHECK_INT(ql_stats_paired(&one, 0.95, &out), 0);
  CHECK(isnan(out.se) && isnan(out.t.lo) && out.tango.hi > 0.79 && out.tango.hi < 0.8);
  CHECK_INT(ql_stats_paired(&none, 0.95, &out), 0);
  CHECK(out.n == 0 && isnan(out.diff) && isnan(out.tango.lo));
  CHECK_INT(ql_stats_paired(&bad, 0.95, &out), -1);
  CHECK_INT(ql_stats_paired(&one, 1.0, &out), -1);
  struct ql_stats_tost tost;
  CHECK_INT(ql_stats_tango_tost(&none, 0.01, &tost), 0);
  CHECK(isnan(tost.p_tost));
  CHECK_INT(ql_stats_tango_tost(&one, -0.01, &tost), -1);
  CHECK_INT(ql_stats_tango_tost(&one, 1, &tost), -1);
}

static void intervals_stay_within_minus_one_and_one(void) {
  for (double b = 0; b <= 6; b++)
    for (double c = 0; c + b <= 6; c++) {
      struct ql_stats_cells cells = {3, b, c, 6 - b - c};
      struct ql_stats_paired out;
      ql_stats_paired(&cells, 0.999, &out);
      struct ql_stats_range all[] = {out.tango, out.bonett_price, out.newcombe10, out.agresti_min, out.wald};
      for (size_t i = 0; i < QL_LEN(all); i++)
        CHECK(all[i].lo >= -1 && all[i].hi <= 1 && all[i].lo <= all[i].hi);
      CHECK(out.tango.lo <= out.diff && out.diff <= out.tango.hi);
    }
}

static void a_standard_error_of_zero_proves_nothing(void) {
  struct ql_stats_tost tost;
  CHECK_INT(ql_stats_tost(0, 0, 10, 0.01, &tost), 0);
  CHECK(isnan(tost.p_noninferior) && isnan(tost.p_tost));
  CHECK_INT(ql_stats_tost(0, 0.005, INFINITY, 0.01, &tost), 0);
  CHECK_NEAR(tost.p_tost, ql_stats_normal_sf(2), 1e-15);
  CHECK_INT(ql_stats_tost(0, 0.005, 5, -1, &tost), -1);
}

static void holm_is_between_plain_and_bonferroni(void) {
  double p[] = {0.01, 0.04, 0.03, 0.005}, holm[4], bh[4], bonferroni[4];
  CHECK_INT(ql_stats_holm(p, 4, holm), 0);
  CHECK_INT(ql_stats_benjamini_hochberg(p, 4, bh), 0);
  CHECK_INT(ql_stats_bonferroni(p, 4, bonferroni), 0);
  for (int i = 0; i < 4; i++)
    CHECK(p[i] <= bh[i] && bh[i] <= holm[i] && holm[i] <= bonferroni[i]);
  CHECK_NEAR(holm[1], 0.06, 1e-15);
  CHECK_NEAR(holm[2], 0.06, 1e-15);
  CHECK_INT(ql_stats_holm(p, 4, p), 0); // in place
  CHECK(p[3] == holm[3]);
  double bad[] = {0.5, 1.5};
  CHECK_INT(ql_stats_holm(bad, 2, bad), -1);
  CHECK_INT(ql_stats_benjamini_hochberg(bad, 2, bad), -1);
  CHECK_INT(ql_stats_bonferroni(bad, 2, bad), -1);
  CHECK_INT(ql_stats_holm(NULL, 0, NULL), 0);
}

static void clopper_pearson_contains_wilson_here_and_is_exact_at_both_ends(void) {
  double lo, hi, low, high;
  CHECK_INT(ql_stats_clopper_pearson(0, 10, 0.95, &lo, &hi), 0);
  CHECK(lo == 0);
  CHECK_NEAR(hi, 1 - pow(0.025, 0.1), 1e-14);
  ql_stats_clopper_pearson(10, 10, 0.95, &low, &high);
  CHECK(high == 1);
  CHECK_NEAR(low, pow(0.025, 0.1), 1e-14);
  ql_stats_clopper_pearson(1184, 1319, 0.95, &lo, &hi);
  ql_stats_wilson(1184, 1319, 0.95, &low, &high);
  CHECK(lo < low && high < hi);
  CHECK_INT(ql_stats_clopper_pearson(0, 0, 0.95, &lo, &hi), 0);
  CHECK(isnan(lo) && isnan(hi));
  CHECK_INT(ql_stats_clopper_pearson(1.5, 2, 0.95, &lo, &hi), -1);
}

RUN(mcnemar_gives_the_published_airway_figures, mcnemar_without_flips_or_balanced_is_one,
    tango_squared_at_zero_is_the_mcnemar_statistic, tango_is_symmetric_to_the_last_bit, tango_falls_as_delta_grows,
    interval_and_test_never_contradict_each_other, no_flips_at_all_give_the_closed_form,
    every_flip_one_way_pins_a_limit, one_question_and_none, intervals_stay_within_minus_one_and_one,
    a_standard_error_of_zero_proves_nothing, holm_is_between_plain_and_bonferroni,
    clopper_pearson_contains_wilson_here_and_is_exact_at_both_ends)
