// SPDX-License-Identifier: Apache-2.0
// stats_boot: the seeded bootstrap of questions, clusters or strata, see stats.h.
//
// A question's columns (baseline, variant, …) lie side by side and are drawn together: that is what makes it paired.
// Clusters are summed up first and then drawn like rows, with their sizes as one more column. Each draw is a real one
// (no normal or Poisson stand-in), so a round is exactly n draws with replacement; the statistic is the caller's, of
// each round's sums. Indices come from 64-bit multiplication with rejection: no modulo bias. The same seed gives the
// same bits on every machine: integers, and additions in the order drawn.

#include "stats_inner.h"

#include <stdlib.h>
#include <string.h>

// ---- xoshiro256++ (Blackman & Vigna 2019), state filled by splitmix64 --------------------------------

static uint64_t rotate(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

void ql_stats_random_seed(struct ql_stats_random *random, uint64_t seed) {
  for (size_t i = 0; i < QL_LEN(random->s); i++) {
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    random->s[i] = z ^ (z >> 31);
  }
}

static inline uint64_t next_random(uint64_t *s) {
  uint64_t result = rotate(s[0] + s[3], 23) + s[0], shifted = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= shifted;
  s[3] = rotate(s[3], 45);
  return result;
}

uint64_t ql_stats_random_next(struct ql_stats_random *random) { return next_random(random->s); }

// Below bound, all equally likely (Lemire 2019).
static inline size_t draw(uint64_t *s, uint64_t bound) {
  unsigned __int128 product = (unsigned __int128)next_random(s) * bound;
  if ((uint64_t)product < bound) {
    uint64_t reject = (0 - bound) % bound;
    while ((uint64_t)product < reject)
      product = (unsigned __int128)next_random(s) * bound;
  }
  return (size_t)(product >> 64);
}

// ---- what is drawn: units of `width` numbers side by side, stratum after stratum ----------------------

struct units {
  double *numbers;
  size_t width;
  size_t *first; // of each stratum, and one past the last
  size_t strata;
};

static bool is_plan(const struct ql_stats_boot *plan) {
  if (!plan->rounds || !plan->rows || !plan->column_count || plan->column_count > QL_STATS_BOOT_COLUMNS)
    return false;
  if (plan->resample == QL_STATS_ROWS)
    return true;
  for (size_t i = 0; i < plan->rows; i++)
    if (plan->group[i] >= plan->group_count)
      return false;
  return plan->group_count > 0;
}

static void add_row(const struct ql_stats_boot *plan, size_t row, double *unit) {
  for (size_t c = 0; c < plan->column_count; c++)
    unit[c] += plan->columns[c][row];
  unit[plan->column_count] += 1;
}

static size_t *group_sizes(const struct ql_stats_boot *plan) {
  size_t *sizes = ql_calloc(plan->group_count, sizeof *sizes);
  for (size_t i = 0; i < plan->rows; i++)
    sizes[plan->group[i]]++;
  return sizes;
}

// One stratum whose units are the clusters that have rows.
static void lay_out_clusters(const struct ql_stats_boot *plan, struct units *units) {
  size_t *place = group_sizes(plan), used = 0;
  for (size_t g = 0; g < plan->group_count; g++)
    place[g] = place[g] ? used++ : 0;
  for (size_t i = 0; i < plan->rows; i++)
    add_row(plan, i, units->numbers + place[plan->group[i]] * units->width);
  free(place);
  units->first[1] = used;
}

static void lay_out_strata(const struct ql_stats_boot *plan, struct units *units) {
  size_t *place = group_sizes(plan), at = 0;
  for (size_t g = 0; g < plan->group_count; g++) {
    size_t size = place[g];
    units->first[g] = place[g] = at;
    at += size;
  }
  units->first[plan->group_count] = at;
  for (size_t i = 0; i < plan->rows; i++)
    add_row(plan, i, units->numbers + place[plan->group[i]]++ * units->width);
  free(place);
}

static struct units lay_out(const struct ql_stats_boot *plan) {
  struct units units = {.width = plan->column_count + 1,
                        .strata = plan->resample == QL_STATS_STRATA ? plan->group_count : 1};
  units.numbers = ql_calloc(plan->rows * units.width, sizeof *units.numbers);
  units.first = ql_calloc(units.strata + 1, sizeof *units.first);
  if (plan->resample == QL_STATS_CLUSTERS)
    lay_out_clusters(plan, &units);
  else if (plan->resample == QL_STATS_STRATA)
    lay_out_strata(plan, &units);
  else {
    for (size_t i = 0; i < plan->rows; i++)
      add_row(plan, i, units.numbers + i * units.width);
    units.first[1] = plan->rows;
  }
  return units;
}

// ---- rounds -------------------------------------------------------------------------------------------

// With a width the compiler knows, the sums stay in registers.
static inline __attribute__((always_inline)) void one_round(const struct units *units, size_t width,
                                                            struct ql_stats_random *random, double *sums) {
  double held[QL_STATS_BOOT_COLUMNS + 1] = {0};
  struct ql_stats_random state = *random;
  for (size_t stratum = 0; stratum < units->strata; stratum++) {
    const double *from = units->numbers + units->first[stratum] * width;
    size_t count = units->first[stratum + 1] - units->first[stratum];
    for (size_t i = 0; i < count; i++) {
      const double *unit = from + draw(state.s, count) * width;
      for (size_t c = 0; c < width; c++)
        held[c] += unit[c];
    }
  }
  *random = state;
  memcpy(sums, held, width * sizeof *sums);
}

int ql_stats_boot_sums(const struct ql_stats_boot *plan, double *sums) {
  if (!is_plan(plan))
    return -1;
  struct units units = lay_out(plan);
  struct ql_stats_random random;
  ql_stats_random_seed(&random, plan->seed);
  for (size_t round = 0; round < plan->rounds; round++, sums += units.width) {
    switch (units.width) {
    case 2: one_round(&units, 2, &random, sums); break;
    case 3: one_round(&units, 3, &random, sums); break;
    case 4: one_round(&units, 4, &random, sums); break;
    default: one_round(&units, 5, &random, sums); break;
    }
  }
  free(units.numbers);
  free(units.first);
  return 0;
}
