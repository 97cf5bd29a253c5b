// SPDX-License-Identifier: Apache-2.0
// stats_inner: what the stats_*.c files share and nobody else needs.
//
// Roots are found by plain bisection down to neighbouring doubles: sixty-odd cheap steps that cannot diverge, in
// place of a faster method that needs a good start and a proof for each curve.
#ifndef QL_STATS_INNER_H
#define QL_STATS_INNER_H

#include "stats.h"

#include <math.h>

static inline bool is_level(double level) { return level > 0 && level < 1; }
// A whole number that a double holds exactly.
static inline bool is_count(double x) { return x >= 0 && x <= 9007199254740992.0 && floor(x) == x; }
static inline double square(double x) { return x * x; }
static inline double clamp(double x, double lo, double hi) { return x < lo ? lo : x > hi ? hi : x; }

// Where a falling curve crosses zero between lo and hi.
double ql_stats_bisect(double (*curve)(double x, const void *arg), const void *arg, double lo, double hi);

#endif
