// SPDX-License-Identifier: Apache-2.0
// What an event costs in memory: nothing, once a stream like it has been seen; and what an open stream costs.
// Counts every malloc, calloc and realloc of the process between two moments at which nothing else allocates.
#include "http_world.h"

#include <malloc.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_COUNT 0 // these have an allocator of their own
#else
#define CAN_COUNT 1
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static atomic_ulong allocations;

__attribute__((visibility("default"))) void *malloc(size_t size) {
  atomic_fetch_add(&allocations, 1);
  return __libc_malloc(size);
}
__attribute__((visibility("default"))) void *calloc(size_t count, size_t size) {
  atomic_fetch_add(&allocations, 1);
  return __libc_calloc(count, size);
}
__attribute__((visibility("default"))) void *realloc(void *old, size_t size) {
  atomic_fetch_add(&allocations, 1);
  return __libc_realloc(old, size);
}
#endif

#define EVENT "data: {\"choices\":[{\"delta\":{\"content\":\"a token of usual length\"}}]}\n\n"
#define CHUNK "45\r\n" EVENT "\r\n"
#define FOUR CHUNK CHUNK CHUNK CHUNK
#define SIXTEEN FOUR FOUR FOUR FOUR

static const struct play_scene scenes[] = {
    {"/stream", SCENE("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK,
                      "@gate", CHUNK, FOUR, SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN,
                      SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN, "@gate", "0\r\n\r\n")},
    {NULL, NULL},
};
#define EVENTS (1 + 1 + 4 + 16 * 16)

static void wait_for_events(struct world *world, uint64_t count) {
  uint64_t until_ns = ql_now_ns() + UINT64_C(30000000000);
  while (stats_of(world).events < count && ql_now_ns() < until_ns)
    usleep(500); // the main loop must not turn: its timers are allocated
  CHECK_INT(stats_of(world).events, count);
}

static void an_event_allocates_nothing_after_warm_up(void) {
  struct world world;
  world_open(&world, scenes, 1);
  unsigned long used = 0;
  for (int round = 0; round < 2; round++) {
    struct answer answer = {0};
    struct ql_http_request request = {.url = url_of(&world, "/stream"), .sse = true, .idle_ms = 60000};
    uint64_t before = stats_of(&world).events;
    send_request(&world, &request, &answer);
    wait_for_events(&world, before + 1); // the answer's head and its first event are through
#if CAN_COUNT
    used = atomic_load(&allocations);
#endif
    atomic_store(&world.play.gate, 1);
    wait_for_events(&world, before + EVENTS);
#if CAN_COUNT
    used = atomic_load(&allocations) - used;
#endif
    UNTIL(&world, answer.count == 1);
    CHECK_INT(answer.reply->event_count, EVENTS);
    ql_http_reply_free(answer.reply);
    atomic_store(&world.play.gate, 0);
    if (round == 0 && CAN_COUNT)
      CHECK(used > 0); // else the counting is broken: buffers had to grow
  }
  if (CAN_COUNT && world_transport == QL_HTTP_AUTO)
    CHECK_INT(used, 0);
  if (!CAN_COUNT)
    printf("not counted under a sanitizer\n");
  world_close(&world);
}

RUN_BOTH(an_event_allocates_nothing_after_warm_up)
