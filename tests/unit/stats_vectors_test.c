// SPDX-License-Identifier: Apache-2.0
// Every reference case through the C functions, within the tolerance its section states.
//
// The reference file is not part of the project: without it the test says so and passes. A section that has no
// function here fails, and so does a count other than 343, so that no case is dropped unnoticed.
#include "json_tree.h"
#include "near.h"
#include "stats.h"

#define VECTORS "../shared/reference/stats_vectors.json"

static struct {
  const char *section, *name;
  int number;
  double rel, abs;
} now;

// null is undefined, as NaN is in C; "inf" and "-inf" are infinite.
static double value_of(const struct json *json) {
  if (json->type == JSON_NULL)
    return NAN;
  return json->type == JSON_STRING ? strtod(json->text, NULL) : json->number;
}

static double number(const struct json *object, const char *key) { return value_of(json_get(object, key)); }

static void want(const char *what, double got, const struct json *json) {
  double wanted = value_of(json);
  bool ok = isnan(wanted)   ? isnan(got)
            : isinf(wanted) ? got == wanted
                            : fabs(got - wanted) <= now.abs + now.rel * fabs(wanted);
  check_count++;
  if (ok)
    return;
  check_failures++;
  fprintf(stderr, "%s %d %s: %s: want %.17g, got %.17g\n", now.section, now.number, now.name ? now.name : "", what,
          wanted, got);
}

static void want_field(const struct json *out, const char *key, double got) { want(key, got, json_get(out, key)); }

static void want_range(const struct json *out, const char *key, double lo, double hi) {
  const struct json *pair = json_get(out, key);
  want(key, lo, pair->first);
  want(key, hi, pair->first->next);
}

static double *numbers(const struct json *list, size_t *count) {
  double *values = json_keep(ql_calloc(list->count + 1, sizeof *values)), *at = values;
  for (const struct json *item = list->first; item; item = item->next)
    *at++ = value_of(item);
  *count = list->count;
  return values;
}

static double *sorted_numbers(const struct json *list, size_t *count) {
  double *values = numbers(list, count);
  ql_stats_sort(values, *count);
  return values;
}

static struct ql_stats_cells cells_of(const struct json *in) {
  return (struct ql_stats_cells){number(in, "both_right"), number(in, "base_only"), number(in, "variant_only"),
                                 number(in, "both_wrong")};
}

// ---- one function for each section --------------------------------------------------------------------

static void normal_quantile(const struct json *in, const struct json *out) {
  want("quantile", ql_stats_normal_quantile(number(in, "p")), out);
}

static void normal_cdf(const struct json *in, const struct json *out) {
  want_field(out, "cdf", ql_stats_normal_cdf(number(in, "x")));
  want_field(out, "sf", ql_stats_normal_sf(number(in, "x")));
}

static void t_quantile(const struct json *in, const struct json *out) {
  want("quantile", ql_stats_t_quantile(number(in, "p"), number(in, "df")), out);
}

static void t_sf(const struct json *in, const struct json *out) {
  double t = number(in, "t"), df = number(in, "df");
  want_field(out, "sf", ql_stats_t_sf(t, df));
  want_field(out, "p_two_sided", 2 * ql_stats_t_sf(fabs(t), df));
}

static void binomial(const struct json *in, const struct json *out) {
  double k = number(in, "k"), n = number(in, "n"), p = number(in, "p");
  want_field(out, "pmf", ql_stats_binomial_pmf(k, n, p));
  want_field(out, "cdf", ql_stats_binomial_cdf(k, n, p));
}

static void wilson_ci(const struct json *in, const struct json *out) {
  double lo, hi;
  CHECK_INT(ql_stats_wilson(number(in, "k"), number(in, "n"), number(in, "conf"), &lo, &hi), 0);
  want_field(out, "lo", lo);
  want_field(out, "hi", hi);
}

static void clopper_pearson_ci(const struct json *in, const struct json *out) {
  double lo, hi;
  CHECK_INT(ql_stats_clopper_pearson(number(in, "k"), number(in, "n"), number(in, "conf"), &lo, &hi), 0);
  want_field(out, "lo", lo);
  want_field(out, "hi", hi);
}

static void mcnemar(const struct json *in, const struct json *out) {
  struct ql_stats_mcnemar got;
  CHECK_INT(ql_stats_mcnemar(number(in, "b"), number(in, "c"), &got), 0);
  want_field(out, "p_exact", got.p_exact);
  want_field(out, "p_midp", got.p_midp);
  want_field(out, "chi2", got.chi2);
  want_field(out, "p_chi2", got.p_chi2);
  want_field(out, "chi2_cc", got.chi2_cc);
  want_field(out, "p_chi2_cc", got.p_chi2_cc);
}

static void paired_diff_ci(const struct json *in, const struct json *out) {
  struct ql_stats_cells cells = cells_of(in);
  struct ql_stats_paired got;
  CHECK_INT(ql_stats_paired(&cells, number(in, "level"), &got), 0);
  want_field(out, "diff", got.diff);
  want_field(out, "se_miller_ddof1", got.se);
  want_range(out, "t_interval_ddof1", got.t.lo, got.t.hi);
  want_range(out, "wald", got.wald.lo, got.wald.hi);
  want_range(out, "agresti_min", got.agresti_min.lo, got.agresti_min.hi);
  want_range(out, "bonett_price", got.bonett_price.lo, got.bonett_price.hi);
  want_range(out, "newcombe10", got.newcombe10.lo, got.newcombe10.hi);
  want_range(out, "tango", got.tango.lo, got.tango.hi);
}

static void tost_paired_binary(const struct json *in, const struct json *out) {
  struct ql_stats_cells cells = cells_of(in);
  struct ql_stats_tost got;
  struct ql_stats_paired paired;
  CHECK_INT(ql_stats_tango_tost(&cells, number(in, "margin"), &got), 0);
  want_field(out, "tango_z_lower", got.lower);
  want_field(out, "tango_p_noninferior", got.p_noninferior);
  want_field(out, "tango_z_upper", got.upper);
  want_field(out, "tango_p_nonsuperior", got.p_nonsuperior);
  want_field(out, "tango_p_tost", got.p_tost);
  CHECK_INT(ql_stats_paired(&cells, 0.95, &paired), 0);
  CHECK_INT(ql_stats_tost(paired.diff, paired.se, paired.df, number(in, "margin"), &got), 0);
  want_field(out, "t_lower", got.lower);
  want_field(out, "t_p_noninferior", got.p_noninferior);
  want_field(out, "t_upper", got.upper);
  want_field(out, "t_p_nonsuperior", got.p_nonsuperior);
  want_field(out, "t_p_tost", got.p_tost);
  want_field(out, "t_df", got.df);
}

static struct ql_stats_t paired_t_of(const struct json *in) {
  size_t count;
  double *baseline = numbers(json_get(in, "baseline"), &count), *variant = numbers(json_get(in, "variant"), &count);
  struct ql_stats_t got;
  CHECK_INT(ql_stats_paired_t(baseline, variant, count, 0.95, baseline, &got), 0);
  return got;
}

static void paired_t(const struct json *in, const struct json *out) {
  struct ql_stats_t got = paired_t_of(in);
  want_field(out, "mean_diff", got.mean);
  want_field(out, "t", got.t);
  want_field(out, "df", got.df);
  want_field(out, "p", got.p);
  want_field(out, "se", got.se);
  want_range(out, "ci95", got.lo, got.hi);
}

static struct json *vectors;

static void tost_paired_continuous(const struct json *in, const struct json *out) {
  const char *name = strchr(json_get(in, "data")->text, ':') + 1;
  const struct json *data = NULL;
  for (const struct json *one = json_get(json_get(vectors, "paired_t"), "cases")->first; one; one = one->next)
    if (!strcmp(json_get(one, "name")->text, name))
      data = json_get(one, "in");
  struct ql_stats_t t = paired_t_of(data);
  struct ql_stats_tost got;
  CHECK_INT(ql_stats_tost(t.mean, t.se, t.df, number(in, "margin"), &got), 0);
  want_field(out, "t_lower", got.lower);
  want_field(out, "p_lower", got.p_noninferior);
  want_field(out, "t_upper", got.upper);
  want_field(out, "p_upper", got.p_nonsuperior);
  want_field(out, "p_tost", got.p_tost);
  want_field(out, "df", got.df);
}

static void p_adjust(const struct json *in, const struct json *out) {
  static const struct {
    const char *name;
    int (*method)(const double *, size_t, double *);
  } methods[] = {{"holm", ql_stats_holm}, {"bh", ql_stats_benjamini_hochberg}, {"bonferroni", ql_stats_bonferroni}};
  for (size_t m = 0; m < QL_LEN(methods); m++) {
    size_t count, i = 0;
    double *p = numbers(json_get(in, "p"), &count);
    CHECK_INT(methods[m].method(p, count, p), 0);
    for (const struct json *one = json_get(out, methods[m].name)->first; one; one = one->next)
      want(methods[m].name, p[i++], one);
  }
}

struct rows {
  double values[20000];
  uint32_t cluster[20000];
  size_t count;
};

static void add_rows(struct rows *rows, uint32_t cluster, double value, double times) {
  for (; times > 0; times--, rows->count++) {
    rows->values[rows->count] = value;
    rows->cluster[rows->count] = cluster;
  }
}

// The three encodings a case may have: rows, counts of ones, counts of +1 and -1.
static size_t read_clusters(const struct json *in, struct rows *rows) {
  const struct json *clusters = json_find(in, "clusters"), *sums = json_find(in, "sum");
  uint32_t g = 0;
  if (clusters) {
    for (const struct json *one = clusters->first; one; one = one->next, g++)
      for (const struct json *value = one->first; value; value = value->next)
        add_rows(rows, g, value_of(value), 1);
    return g;
  }
  size_t count;
  double *n = numbers(json_get(in, "n"), &count), *plus = numbers(sums ? sums : json_get(in, "plus"), &count);
  double *minus = sums ? json_keep(ql_calloc(count, sizeof *minus)) : numbers(json_get(in, "minus"), &count);
  for (; g < count; g++) {
    add_rows(rows, g, 1, plus[g]);
    add_rows(rows, g, -1, minus[g]);
    add_rows(rows, g, 0, n[g] - plus[g] - minus[g]);
  }
  return g;
}

static void clustered_se(const struct json *in, const struct json *out) {
  static struct rows rows;
  rows.count = 0;
  size_t clusters = read_clusters(in, &rows);
  struct ql_stats_clustered got;
  CHECK_INT(ql_stats_clustered(rows.values, rows.cluster, rows.count, clusters, 0.95, &got), 0);
  want_field(out, "mean", got.mean);
  want_field(out, "se_iid_ddof1", got.se_iid);
  want_field(out, "se_cr0", got.se_cr0);
  want_field(out, "se_cr1", got.se_cr1);
  want_field(out, "df", got.df);
  want_field(out, "deff_cr0", got.deff);
  want_range(out, "ci95_cr1", got.lo, got.hi);
}

static void quantile_type7(const struct json *in, const struct json *out) {
  size_t count, shares, i = 0;
  double *x = sorted_numbers(json_get(in, "x"), &count), *q = numbers(json_get(in, "q"), &shares);
  for (const struct json *one = out->first; one; one = one->next)
    want("quantile", ql_stats_quantile_sorted(x, count, q[i++]), one);
}

static void quantile_ci(const struct json *in, const struct json *out) {
  struct ql_stats_ranks got;
  double n = number(in, "n");
  CHECK_INT(ql_stats_quantile_ranks(n, number(in, "q"), number(in, "conf"), &got), 0);
  want_field(out, "l", got.lower);
  want_field(out, "u", got.upper);
  want_field(out, "coverage", got.coverage);
  want_field(out, "lower_unbounded", got.lower < 1);
  want_field(out, "upper_unbounded", got.upper > n);
}

static void mann_whitney(const struct json *in, const struct json *out) {
  size_t x_count, y_count;
  double *x = sorted_numbers(json_get(in, "x"), &x_count), *y = sorted_numbers(json_get(in, "y"), &y_count);
  struct ql_stats_mann_whitney got;
  CHECK_INT(ql_stats_mann_whitney(x, x_count, y, y_count, &got), 0);
  want_field(out, "U_x", got.u);
  want_field(out, "p_two_sided", got.p);
  want_field(out, "p_two_sided_cc", got.p_cc);
  want_field(out, "prob_x_gt_y", got.share);
  want_field(out, "hodges_lehmann_x_minus_y", got.shift);
}

static void kl_divergence(const struct json *in, const struct json *out) {
  size_t count;
  double *p = numbers(json_get(in, "p_base"), &count), *q = numbers(json_get(in, "p_variant"), &count), nats;
  struct ql_stats_kl_part part;
  CHECK_INT(ql_stats_kl(p, q, count, &nats), 0);
  CHECK_INT(ql_stats_kl_top(p, q, count, (size_t)number(out, "k"), &part), 0);
  want_field(out, "kl_full_nats", nats);
  want_field(out, "kl_topk_plus_tail", part.nats);
  want_field(out, "tail_base", part.rest_base);
  want_field(out, "tail_variant", part.rest_variant);
  want_field(out, "same_top", ql_stats_top(p, count) == ql_stats_top(q, count));
}

static void batch_means_ci(const struct json *in, const struct json *out) {
  size_t count;
  double *values = numbers(json_get(in, "batch_means"), &count);
  struct ql_stats_t got;
  CHECK_INT(ql_stats_t_test(values, count, 0.95, &got), 0);
  want_field(out, "mean", got.mean);
  want_range(out, "ci95", got.lo, got.hi);
}

static void sample_size(const struct json *in, const struct json *out) {
  double n = ql_stats_sample_size(number(in, "delta"), number(in, "var_d"), number(in, "alpha_one_sided"),
                                  number(in, "power"));
  want_field(out, "n_exact", n);
  want_field(out, "n_ceil", ceil(n));
}

static void lm_eval_group(const struct json *in, const struct json *out) {
  size_t count;
  double *correct = numbers(json_get(in, "correct"), &count), *n = numbers(json_get(in, "n"), &count);
  struct ql_stats_grouped got;
  CHECK_INT(ql_stats_grouped(correct, n, count, &got), 0);
  want_field(out, "micro_acc", got.micro);
  want_field(out, "macro_acc", got.macro);
  want_field(out, "pooled_stderr", got.se_pooled);
}

// ---- all of them ----------------------------------------------------------------------------------------

#define SECTION(name)                                                                                                  \
  { #name, name }
static const struct {
  const char *name;
  void (*check)(const struct json *in, const struct json *out);
} sections[] = {
    SECTION(normal_quantile), SECTION(normal_cdf),         SECTION(t_quantile),     SECTION(t_sf),
    SECTION(binomial),        SECTION(wilson_ci),          SECTION(mcnemar),        SECTION(clopper_pearson_ci),
    SECTION(paired_diff_ci),  SECTION(tost_paired_binary), SECTION(paired_t),       SECTION(tost_paired_continuous),
    SECTION(p_adjust),        SECTION(clustered_se),       SECTION(quantile_type7), SECTION(quantile_ci),
    SECTION(mann_whitney),    SECTION(kl_divergence),      SECTION(batch_means_ci), SECTION(sample_size),
    SECTION(lm_eval_group),
};

static void every_reference_case_is_met(void) {
  vectors = json_read(VECTORS);
  if (!vectors) {
    printf("skipped: needs %s, which is not here\n", VECTORS);
    return;
  }
  int cases = 0;
  CHECK_INT(vectors->count, QL_LEN(sections) + 1); // and "meta"
  for (size_t s = 0; s < QL_LEN(sections); s++) {
    const struct json *section = json_get(vectors, sections[s].name), *tol = json_get(section, "tol");
    now.section = sections[s].name;
    now.rel = number(tol, "rel");
    now.abs = number(tol, "abs");
    now.number = 0;
    for (const struct json *one = json_get(section, "cases")->first; one; one = one->next, cases++) {
      const struct json *name = json_find(one, "name");
      now.number++;
      now.name = name ? name->text : NULL;
      sections[s].check(json_get(one, "in"), json_get(one, "out"));
    }
  }
  CHECK_INT(cases, 343);
}

RUN(every_reference_case_is_met)
