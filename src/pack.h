// SPDX-License-Identifier: Apache-2.0
// pack: zstd for what the run's database holds in bulk (raw replies compress five- to tenfold).
#ifndef QL_PACK_H
#define QL_PACK_H

#include "base.h"

// Both append to out. pack never fails; unpack fails on bytes that are no whole zstd frame or beyond out's limit.
void ql_pack(const void *bytes, size_t len, struct ql_buf *out);
int ql_unpack(const void *bytes, size_t len, struct ql_buf *out, struct ql_err *err);

#endif
