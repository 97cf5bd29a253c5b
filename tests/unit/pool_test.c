// SPDX-License-Identifier: Apache-2.0
// pool: contents survive every change of size, blocks never overlap, and what was given back is used again.
#include "check.h"
#include "pool.h"

#include <stdlib.h>

enum { BLOCKS = 400, TURNS = 20000, LONGEST = QL_POOL_LARGEST + 200 };

struct block {
  unsigned char *bytes;
  size_t size;
  unsigned char fill;
};

static bool is_intact(const struct block *block, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (block->bytes[i] != block->fill)
      return false;
  return true;
}

// Each block is filled with its own byte: one that overlapped another, or lost its head in a move, would show it.
static void contents_survive(void) {
  struct ql_pool pool = {0};
  static struct block blocks[BLOCKS];
  uint32_t state = 20261123;
  bool intact = true;
  for (int turn = 0; turn < TURNS && intact; turn++) {
    state = state * 1664525u + 1013904223u;
    struct block *block = &blocks[(state >> 8) % BLOCKS];
    size_t size = (state >> 20) % LONGEST;
    void *moved = ql_pool_resize(&pool, block->bytes, block->size, size);
    CHECK((moved == NULL) == (size == 0));
    block->bytes = moved;
    intact = is_intact(block, size < block->size ? size : block->size);
    block->size = size;
    block->fill = (unsigned char)turn;
    if (size)
      memset(block->bytes, block->fill, size);
  }
  for (size_t i = 0; i < BLOCKS; i++) {
    intact = intact && is_intact(&blocks[i], blocks[i].size);
    ql_pool_resize(&pool, blocks[i].bytes, blocks[i].size, 0);
  }
  CHECK(intact);
  ql_pool_free(&pool);
}

static void sizes_of_one_class_stay(void) {
  struct ql_pool pool = {0};
  void *block = ql_pool_resize(&pool, NULL, 0, 1);
  CHECK(((uintptr_t)block & 15) == 0);
#if !defined(__SANITIZE_ADDRESS__) // there every block is malloc's
  CHECK(ql_pool_resize(&pool, block, 1, QL_POOL_STEP) == block);
  CHECK(ql_pool_resize(&pool, block, QL_POOL_STEP, 0) == NULL);
  void *again = ql_pool_resize(&pool, NULL, 0, 2);
  CHECK(again == block); // what was given back comes first
  block = again;
#endif
  ql_pool_resize(&pool, block, 2, 0);
  ql_pool_free(&pool);
  CHECK(pool.chunks == NULL);
}

RUN(contents_survive, sizes_of_one_class_stay)
