// SPDX-License-Identifier: Apache-2.0
// lua_stats_samples: the part of `require "qlua.core.stats"` that takes whole samples; conventions in lua_stats.c.
//
// lua_stats.c adds these functions to its table; as every lua_*.c is a module of its own to the build, they are
// reachable as qlua.core.stats_samples too, which nobody needs. The bootstrap runs here from start to end on the main
// thread: a large one takes half a second in which nothing else of Lua runs.

#include "lua_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int ql_open_stats_samples(lua_State *L);

static void check_same_length(lua_State *L, const char *first, size_t a, const char *second, size_t b) {
  if (a != b)
    luaL_error(L, "%s and %s: want lists of one length, got %I and %I", first, second, (LUAI_UACINT)a, (LUAI_UACINT)b);
}

// Both samples of arguments 1 and 2, of one length.
static size_t check_pair(lua_State *L, double **baseline, double **variant) {
  size_t count = 0, other = 0;
  *baseline = ql_stats_check_numbers(L, 1, "baseline", &count);
  *variant = ql_stats_check_numbers(L, 2, "variant", &other);
  check_same_length(L, "baseline", count, "variant", other);
  return count;
}

// ---- quantiles ------------------------------------------------------------------------------------------

static double check_share(lua_State *L, double q) {
  if (!(q >= 0 && q <= 1))
    luaL_error(L, "bad argument #2: q: want a number from 0 to 1, got %f", q);
  return q;
}

// quantile(values, q) → number, or for a list of q a list
static int quantile(lua_State *L) {
  lua_settop(L, 2);
  size_t count = 0, wanted = 0;
  double *values = ql_stats_check_numbers(L, 1, "values", &count);
  ql_stats_sort(values, count);
  if (lua_type(L, 2) != LUA_TTABLE) {
    double q = check_share(L, ql_stats_check_number(L, 2, "q"));
    ql_stats_push(L, ql_stats_quantile_sorted(values, count, q));
    return 1;
  }
  double *shares = ql_stats_check_numbers(L, 2, "q", &wanted);
  lua_createtable(L, (int)wanted, 0);
  for (size_t i = 0; i < wanted; i++) {
    ql_stats_push(L, ql_stats_quantile_sorted(values, count, check_share(L, shares[i])));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

// quantile_interval(values, q, level) → { n, value, lo, hi, lower, upper, coverage }; an unbounded limit is ±math.huge
static int quantile_interval(lua_State *L) {
  lua_settop(L, 3);
  size_t count = 0;
  double q = ql_stats_check_number(L, 2, "q"), level = ql_stats_check_level(L, 3);
  struct ql_stats_ranks ranks;
  double *values = ql_stats_check_numbers(L, 1, "values", &count);
  if (ql_stats_quantile_ranks((double)count, q, level, &ranks))
    return luaL_error(L, "bad argument #2: q: want a number between 0 and 1, got %f", q);
  ql_stats_sort(values, count);
  double lo = NAN, hi = NAN;
  if (count) {
    lo = ranks.lower >= 1 ? values[(size_t)ranks.lower - 1] : -INFINITY;
    hi = ranks.upper <= (double)count ? values[(size_t)ranks.upper - 1] : INFINITY;
  }
  lua_createtable(L, 0, 7);
  ql_stats_set_count(L, "n", (double)count);
  ql_stats_set(L, "value", ql_stats_quantile_sorted(values, count, q));
  ql_stats_set(L, "lo", lo);
  ql_stats_set(L, "hi", hi);
  ql_stats_set_count(L, "lower", ranks.lower);
  ql_stats_set_count(L, "upper", ranks.upper);
  ql_stats_set(L, "coverage", ranks.coverage);
  return 1;
}

// mann_whitney(x, y) → { u, z, p, p_cc, share, shift }
static int mann_whitney(lua_State *L) {
  lua_settop(L, 2);
  size_t x_count = 0, y_count = 0;
  double *x = ql_stats_check_numbers(L, 1, "x", &x_count), *y = ql_stats_check_numbers(L, 2, "y", &y_count);
  struct ql_stats_mann_whitney out;
  ql_stats_sort(x, x_count);
  ql_stats_sort(y, y_count);
  if (ql_stats_mann_whitney(x, x_count, y, y_count, &out))
    return luaL_error(L, "bad argument: x, y: want finite numbers");
  lua_createtable(L, 0, 6);
  ql_stats_set(L, "u", out.u);
  ql_stats_set(L, "z", out.z);
  ql_stats_set(L, "p", out.p);
  ql_stats_set(L, "p_cc", out.p_cc);
  ql_stats_set(L, "share", out.share);
  ql_stats_set(L, "shift", out.shift);
  return 1;
}

// ---- means and ratios -----------------------------------------------------------------------------------

static int push_t(lua_State *L, const struct ql_stats_t *t) {
  lua_createtable(L, 0, 11);
  ql_stats_set_t(L, t);
  return 1;
}

// t_test(values, level) → { n, mean, sd, se, df, t, p, lo, hi }
static int t_test(lua_State *L) {
  lua_settop(L, 2);
  size_t count = 0;
  double level = ql_stats_check_level(L, 2), *values = ql_stats_check_numbers(L, 1, "values", &count);
  struct ql_stats_t out;
  ql_stats_t_test(values, count, level, &out);
  return push_t(L, &out);
}

// batch_means(slices, level) → as t_test, with autocorrelation and correlated
static int batch_means(lua_State *L) {
  lua_settop(L, 2);
  size_t count = 0;
  double level = ql_stats_check_level(L, 2), *slices = ql_stats_check_numbers(L, 1, "slices", &count);
  struct ql_stats_t out;
  ql_stats_t_test(slices, count, level, &out);
  double lag = ql_stats_autocorrelation(slices, count);
  push_t(L, &out);
  ql_stats_set(L, "autocorrelation", lag);
  lua_pushboolean(L, lag > 2 / sqrt((double)count)); // a negative one only makes the interval wider than needed
  lua_setfield(L, -2, "correlated");
  return 1;
}

// paired_t(baseline, variant, level) → as t_test, of variant - baseline
static int paired_t(lua_State *L) {
  lua_settop(L, 3);
  double level = ql_stats_check_level(L, 3), *baseline, *variant;
  size_t count = check_pair(L, &baseline, &variant);
  struct ql_stats_t out;
  ql_stats_paired_t(baseline, variant, count, level, baseline, &out);
  return push_t(L, &out);
}

// welch(baseline, variant, level) → as t_test without sd, of mean(variant) - mean(baseline)
static int welch(lua_State *L) {
  lua_settop(L, 3);
  size_t count = 0, other = 0;
  double level = ql_stats_check_level(L, 3), *baseline = ql_stats_check_numbers(L, 1, "baseline", &count);
  double *variant = ql_stats_check_numbers(L, 2, "variant", &other);
  struct ql_stats_t out;
  ql_stats_welch(baseline, count, variant, other, level, &out);
  return push_t(L, &out);
}

static void take_logs(lua_State *L, double *values, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++) {
    if (!(values[i] > 0))
      luaL_error(L, "%s[%I]: want a number above 0, got %f", name, (LUAI_UACINT)i + 1, values[i]);
    values[i] = log(values[i]);
  }
}

static int push_ratio(lua_State *L, const struct ql_stats_t *t) {
  lua_createtable(L, 0, 8);
  ql_stats_set_count(L, "n", t->n);
  ql_stats_set(L, "ratio", exp(t->mean));
  ql_stats_set(L, "lo", exp(t->lo));
  ql_stats_set(L, "hi", exp(t->hi));
  ql_stats_set(L, "se_log", t->se);
  ql_stats_set_count(L, "df", t->df);
  ql_stats_set(L, "t", t->t);
  ql_stats_set(L, "p", t->p);
  return 1;
}

// log_ratio(baseline, variant, level) → { n, ratio, lo, hi, se_log, df, t, p }; run i of both belong together
static int log_ratio(lua_State *L) {
  lua_settop(L, 3);
  double level = ql_stats_check_level(L, 3), *baseline, *variant;
  size_t count = check_pair(L, &baseline, &variant);
  struct ql_stats_t out;
  take_logs(L, baseline, count, "baseline");
  take_logs(L, variant, count, "variant");
  ql_stats_paired_t(baseline, variant, count, level, baseline, &out);
  return push_ratio(L, &out);
}

// welch_ratio(baseline, variant, level) → as log_ratio, for runs that do not belong together
static int welch_ratio(lua_State *L) {
  lua_settop(L, 3);
  size_t count = 0, other = 0;
  double level = ql_stats_check_level(L, 3), *baseline = ql_stats_check_numbers(L, 1, "baseline", &count);
  double *variant = ql_stats_check_numbers(L, 2, "variant", &other);
  struct ql_stats_t out;
  take_logs(L, baseline, count, "baseline");
  take_logs(L, variant, other, "variant");
  ql_stats_welch(baseline, count, variant, other, level, &out);
  return push_ratio(L, &out);
}

// ---- cells and groups -----------------------------------------------------------------------------------

// cells(baseline, variant) → { both_right, base_only, variant_only, both_wrong, n } of scores 0 and 1
static int cells(lua_State *L) {
  lua_settop(L, 2);
  double *baseline, *variant, counts[2][2] = {{0, 0}, {0, 0}};
  size_t count = check_pair(L, &baseline, &variant);
  for (size_t i = 0; i < count; i++) {
    bool of_base = baseline[i] == 1, of_variant = variant[i] == 1;
    if ((!of_base && baseline[i] != 0) || (!of_variant && variant[i] != 0))
      return luaL_error(L, "row %I: want scores of 0 or 1, got %f and %f", (LUAI_UACINT)i + 1, baseline[i],
                        variant[i]);
    counts[of_base][of_variant]++;
  }
  lua_createtable(L, 0, 5);
  ql_stats_set_count(L, "both_right", counts[1][1]);
  ql_stats_set_count(L, "base_only", counts[1][0]);
  ql_stats_set_count(L, "variant_only", counts[0][1]);
  ql_stats_set_count(L, "both_wrong", counts[0][0]);
  ql_stats_set_count(L, "n", (double)count);
  return 1;
}

// The names at arg (strings or numbers) as indices from 0 in order of appearance; a userdata stays on the stack.
static uint32_t *check_groups(lua_State *L, int arg, size_t rows, size_t *groups) {
  arg = lua_absindex(L, arg);
  if (lua_type(L, arg) != LUA_TTABLE)
    luaL_error(L, "groups: want a list of names, got %s", luaL_typename(L, arg));
  check_same_length(L, "values", rows, "groups", lua_rawlen(L, arg));
  uint32_t *index = lua_newuserdatauv(L, (rows ? rows : 1) * sizeof *index, 0);
  *groups = 0;
  lua_newtable(L); // name → index
  for (size_t i = 0; i < rows; i++) {
    int type = lua_rawgeti(L, arg, (lua_Integer)i + 1);
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
      luaL_error(L, "groups[%I]: want a name, got %s", (LUAI_UACINT)i + 1, lua_typename(L, type));
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
      lua_pushvalue(L, -2);
      lua_pushinteger(L, (lua_Integer)*groups);
      lua_rawset(L, -5);
      index[i] = (uint32_t)(*groups)++;
    } else {
      index[i] = (uint32_t)lua_tointeger(L, -1);
    }
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
  return index;
}

// clustered(values, groups, level) → { n, clusters, mean, se_iid, se_cr0, se_cr1, df, lo, hi, deff }
static int clustered(lua_State *L) {
  lua_settop(L, 3);
  size_t count = 0, groups = 0;
  double level = ql_stats_check_level(L, 3), *values = ql_stats_check_numbers(L, 1, "values", &count);
  uint32_t *index = check_groups(L, 2, count, &groups);
  struct ql_stats_clustered out;
  ql_stats_clustered(values, index, count, groups, level, &out);
  lua_createtable(L, 0, 10);
  ql_stats_set_count(L, "n", out.n);
  ql_stats_set_count(L, "clusters", out.clusters);
  ql_stats_set(L, "mean", out.mean);
  ql_stats_set(L, "se_iid", out.se_iid);
  ql_stats_set(L, "se_cr0", out.se_cr0);
  ql_stats_set(L, "se_cr1", out.se_cr1);
  ql_stats_set_count(L, "df", out.df);
  ql_stats_set(L, "lo", out.lo);
  ql_stats_set(L, "hi", out.hi);
  ql_stats_set(L, "deff", out.deff);
  return 1;
}

// grouped(correct, n) → { micro, macro, se_macro_fixed, se_macro_sample, se_pooled }
static int grouped(lua_State *L) {
  lua_settop(L, 2);
  size_t count = 0, other = 0;
  double *correct = ql_stats_check_numbers(L, 1, "correct", &count), *n = ql_stats_check_numbers(L, 2, "n", &other);
  check_same_length(L, "correct", count, "n", other);
  struct ql_stats_grouped out;
  if (ql_stats_grouped(correct, n, count, &out))
    return luaL_error(L, "bad argument: want each n above 0 and each correct from 0 to n");
  lua_createtable(L, 0, 5);
  ql_stats_set(L, "micro", out.micro);
  ql_stats_set(L, "macro", out.macro);
  ql_stats_set(L, "se_macro_fixed", out.se_macro_fixed);
  ql_stats_set(L, "se_macro_sample", out.se_macro_sample);
  ql_stats_set(L, "se_pooled", out.se_pooled);
  return 1;
}

// ---- divergence -----------------------------------------------------------------------------------------

static size_t check_distributions(lua_State *L, double **p, double **q) {
  size_t count = 0, other = 0;
  *p = ql_stats_check_numbers(L, 1, "p", &count);
  *q = ql_stats_check_numbers(L, 2, "q", &other);
  check_same_length(L, "p", count, "q", other);
  return count;
}

static int push_part(lua_State *L, const struct ql_stats_kl_part *part, bool same_top) {
  lua_createtable(L, 0, 5);
  ql_stats_set(L, "nats", part->nats);
  ql_stats_set(L, "rest_base", part->rest_base);
  ql_stats_set(L, "rest_variant", part->rest_variant);
  lua_pushboolean(L, same_top);
  lua_setfield(L, -2, "same_top");
  return 1;
}

// kl(p, q) → nats, same_top
static int kl(lua_State *L) {
  lua_settop(L, 2);
  double *p, *q, nats;
  size_t count = check_distributions(L, &p, &q);
  if (ql_stats_kl(p, q, count, &nats))
    return luaL_error(L, "bad argument: p, q: want probabilities");
  lua_pushnumber(L, nats);
  lua_pushboolean(L, ql_stats_top(p, count) == ql_stats_top(q, count));
  return 2;
}

// kl_top(p, q, k) → { nats, rest_base, rest_variant, same_top }
static int kl_top(lua_State *L) {
  lua_settop(L, 3);
  double *p, *q;
  lua_Integer k = luaL_checkinteger(L, 3);
  size_t count = check_distributions(L, &p, &q);
  struct ql_stats_kl_part part;
  if (k < 1 || ql_stats_kl_top(p, q, count, (size_t)k, &part))
    return luaL_error(L, "bad argument: want probabilities p and q, and k from 1");
  return push_part(L, &part, ql_stats_top(p, count) == ql_stats_top(q, count));
}

// The most likely token of { token = logprob }; of equal ones the first in byte order, so that it never depends on how
// a table is walked. Leaves the token on the stack.
static void push_top_token(lua_State *L, int arg, const char *name) {
  double most = -INFINITY;
  lua_pushnil(L); // the token
  lua_pushnil(L);
  while (lua_next(L, arg)) {
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TNUMBER)
      luaL_error(L, "bad argument #%d: %s: want { token = logprob }, got %s = %s", arg, name, luaL_typename(L, -2),
                 luaL_typename(L, -1));
    double logprob = lua_tonumber(L, -1);
    lua_pop(L, 1);
    bool better = lua_isnil(L, -2) || logprob > most || (logprob == most && lua_compare(L, -1, -2, LUA_OPLT));
    if (better) {
      most = logprob;
      lua_copy(L, -1, -2);
    }
  }
}

struct known {
  double base, variant;
};

// The likeliest first. Tokens of equal numbers are interchangeable, so a sum in this order never depends on how a table
// is walked.
static int by_base(const void *a, const void *b) {
  const struct known *x = a, *y = b;
  if (x->base != y->base)
    return x->base > y->base ? -1 : 1;
  return (x->variant < y->variant) - (x->variant > y->variant);
}

// The tokens on both sides as a userdata left on the stack.
static struct known *push_known(lua_State *L, size_t *count) {
  size_t room = 0, n = 0;
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
    room++;
  struct known *known = lua_newuserdatauv(L, (room + 1) * sizeof *known, 0);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 2)) {
    lua_pushvalue(L, -2);
    if (lua_rawget(L, 2) == LUA_TNUMBER)
      known[n++] = (struct known){lua_tonumber(L, -2), lua_tonumber(L, -1)};
  }
  qsort(known, n, sizeof *known, by_base);
  *count = n;
  return known;
}

// kl_known(base, variant), both { token = logprob } → { nats, rest_base, rest_variant, same_top, tokens }
static int kl_known(lua_State *L) {
  lua_settop(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  push_top_token(L, 1, "base");
  push_top_token(L, 2, "variant");
  bool same_top = !lua_isnil(L, 3) && lua_rawequal(L, 3, 4);
  size_t count = 0;
  const struct known *known = push_known(L, &count);
  double *base = lua_newuserdatauv(L, (2 * count + 1) * sizeof *base, 0), *variant = base + count;
  for (size_t i = 0; i < count; i++) {
    base[i] = known[i].base;
    variant[i] = known[i].variant;
  }
  struct ql_stats_kl_part part;
  if (ql_stats_kl_known(base, variant, count, &part))
    return luaL_error(L, "bad argument: base, variant: want log-probabilities that sum to at most 1");
  push_part(L, &part, same_top);
  ql_stats_set_count(L, "tokens", (double)count);
  return 1;
}

// ---- bootstrap ------------------------------------------------------------------------------------------

enum { MAX_ROUNDS = 1000000 };
enum statistic { MEAN, DIFF, RATIO, ERROR_RATIO, CALL };

struct boot {
  struct ql_stats_boot plan;
  const double *columns[QL_STATS_BOOT_COLUMNS];
  enum statistic statistic;
  double level;
};

static void read_columns(lua_State *L, struct boot *boot) {
  luaL_checktype(L, 1, LUA_TTABLE);
  size_t columns = lua_rawlen(L, 1);
  if (columns < 1 || columns > QL_STATS_BOOT_COLUMNS)
    luaL_error(L, "bad argument #1: columns: want 1 to %d lists, got %I", QL_STATS_BOOT_COLUMNS, (LUAI_UACINT)columns);
  for (size_t c = 0; c < columns; c++) {
    size_t rows = 0;
    lua_rawgeti(L, 1, (lua_Integer)c + 1);
    boot->columns[c] = ql_stats_check_numbers(L, -1, "columns", &rows); // stays on the stack
    if (c)
      check_same_length(L, "columns[1]", boot->plan.rows, "another", rows);
    boot->plan.rows = rows;
  }
  boot->plan.columns = boot->columns;
  boot->plan.column_count = columns;
}

static enum statistic read_statistic(lua_State *L, size_t columns) {
  static const char *const names[] = {"mean", "diff", "ratio", "error_ratio"};
  static const size_t wanted[] = {1, 2, 2, 2};
  int type = lua_getfield(L, 2, "statistic"); // stays on the stack
  if (type == LUA_TFUNCTION)
    return CALL;
  const char *name = type == LUA_TNIL ? (columns == 1 ? "mean" : "diff") : lua_tostring(L, -1);
  for (size_t i = 0; name && i < QL_LEN(names); i++) {
    if (strcmp(name, names[i]) != 0)
      continue;
    if (wanted[i] != columns)
      luaL_error(L, "options.statistic: %s wants %d column(s), got %I", name, (int)wanted[i], (LUAI_UACINT)columns);
    return (enum statistic)i;
  }
  luaL_error(L, "options.statistic: want mean, diff, ratio, error_ratio or a function, got %s",
             name ? name : lua_typename(L, type));
  return MEAN;
}

static lua_Integer integer_option(lua_State *L, const char *name, lua_Integer otherwise) {
  int is_integer = 1;
  lua_Integer value = otherwise;
  if (lua_getfield(L, 2, name) != LUA_TNIL)
    value = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer)
    luaL_error(L, "options.%s: want an integer, got %s", name, luaL_typename(L, -1));
  lua_pop(L, 1);
  return value;
}

static void read_groups(lua_State *L, struct boot *boot) {
  static const char *const ways[] = {"rows", "clusters", "strata", NULL};
  lua_getfield(L, 2, "resample");
  boot->plan.resample = (enum ql_stats_resample)luaL_checkoption(L, -1, "rows", ways);
  lua_pop(L, 1);
  if (lua_getfield(L, 2, "groups") == LUA_TNIL) {
    if (boot->plan.resample != QL_STATS_ROWS)
      luaL_error(L, "options.groups: is missing (want a list of names, one for each row)");
    return;
  }
  if (boot->plan.resample == QL_STATS_ROWS)
    luaL_error(L, "options.resample: want clusters or strata, as there are groups");
  boot->plan.group = check_groups(L, -1, boot->plan.rows, &boot->plan.group_count);
}

static void read_options(lua_State *L, struct boot *boot) {
  boot->statistic = read_statistic(L, boot->plan.column_count);
  lua_Integer rounds = integer_option(L, "rounds", 10000);
  if (rounds < 1 || rounds > MAX_ROUNDS)
    luaL_error(L, "options.rounds: want an integer from 1 to %d, got %I", MAX_ROUNDS, (LUAI_UACINT)rounds);
  boot->plan.rounds = (size_t)rounds;
  boot->plan.seed = (uint64_t)integer_option(L, "seed", 1);
  lua_getfield(L, 2, "level");
  boot->level = luaL_optnumber(L, -1, 0.95);
  lua_pop(L, 1);
  if (!(boot->level > 0 && boot->level < 1))
    luaL_error(L, "options.level: want a number between 0 and 1, got %f", boot->level);
  read_groups(L, boot);
}

// The statistic of one round's sums; the last of them is the number of rows. function: where a Lua one is.
static double value_of(lua_State *L, const struct boot *boot, const double *sums, int function) {
  size_t columns = boot->plan.column_count;
  double n = sums[columns], value;
  switch (boot->statistic) {
  case MEAN: return sums[0] / n;
  case DIFF: return (sums[1] - sums[0]) / n;
  case RATIO: return sums[1] / sums[0];
  case ERROR_RATIO: return (n - sums[1]) / (n - sums[0]);
  case CALL: break;
  }
  lua_pushvalue(L, function);
  lua_createtable(L, (int)columns, 1);
  for (size_t c = 0; c < columns; c++) {
    lua_pushnumber(L, sums[c]);
    lua_rawseti(L, -2, (lua_Integer)c + 1);
  }
  ql_stats_set_count(L, "n", n);
  lua_call(L, 1, 1);
  if (lua_type(L, -1) != LUA_TNUMBER)
    luaL_error(L, "options.statistic: want a number from it, got %s", luaL_typename(L, -1));
  value = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return value;
}

static double of_all_rows(lua_State *L, const struct boot *boot, int function) {
  double sums[QL_STATS_BOOT_COLUMNS + 1] = {0};
  for (size_t c = 0; c < boot->plan.column_count; c++)
    for (size_t i = 0; i < boot->plan.rows; i++)
      sums[c] += boot->columns[c][i];
  sums[boot->plan.column_count] = (double)boot->plan.rows;
  return value_of(L, boot, sums, function);
}

// bootstrap(columns, { statistic=, groups=, resample=, rounds=, seed=, level= })
// → { estimate, lo, hi, se, rounds, seed, undefined }
static int bootstrap(lua_State *L) {
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  }
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checkstack(L, 24, "bootstrap");
  struct boot boot = {.level = 0.95};
  read_columns(L, &boot);
  int function = lua_gettop(L) + 1; // where read_statistic leaves it
  read_options(L, &boot);
  if (!boot.plan.rows)
    return luaL_error(L, "bad argument #1: columns: want at least one row");
  size_t rounds = boot.plan.rounds, width = boot.plan.column_count + 1, kept = 0;
  double estimate = of_all_rows(L, &boot, function), mean, variance;
  double *sums = lua_newuserdatauv(L, rounds * width * sizeof *sums, 0);
  ql_stats_boot_sums(&boot.plan, sums);
  for (size_t i = 0; i < rounds; i++) { // the values overwrite sums that have been used
    double value = value_of(L, &boot, sums + i * width, function);
    if (isfinite(value))
      sums[kept++] = value;
  }
  ql_stats_moments(sums, kept, &mean, &variance);
  ql_stats_sort(sums, kept);
  double tail = 0.5 * (1 - boot.level);
  lua_createtable(L, 0, 7);
  ql_stats_set(L, "estimate", estimate);
  ql_stats_set(L, "lo", ql_stats_quantile_sorted(sums, kept, tail));
  ql_stats_set(L, "hi", ql_stats_quantile_sorted(sums, kept, 1 - tail));
  ql_stats_set(L, "se", sqrt(variance));
  ql_stats_set_count(L, "rounds", (double)rounds);
  lua_pushinteger(L, (lua_Integer)boot.plan.seed);
  lua_setfield(L, -2, "seed");
  ql_stats_set_count(L, "undefined", (double)(rounds - kept));
  return 1;
}

const luaL_Reg ql_stats_samples_functions[] = {
    {"quantile", quantile},         {"quantile_interval", quantile_interval},
    {"mann_whitney", mann_whitney}, {"t_test", t_test},
    {"batch_means", batch_means},   {"paired_t", paired_t},
    {"welch", welch},               {"log_ratio", log_ratio},
    {"welch_ratio", welch_ratio},   {"cells", cells},
    {"clustered", clustered},       {"grouped", grouped},
    {"kl", kl},                     {"kl_top", kl_top},
    {"kl_known", kl_known},         {"bootstrap", bootstrap},
    {NULL, NULL},
};

int ql_open_stats_samples(lua_State *L) {
  lua_newtable(L);
  luaL_setfuncs(L, ql_stats_samples_functions, 0);
  return 1;
}
