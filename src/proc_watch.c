// SPDX-License-Identifier: Apache-2.0
// proc_watch: see proc_watch.h.

#include "proc_watch.h"

#include <unistd.h>

static void closed(uv_handle_t *handle) {
  struct ql_watch *watch = (struct ql_watch *)handle; // poll is its first member
  close(watch->fd);
  watch->is_open = false;
  watch->on_closed(handle->data);
}

void ql_watch_start(struct ql_watch *watch, struct ql_loop *loop, int fd, int events, uv_poll_cb on_ready, void *owner,
                    void (*on_closed)(void *owner)) {
  watch->fd = fd;
  watch->is_open = true;
  watch->on_closed = on_closed;
  uv_poll_init(ql_loop_uv(loop), &watch->poll, fd);
  watch->poll.data = owner;
  uv_poll_start(&watch->poll, events, on_ready);
}

bool ql_watch_is_on(const struct ql_watch *watch) {
  return watch->is_open && !uv_is_closing((const uv_handle_t *)&watch->poll);
}

void ql_watch_stop(struct ql_watch *watch) {
  if (ql_watch_is_on(watch))
    uv_close((uv_handle_t *)&watch->poll, closed);
}
