// SPDX-License-Identifier: Apache-2.0
// sha256_inner: the compression function in two forms, for sha256.c and its test: they give the same state.
#ifndef QL_SHA256_INNER_H
#define QL_SHA256_INNER_H

#include "base.h"

extern const uint32_t ql_sha256_constants[64];

void ql_sha256_compress_plain(uint32_t state[8], const uint8_t *blocks, size_t count);

bool ql_sha256_has_x86(void); // whether this processor has the SHA instructions; without them do not call:
void ql_sha256_compress_x86(uint32_t state[8], const uint8_t *blocks, size_t count);

#endif
