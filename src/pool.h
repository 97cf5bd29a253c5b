// SPDX-License-Identifier: Apache-2.0
// pool: small blocks for the Lua state, whose owner knows each block's size when it gives it back.
#ifndef QL_POOL_H
#define QL_POOL_H

#include "base.h"

enum { QL_POOL_LARGEST = 512, QL_POOL_STEP = 16, QL_POOL_CLASSES = QL_POOL_LARGEST / QL_POOL_STEP };

struct ql_pool_chunk;

// All zero is an empty pool.
struct ql_pool {
  void *idle[QL_POOL_CLASSES]; // blocks given back, one list per size
  char *room;                  // what is left of the newest chunk
  size_t room_bytes;
  struct ql_pool_chunk *chunks;
};

// As realloc, with the block's present size: 0 with a NULL block; a new size of 0 gives it back. NULL when there is no memory.
void *ql_pool_resize(struct ql_pool *pool, void *block, size_t old_size, size_t size);
void ql_pool_free(struct ql_pool *pool); // every block of it
#endif
