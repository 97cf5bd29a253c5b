// SPDX-License-Identifier: Apache-2.0
// pack: see pack.h. One library (zstd), level 1: replies are written on the main thread between two samples, so
// speed counts for more than the last tenth of size. The frame carries its content size, which unpack trusts only
// up to the buffer's limit.

#include "pack.h"

#include <stdlib.h>
#include <zstd.h>

void ql_pack(const void *bytes, size_t len, struct ql_buf *out) {
  size_t bound = ZSTD_compressBound(len);
  char *room = ql_malloc(bound);
  static ZSTD_CCtx *context; // a new one each time costs more than the work; packing is the main thread's alone
  if (!context)
    context = ZSTD_createCCtx();
  size_t size = ZSTD_compressCCtx(context, room, bound, bytes, len, 1);
  if (!ZSTD_isError(size)) // with room for the bound it cannot be
    ql_buf_add(out, room, size);
  free(room);
}

int ql_unpack(const void *bytes, size_t len, struct ql_buf *out, struct ql_err *err) {
  unsigned long long size = ZSTD_getFrameContentSize(bytes, len);
  if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR)
    return ql_fail(err, QL_E_STORE, "packed bytes are damaged");
  if (out->limit_bytes && size > out->limit_bytes)
    return ql_fail(err, QL_E_STORE, "packed bytes unfold to %llu bytes, more than %zu", size, out->limit_bytes);
  char *room = ql_malloc((size_t)size);
  size_t got = ZSTD_decompress(room, (size_t)size, bytes, len);
  int rc = 0;
  if (ZSTD_isError(got) || !ql_buf_add(out, room, got))
    rc = ql_fail(err, QL_E_STORE, "packed bytes are damaged");
  free(room);
  return rc;
}
