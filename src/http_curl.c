// SPDX-License-Identifier: Apache-2.0
// http_curl: libcurl's sockets and timer on an I/O thread's loop.
//
// Opened by the first transfer that needs it, for initialising TLS takes longer than a local server's first answer.
// Curl says which sockets to watch and when to call again. Not obvious: the kernel forgets a registration when the
// socket is closed, and curl closes some before it says so; so a watch may be stale, and is found out by its number.

#include "http_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct ql_http_curl_watch {
  struct ql_http_watch watch;
  uint32_t events;
  uint64_t number; // of the job that asked last: the descriptor may have gone to another
  struct ql_http_io *io;
  struct ql_http_curl_watch *next_dead;
};

static void take_finished(struct ql_http_io *io) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(io->multi, &left))) {
    struct ql_http_job *job = NULL;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &job);
    ql_http_transfer_done(job, code);
  }
}

// ---- sockets ------------------------------------------------------------------------------------------

// After an error what came before it is still to be read, and the read after that says what it was, where
// CURL_CSELECT_ERR would lose both: so an error counts as whatever was waited for.
static void on_ready(struct ql_http_watch *base, uint32_t events) {
  struct ql_http_curl_watch *watch = (struct ql_http_curl_watch *)base;
  struct ql_http_io *io = watch->io;
  if (events & (EPOLLERR | EPOLLHUP))
    events = watch->events;
  int flags = (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
  int running;
  curl_multi_socket_action(io->multi, watch->watch.fd, flags, &running); // may end the watch
  take_finished(io);
}

static void on_nothing(struct ql_http_watch *watch, uint32_t events) { (void)watch, (void)events; }

static struct ql_http_curl_watch *watch_of(const struct ql_http_io *io, int fd) {
  return fd >= 0 && (size_t)fd < io->watch_cap ? io->watches[fd] : NULL;
}

static struct ql_http_curl_watch *add_watch(struct ql_http_io *io, int fd) {
  struct ql_http_curl_watch *watch = ql_calloc(1, sizeof *watch);
  watch->watch = (struct ql_http_watch){on_ready, fd};
  watch->io = io;
  if ((size_t)fd >= io->watch_cap) {
    size_t cap = (size_t)fd * 2 + 64;
    io->watches = ql_realloc(io->watches, cap * sizeof(struct ql_http_curl_watch *));
    memset(io->watches + io->watch_cap, 0, (cap - io->watch_cap) * sizeof(struct ql_http_curl_watch *));
    io->watch_cap = cap;
  }
  io->watches[fd] = watch;
  return watch;
}

// Freed after this turn: the batch that epoll gave may hold an event of it.
void ql_http_curl_forget(struct ql_http_io *io, int fd) {
  struct ql_http_curl_watch *watch = watch_of(io, fd);
  if (!watch)
    return;
  io->watches[fd] = NULL;
  watch->watch.on_ready = on_nothing;
  watch->next_dead = io->dead_watches;
  io->dead_watches = watch;
}

static void unwatch(struct ql_http_io *io, int fd) {
  if (!watch_of(io, fd))
    return;
  epoll_ctl(io->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
  ql_http_curl_forget(io, fd);
}

void ql_http_curl_bury(struct ql_http_io *io) {
  while (io->dead_watches) {
    struct ql_http_curl_watch *watch = io->dead_watches;
    io->dead_watches = watch->next_dead;
    free(watch);
  }
}

// Registered, or registered anew where another socket had the number before.
static int register_watch(struct ql_http_curl_watch *watch) {
  struct epoll_event at = {.events = watch->events, .data.ptr = watch};
  int epoll_fd = watch->io->epoll_fd, fd = watch->watch.fd;
  if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &at) == 0)
    return 0;
  return errno == ENOENT ? epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &at) : -1;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known) {
  (void)known;
  struct ql_http_io *io = arg;
  struct ql_http_job *job = NULL;
  if (what == CURL_POLL_REMOVE) {
    unwatch(io, fd);
    return 0;
  }
  struct ql_http_curl_watch *watch = watch_of(io, fd);
  if (!watch)
    watch = add_watch(io, fd);
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &job);
  watch->number = job ? job->number : 0;
  watch->events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
  return register_watch(watch);
}

// A socket that was still connecting is closed by libcurl 7.88 before it says so, or, when the next one got the
// same number, without saying so at all. Hence two cares: a new socket under a watched number is registered
// with the kernel anew, and a transfer that ends before it was connected takes its watches along.
curl_socket_t ql_http_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
  (void)purpose;
  struct ql_http_job *job = arg;
  struct ql_http_io *io = job->part->io;
  int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0)
    return CURL_SOCKET_BAD;
  struct ql_http_curl_watch *stale = watch_of(io, fd);
  if (stale)
    register_watch(stale);
  job->sockets[address->family == AF_INET6] = fd;
  return fd;
}

int ql_http_close_socket(void *io, curl_socket_t fd) {
  ql_http_watch_close(io, fd);
  return 0;
}

void ql_http_unwatch_job(const struct ql_http_job *job) {
  struct ql_http_io *io = job->part->io;
  for (size_t i = 0; i < QL_LEN(job->sockets); i++) {
    const struct ql_http_curl_watch *watch = watch_of(io, job->sockets[i]);
    if (watch && watch->number == job->number)
      unwatch(io, job->sockets[i]);
  }
}

// ---- the timer ----------------------------------------------------------------------------------------

static void time_out(struct ql_http_io *io) {
  int running;
  curl_multi_socket_action(io->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  take_finished(io);
}

void ql_http_curl_kick(struct ql_http_io *io) {
  io->must_kick = false;
  time_out(io);
}

static void on_due(struct ql_http_alarm *alarm) {
  time_out((struct ql_http_io *)((char *)alarm - offsetof(struct ql_http_io, curl_alarm)));
}

// Zero means at once, but not from within this call: before the loop sleeps again.
static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg) {
  (void)multi;
  struct ql_http_io *io = arg;
  io->must_kick = timeout_ms == 0;
  ql_http_alarm_clear(&io->alarms, &io->curl_alarm);
  if (timeout_ms > 0)
    ql_http_alarm_at(io, &io->curl_alarm, ql_http_io_now(io) + (uint64_t)timeout_ms * 1000000u);
  return 0;
}

// ---- open and close -----------------------------------------------------------------------------------

static pthread_mutex_t global_lock = PTHREAD_MUTEX_INITIALIZER; // libcurl's own initialisation is not for two at once

static CURLcode global_init(void) {
  pthread_mutex_lock(&global_lock);
  CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  pthread_mutex_unlock(&global_lock);
  return code;
}

static void global_cleanup(void) {
  pthread_mutex_lock(&global_lock);
  curl_global_cleanup();
  pthread_mutex_unlock(&global_lock);
}

int ql_http_curl_open(struct ql_http_io *io, struct ql_err *err) {
  if (io->multi)
    return 0;
  if (global_init() != CURLE_OK)
    return ql_fail(err, QL_E_INTERNAL, "cannot initialise libcurl");
  io->multi = curl_multi_init();
  if (!io->multi) {
    global_cleanup();
    return ql_fail(err, QL_E_INTERNAL, "cannot make a libcurl multi handle");
  }
  io->curl_alarm.on_due = on_due;
  curl_multi_setopt(io->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(io->multi, CURLMOPT_SOCKETDATA, io);
  curl_multi_setopt(io->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
  curl_multi_setopt(io->multi, CURLMOPT_TIMERDATA, io);
  curl_multi_setopt(io->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  curl_multi_setopt(io->multi, CURLMOPT_MAXCONNECTS, io->max_connections + 8);
  return 0;
}

void ql_http_curl_close(struct ql_http_io *io) {
  if (!io->multi)
    return;
  ql_http_slots_free(io);
  curl_multi_cleanup(io->multi); // closes the kept connections
  for (size_t fd = 0; fd < io->watch_cap; fd++)
    ql_http_curl_forget(io, (int)fd);
  ql_http_curl_bury(io);
  free(io->watches);
  global_cleanup();
}
