// SPDX-License-Identifier: Apache-2.0
// near: a check on doubles with a relative tolerance, for the tests of the statistics.
#ifndef QL_NEAR_H
#define QL_NEAR_H

#include "check.h"

#include <math.h>

#define CHECK_NEAR(got, want, rel)                                                                                     \
  do {                                                                                                                 \
    check_count++;                                                                                                     \
    double got_ = (got), want_ = (want);                                                                               \
    if (!(fabs(got_ - want_) <= (rel)*fabs(want_))) {                                                                  \
      check_failures++;                                                                                                \
      fprintf(stderr, "%s:%d: %s: want %.17g, got %.17g\n", __FILE__, __LINE__, #got, want_, got_);                    \
    }                                                                                                                  \
  } while (0)

#endif
