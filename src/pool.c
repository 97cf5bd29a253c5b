// SPDX-License-Identifier: Apache-2.0
// pool: see pool.h. A reply with log-probabilities becomes thousands of small objects that die together, and malloc
// spends more on splitting and merging them than Lua does on making them: a third of the main thread's time.
//
// Owns its chunks; one thread only. Blocks up to QL_POOL_LARGEST bytes come from lists by size, larger ones from
// malloc. What was given back is used again but never returned to the system before the end. Under AddressSanitizer
// every block is malloc's, so that a stale pointer is still seen.

#include "pool.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
enum { POOLED_BYTES = 0 };
#else
enum { POOLED_BYTES = QL_POOL_LARGEST };
#endif

enum { CHUNK_BYTES = 1 << 16 };

struct ql_pool_chunk {
  struct ql_pool_chunk *next;
  _Alignas(max_align_t) char bytes[CHUNK_BYTES];
};

static size_t class_of(size_t size) {
  return (size - 1) / QL_POOL_STEP;
}

static void put(struct ql_pool *pool, void *block, size_t size) {
  void **list = &pool->idle[class_of(size)];
  memcpy(block, list, sizeof *list);
  *list = block;
}

// The rest of a chunk that is too short for this block is handed out later, as the size that it has.
static bool add_chunk(struct ql_pool *pool) {
  struct ql_pool_chunk *chunk = malloc(sizeof *chunk);
  if (!chunk)
    return false;
  if (pool->room_bytes)
    put(pool, pool->room, pool->room_bytes);
  chunk->next = pool->chunks;
  pool->chunks = chunk;
  pool->room = chunk->bytes;
  pool->room_bytes = CHUNK_BYTES;
  return true;
}

static void *get(struct ql_pool *pool, size_t size) {
  void **list = &pool->idle[class_of(size)];
  void *block = *list;
  if (block) {
    memcpy(list, block, sizeof *list);
    return block;
  }
  size_t rounded = (class_of(size) + 1) * QL_POOL_STEP;
  if (pool->room_bytes < rounded && !add_chunk(pool))
    return NULL;
  block = pool->room;
  pool->room += rounded;
  pool->room_bytes -= rounded;
  return block;
}

static void *any_get(struct ql_pool *pool, size_t size) {
  return size <= POOLED_BYTES ? get(pool, size) : malloc(size);
}

static void any_put(struct ql_pool *pool, void *block, size_t size) {
  if (size <= POOLED_BYTES)
    put(pool, block, size);
  else
    free(block);
}

void *ql_pool_resize(struct ql_pool *pool, void *block, size_t old_size, size_t size) {
  if (!block)
    return size ? any_get(pool, size) : NULL;
  if (size == 0) {
    any_put(pool, block, old_size);
    return NULL;
  }
  if (old_size > POOLED_BYTES && size > POOLED_BYTES)
    return realloc(block, size);
  if (old_size <= POOLED_BYTES && size <= POOLED_BYTES && class_of(old_size) == class_of(size))
    return block;
  void *moved = any_get(pool, size);
  if (!moved)
    return NULL;
  memcpy(moved, block, old_size < size ? old_size : size);
  any_put(pool, block, old_size);
  return moved;
}

void ql_pool_free(struct ql_pool *pool) {
  while (pool->chunks) {
    struct ql_pool_chunk *chunk = pool->chunks;
    pool->chunks = chunk->next;
    free(chunk);
  }
  memset(pool, 0, sizeof *pool);
}
