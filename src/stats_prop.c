// SPDX-License-Identifier: Apache-2.0
// stats_prop: intervals for one proportion, see stats.h.

#include "stats.h"

#include <math.h>

// Wilson 1927. The half-width is found first, so that the limits of k = 0 and k = n can be set exactly.
int ql_stats_wilson(double k, double n, double level, double *lo, double *hi) {
  if (!(level > 0 && level < 1) || !(k >= 0 && k <= n) || isinf(n))
    return -1;
  if (n <= 0) {
    *lo = *hi = NAN;
    return 0;
  }
  double z = ql_stats_normal_two_sided(level), share = k / n, zz_n = z * z / n;
  double centre = (share + 0.5 * zz_n) / (1 + zz_n);
  double half = z / (1 + zz_n) * sqrt(share * (1 - share) / n + 0.25 * zz_n / n);
  *lo = k <= 0 ? 0 : fmax(0, centre - half);
  *hi = k >= n ? 1 : fmin(1, centre + half);
  return 0;
}
