// SPDX-License-Identifier: Apache-2.0
// lua_stats: the statistics for Lua, `require "qlua.core.stats"`; this file has what takes a few numbers,
// lua_stats_samples.c what takes whole samples.
//
// Tables in, tables with named fields out. Misuse raises and names the argument; what is undefined for sound arguments
// (NaN in C) is nil, so that no NaN wanders into a report. Lists come as tables or packed: a string of 8-byte native
// doubles, as string.pack("d…") writes them. The working copy of a list is a userdata on the Lua stack, so nothing
// leaks when a later argument raises.

#include "lua_stats.h"

#include <math.h>
#include <string.h>

int ql_open_stats(lua_State *L);

// ---- shared with lua_stats_samples.c ------------------------------------------------------------------

void ql_stats_push(lua_State *L, double value) {
  if (isnan(value))
    lua_pushnil(L);
  else
    lua_pushnumber(L, value);
}

void ql_stats_set(lua_State *L, const char *field, double value) {
  ql_stats_push(L, value);
  lua_setfield(L, -2, field);
}

void ql_stats_set_count(lua_State *L, const char *field, double value) {
  lua_Integer whole;
  if (lua_numbertointeger(value, &whole) && (double)whole == value)
    lua_pushinteger(L, whole);
  else
    ql_stats_push(L, value);
  lua_setfield(L, -2, field);
}

void ql_stats_set_range(lua_State *L, const char *field, struct ql_stats_range range) {
  lua_createtable(L, 0, 2);
  ql_stats_set(L, "lo", range.lo);
  ql_stats_set(L, "hi", range.hi);
  lua_setfield(L, -2, field);
}

void ql_stats_set_t(lua_State *L, const struct ql_stats_t *t) {
  ql_stats_set_count(L, "n", t->n);
  ql_stats_set(L, "mean", t->mean);
  ql_stats_set(L, "sd", t->sd);
  ql_stats_set(L, "se", t->se);
  ql_stats_set_count(L, "df", t->df);
  ql_stats_set(L, "t", t->t);
  ql_stats_set(L, "p", t->p);
  ql_stats_set(L, "lo", t->lo);
  ql_stats_set(L, "hi", t->hi);
}

double ql_stats_check_level(lua_State *L, int arg) {
  double level = luaL_optnumber(L, arg, 0.95);
  if (!(level > 0 && level < 1))
    luaL_error(L, "bad argument #%d: level: want a number between 0 and 1, got %f", arg, level);
  return level;
}

double ql_stats_check_number(lua_State *L, int arg, const char *name) {
  int is_number = 0;
  double value = lua_tonumberx(L, arg, &is_number);
  if (!is_number || isnan(value))
    luaL_error(L, "bad argument #%d: %s: want a number, got %s", arg, name, is_number ? "nan" : luaL_typename(L, arg));
  return value;
}

static double *unpack_list(lua_State *L, int arg, const char *name, size_t *count) {
  *count = lua_rawlen(L, arg);
  double *values = lua_newuserdatauv(L, (*count ? *count : 1) * sizeof *values, 0);
  for (size_t i = 0; i < *count; i++) {
    int is_number = 0;
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    values[i] = lua_tonumberx(L, -1, &is_number);
    if (!is_number || isnan(values[i]))
      luaL_error(L, "bad argument #%d: %s[%I]: want a number, got %s", arg, name, (LUAI_UACINT)i + 1,
                 is_number ? "nan" : luaL_typename(L, -1));
    lua_pop(L, 1);
  }
  return values;
}

static double *unpack_string(lua_State *L, int arg, const char *name, size_t *count) {
  size_t bytes = 0;
  const char *packed = lua_tolstring(L, arg, &bytes);
  if (bytes % sizeof(double))
    luaL_error(L, "bad argument #%d: %s: want packed doubles, got %I bytes", arg, name, (LUAI_UACINT)bytes);
  *count = bytes / sizeof(double);
  double *values = lua_newuserdatauv(L, bytes ? bytes : 1, 0);
  memcpy(values, packed, bytes);
  for (size_t i = 0; i < *count; i++)
    if (isnan(values[i]))
      luaL_error(L, "bad argument #%d: %s[%I]: want a number, got nan", arg, name, (LUAI_UACINT)i + 1);
  return values;
}

double *ql_stats_check_numbers(lua_State *L, int arg, const char *name, size_t *count) {
  arg = lua_absindex(L, arg);
  if (lua_type(L, arg) == LUA_TSTRING)
    return unpack_string(L, arg, name, count);
  if (lua_type(L, arg) != LUA_TTABLE)
    luaL_error(L, "bad argument #%d: %s: want a list of numbers or packed doubles, got %s", arg, name,
               luaL_typename(L, arg));
  return unpack_list(L, arg, name, count);
}

// ---- distributions ------------------------------------------------------------------------------------

static int in_domain(lua_State *L, double value, const char *wanted) {
  if (isnan(value))
    return luaL_error(L, "outside the domain: want %s", wanted);
  lua_pushnumber(L, value);
  return 1;
}

#define ONE(name, a, wanted)                                                                                           \
  static int name(lua_State *L) { return in_domain(L, ql_stats_##name(ql_stats_check_number(L, 1, a)), wanted); }
#define TWO(name, a, b, wanted)                                                                                        \
  static int name(lua_State *L) {                                                                                      \
    double first = ql_stats_check_number(L, 1, a), second = ql_stats_check_number(L, 2, b);                            \
    return in_domain(L, ql_stats_##name(first, second), wanted);                                                       \
  }
#define THREE(name, a, b, c, wanted)                                                                                   \
  static int name(lua_State *L) {                                                                                      \
    double first = ql_stats_check_number(L, 1, a), second = ql_stats_check_number(L, 2, b);                            \
    return in_domain(L, ql_stats_##name(first, second, ql_stats_check_number(L, 3, c)), wanted);                       \
  }

ONE(normal_cdf, "x", "a number")
ONE(normal_sf, "x", "a number")
ONE(normal_quantile, "p", "p from 0 to 1")
TWO(t_cdf, "t", "df", "df from 0.01")
TWO(t_sf, "t", "df", "df from 0.01")
TWO(t_quantile, "p", "df", "p from 0 to 1 and df from 0.01")
THREE(beta_cdf, "x", "a", "b", "a and b from 0.001 to 1e10")
THREE(beta_quantile, "p", "a", "b", "p from 0 to 1, a and b from 0.001 to 1e10")
THREE(binomial_pmf, "k", "n", "p", "a whole n up to 1e10 and p from 0 to 1")
THREE(binomial_cdf, "k", "n", "p", "a whole n up to 1e10 and p from 0 to 1")
THREE(binomial_sf, "k", "n", "p", "a whole n up to 1e10 and p from 0 to 1")

// interval(estimate, se, df, level) → lo, hi; df may be math.huge
static int interval(lua_State *L) {
  struct ql_stats_t t = {.mean = ql_stats_check_number(L, 1, "estimate"), .se = ql_stats_check_number(L, 2, "se")};
  t.df = luaL_optnumber(L, 3, INFINITY);
  ql_stats_t_fill(&t, ql_stats_check_level(L, 4));
  ql_stats_push(L, t.lo);
  ql_stats_push(L, t.hi);
  return 2;
}

// ---- one proportion -------------------------------------------------------------------------------------

static int proportion(lua_State *L, int (*limits)(double, double, double, double *, double *)) {
  double k = ql_stats_check_number(L, 1, "k"), n = ql_stats_check_number(L, 2, "n"), lo, hi;
  double level = ql_stats_check_level(L, 3);
  if (limits(k, n, level, &lo, &hi))
    return luaL_error(L, "bad argument #1: k: want a count from 0 to n, got %f of n = %f", k, n);
  ql_stats_push(L, lo);
  ql_stats_push(L, hi);
  return 2;
}

// wilson(k, n, level) → lo, hi
static int wilson(lua_State *L) { return proportion(L, ql_stats_wilson); }
// clopper_pearson(k, n, level) → lo, hi
static int clopper_pearson(lua_State *L) { return proportion(L, ql_stats_clopper_pearson); }

// ---- paired ---------------------------------------------------------------------------------------------

static double cell(lua_State *L, int arg, const char *name) {
  int is_number = 0;
  lua_getfield(L, arg, name);
  double value = lua_tonumberx(L, -1, &is_number);
  if (!is_number || !(value >= 0 && value <= 1e9) || floor(value) != value)
    luaL_error(L, "bad argument #%d: cells.%s: want a count, got %s", arg, name,
               is_number ? lua_tostring(L, -1) : luaL_typename(L, -1));
  lua_pop(L, 1);
  return value;
}

static struct ql_stats_cells check_cells(lua_State *L, int arg) {
  if (lua_type(L, arg) != LUA_TTABLE)
    luaL_error(L, "bad argument #%d: cells: want { both_right=, base_only=, variant_only=, both_wrong= }, got %s", arg,
               luaL_typename(L, arg));
  struct ql_stats_cells cells = {cell(L, arg, "both_right"), cell(L, arg, "base_only"), cell(L, arg, "variant_only"),
                                 cell(L, arg, "both_wrong")};
  return cells;
}

// mcnemar(base_only, variant_only) → { p_exact, p_midp, chi2, p_chi2, chi2_cc, p_chi2_cc }
static int mcnemar(lua_State *L) {
  double b = ql_stats_check_number(L, 1, "base_only"), c = ql_stats_check_number(L, 2, "variant_only");
  struct ql_stats_mcnemar out;
  if (ql_stats_mcnemar(b, c, &out))
    return luaL_error(L, "bad argument: base_only, variant_only: want counts, got %f and %f", b, c);
  lua_createtable(L, 0, 6);
  ql_stats_set(L, "p_exact", out.p_exact);
  ql_stats_set(L, "p_midp", out.p_midp);
  ql_stats_set(L, "chi2", out.chi2);
  ql_stats_set(L, "p_chi2", out.p_chi2);
  ql_stats_set(L, "chi2_cc", out.chi2_cc);
  ql_stats_set(L, "p_chi2_cc", out.p_chi2_cc);
  return 1;
}

// paired(cells, level) → { n, diff, flips, se, df, tango={lo,hi}, bonett_price, newcombe10, agresti_min, t, wald }
static int paired(lua_State *L) {
  struct ql_stats_cells cells = check_cells(L, 1);
  struct ql_stats_paired out;
  ql_stats_paired(&cells, ql_stats_check_level(L, 2), &out);
  lua_createtable(L, 0, 11);
  ql_stats_set_count(L, "n", out.n);
  ql_stats_set(L, "diff", out.diff);
  ql_stats_set(L, "flips", out.flips);
  ql_stats_set(L, "se", out.se);
  ql_stats_set_count(L, "df", out.df);
  ql_stats_set_range(L, "tango", out.tango);
  ql_stats_set_range(L, "bonett_price", out.bonett_price);
  ql_stats_set_range(L, "newcombe10", out.newcombe10);
  ql_stats_set_range(L, "agresti_min", out.agresti_min);
  ql_stats_set_range(L, "t", out.t);
  ql_stats_set_range(L, "wald", out.wald);
  return 1;
}

static int push_tost(lua_State *L, const struct ql_stats_tost *out) {
  lua_createtable(L, 0, 6);
  ql_stats_set(L, "lower", out->lower);
  ql_stats_set(L, "p_noninferior", out->p_noninferior);
  ql_stats_set(L, "upper", out->upper);
  ql_stats_set(L, "p_nonsuperior", out->p_nonsuperior);
  ql_stats_set(L, "p_tost", out->p_tost);
  ql_stats_set_count(L, "df", out->df);
  return 1;
}

// tango_tost(cells, margin) → { lower, p_noninferior, upper, p_nonsuperior, p_tost, df }
static int tango_tost(lua_State *L) {
  struct ql_stats_cells cells = check_cells(L, 1);
  double margin = ql_stats_check_number(L, 2, "margin");
  struct ql_stats_tost out;
  if (ql_stats_tango_tost(&cells, margin, &out))
    return luaL_error(L, "bad argument #2: margin: want a number from 0 to below 1, got %f", margin);
  return push_tost(L, &out);
}

// tost(estimate, se, df, margin) → as tango_tost; df may be math.huge
static int tost(lua_State *L) {
  double estimate = ql_stats_check_number(L, 1, "estimate"), se = ql_stats_check_number(L, 2, "se");
  double df = ql_stats_check_number(L, 3, "df"), margin = ql_stats_check_number(L, 4, "margin");
  struct ql_stats_tost out;
  if (ql_stats_tost(estimate, se, df, margin, &out))
    return luaL_error(L, "bad argument #4: margin: want a number from 0, got %f", margin);
  return push_tost(L, &out);
}

// ---- many tests -----------------------------------------------------------------------------------------

static int adjust(lua_State *L, int (*method)(const double *, size_t, double *)) {
  size_t count = 0;
  double *p = ql_stats_check_numbers(L, 1, "p", &count);
  if (method(p, count, p))
    return luaL_error(L, "bad argument #1: p: want numbers from 0 to 1");
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushnumber(L, p[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int holm(lua_State *L) { return adjust(L, ql_stats_holm); }
static int benjamini_hochberg(lua_State *L) { return adjust(L, ql_stats_benjamini_hochberg); }
static int bonferroni(lua_State *L) { return adjust(L, ql_stats_bonferroni); }

// ---- how many questions ---------------------------------------------------------------------------------

// sample_size(delta, var_d, alpha, power) → n rounded up, n as it comes
static int sample_size(lua_State *L) {
  double delta = ql_stats_check_number(L, 1, "delta"), var_d = ql_stats_check_number(L, 2, "var_d");
  double n = ql_stats_sample_size(delta, var_d, luaL_optnumber(L, 3, 0.025), luaL_optnumber(L, 4, 0.8));
  if (!isfinite(n) || n > 9e15)
    return luaL_error(L, "no such sample size: want delta above 0, var_d from 0, alpha and power between 0 and 1");
  lua_pushinteger(L, (lua_Integer)ceil(n));
  lua_pushnumber(L, n);
  return 2;
}

// detectable(n, var_d, alpha, power) → the least distance that is shown with that power
static int detectable(lua_State *L) {
  double n = ql_stats_check_number(L, 1, "n"), var_d = ql_stats_check_number(L, 2, "var_d");
  return in_domain(L, ql_stats_detectable(n, var_d, luaL_optnumber(L, 3, 0.025), luaL_optnumber(L, 4, 0.8)),
                   "n above 0, var_d from 0, alpha and power between 0 and 1");
}

// power(n, delta, var_d, alpha) → probability
static int power(lua_State *L) {
  double n = ql_stats_check_number(L, 1, "n"), delta = ql_stats_check_number(L, 2, "delta");
  double var_d = ql_stats_check_number(L, 3, "var_d");
  return in_domain(L, ql_stats_power(n, delta, var_d, luaL_optnumber(L, 4, 0.025)),
                   "n above 0, var_d above 0, alpha between 0 and 1");
}

// quantile_ranks(n, q, level) → { lower, upper, coverage, lower_unbounded, upper_unbounded }
static int quantile_ranks(lua_State *L) {
  double n = ql_stats_check_number(L, 1, "n"), q = ql_stats_check_number(L, 2, "q");
  struct ql_stats_ranks ranks;
  if (ql_stats_quantile_ranks(n, q, ql_stats_check_level(L, 3), &ranks))
    return luaL_error(L, "bad argument: want n a count and q between 0 and 1, got %f and %f", n, q);
  lua_createtable(L, 0, 5);
  ql_stats_set_count(L, "lower", ranks.lower);
  ql_stats_set_count(L, "upper", ranks.upper);
  ql_stats_set(L, "coverage", ranks.coverage);
  lua_pushboolean(L, !(ranks.lower >= 1));
  lua_setfield(L, -2, "lower_unbounded");
  lua_pushboolean(L, !(ranks.upper <= n));
  lua_setfield(L, -2, "upper_unbounded");
  return 1;
}

int ql_open_stats(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"normal_cdf", normal_cdf},
      {"normal_sf", normal_sf},
      {"normal_quantile", normal_quantile},
      {"t_cdf", t_cdf},
      {"t_sf", t_sf},
      {"t_quantile", t_quantile},
      {"beta_cdf", beta_cdf},
      {"beta_quantile", beta_quantile},
      {"binomial_pmf", binomial_pmf},
      {"binomial_cdf", binomial_cdf},
      {"binomial_sf", binomial_sf},
      {"interval", interval},
      {"wilson", wilson},
      {"clopper_pearson", clopper_pearson},
      {"mcnemar", mcnemar},
      {"paired", paired},
      {"tango_tost", tango_tost},
      {"tost", tost},
      {"holm", holm},
      {"benjamini_hochberg", benjamini_hochberg},
      {"bonferroni", bonferroni},
      {"sample_size", sample_size},
      {"detectable", detectable},
      {"power", power},
      {"quantile_ranks", quantile_ranks},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  luaL_setfuncs(L, ql_stats_samples_functions, 0);
  return 1;
}
