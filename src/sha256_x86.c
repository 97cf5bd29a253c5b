// SPDX-License-Identifier: Apache-2.0
// sha256_x86: compression by the SHA instructions of x86-64 processors, four rounds at a time.
//
// Every prompt and request body is hashed; in plain C that is a tenth of the main thread's time. The instructions
// want the state as two words, {a,b,e,f} and {c,d,g,h}, highest first, which is all that the shuffles before and
// after are for. Elsewhere `has` says no, and the compression is never called.

#include "sha256_inner.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

enum { LEAF_1_SSSE3 = 1 << 9, LEAF_1_SSE41 = 1 << 19, LEAF_7_SHA = 1 << 29 };

static bool ask_processor(void) {
  unsigned a, b, c, d;
  unsigned wanted = LEAF_1_SSSE3 | LEAF_1_SSE41;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & wanted) == wanted && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
         (b & LEAF_7_SHA);
}

bool ql_sha256_has_x86(void) {
  static _Atomic int known; // 0: not asked yet
  if (!known)
    known = ask_processor() ? 1 : -1;
  return known > 0;
}

static __m128i load(const void *bytes) {
  return _mm_loadu_si128(bytes);
}

__attribute__((target("sha,sse4.1"))) static void compress_one(__m128i *abef, __m128i *cdgh, const uint8_t *block) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i s0 = *abef, s1 = *cdgh, w[4]; // w: the last sixteen words of the schedule
#pragma GCC unroll 16
  for (size_t i = 0; i < 16; i++) {
    __m128i *now = &w[i % 4], next = w[(i + 1) % 4], before = w[(i + 2) % 4], last = w[(i + 3) % 4];
    if (i < 4)
      *now = _mm_shuffle_epi8(load(block + 16 * i), big_endian);
    else
      *now = _mm_sha256msg2_epu32(
          _mm_add_epi32(_mm_sha256msg1_epu32(*now, next), _mm_alignr_epi8(last, before, 4)), last);
    __m128i sum = _mm_add_epi32(*now, load(ql_sha256_constants + 4 * i));
    s1 = _mm_sha256rnds2_epu32(s1, s0, sum);
    s0 = _mm_sha256rnds2_epu32(s0, s1, _mm_shuffle_epi32(sum, 0x0E));
  }
  *abef = _mm_add_epi32(*abef, s0);
  *cdgh = _mm_add_epi32(*cdgh, s1);
}

__attribute__((target("sha,sse4.1"))) void ql_sha256_compress_x86(uint32_t state[8], const uint8_t *blocks,
                                                                  size_t count) {
  __m128i cdab = _mm_shuffle_epi32(load(state), 0xB1), efgh = _mm_shuffle_epi32(load(state + 4), 0x1B);
  __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
  for (size_t i = 0; i < count; i++)
    compress_one(&abef, &cdgh, blocks + 64 * i);
  __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

#else

bool ql_sha256_has_x86(void) {
  return false;
}

void ql_sha256_compress_x86(uint32_t state[8], const uint8_t *blocks, size_t count) {
  ql_sha256_compress_plain(state, blocks, count);
}

#endif
