// SPDX-License-Identifier: Apache-2.0
// proc_watch: a file descriptor under a libuv poll handle, closed together with it.
//
// Owns the descriptor from the start on. The handle belongs to libuv until its close callback has run, so
// the owner may free the watch only after on_closed; that is what is_open is asked for.
#ifndef QL_PROC_WATCH_H
#define QL_PROC_WATCH_H

#include "loop.h"

#include <uv.h>

struct ql_watch {
  uv_poll_t poll;
  int fd;
  bool is_open;
  void (*on_closed)(void *owner);
};

// on_ready finds the owner in poll->data.
void ql_watch_start(struct ql_watch *watch, struct ql_loop *loop, int fd, int events, uv_poll_cb on_ready, void *owner,
                    void (*on_closed)(void *owner));
bool ql_watch_is_on(const struct ql_watch *watch); // started and not stopped
void ql_watch_stop(struct ql_watch *watch);        // harmless when it is not on

#endif
