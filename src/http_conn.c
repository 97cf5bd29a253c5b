// SPDX-License-Identifier: Apache-2.0
// http_conn: see http_conn.h.
//
// Not obvious: the kernel begins to stamp packets when the first socket asks for it, a moment later, and stops with
// the last one; so one socket that is never used asks for it as long as the thread lives. And a UNIX socket whose
// queue is full refuses at once where TCP would wait: then it is tried again, until the request's limits end it.

#include "http_conn.h"
#include "http_lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_ADDRESSES 8
#define NAME_HOLDS_NS UINT64_C(60000000000)
#define RETRY_NS UINT64_C(1000000)

struct address {
  socklen_t len;
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
  };
};

struct ql_http_peer {
  struct ql_http_peer *next;
  char *name; // as in ql_http_wire.peer
  struct address *addresses;
  uint8_t count, best; // best: that the latest connection stood on
  uint64_t found_ns;   // 0: the addresses hold for ever
  struct ql_http_lookup *lookup;
  struct ql_http_conn *naming;     // wait for it
  struct ql_http_conn *idle_first; // the longest idle
  struct ql_http_conn *idle_last;
};

// ---- peers and their addresses ------------------------------------------------------------------------

static void add_address(struct ql_http_peer *peer, const void *address, socklen_t len) {
  if (peer->count == MAX_ADDRESSES || len > sizeof peer->addresses->un)
    return;
  peer->addresses = ql_realloc(peer->addresses, (peer->count + 1u) * sizeof *peer->addresses);
  struct address *added = &peer->addresses[peer->count++];
  memset(added, 0, sizeof *added);
  memcpy(&added->un, address, len);
  added->len = len;
}

static bool add_v4(struct ql_http_peer *peer, const char *host, uint16_t port) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
    return false;
  add_address(peer, &in, sizeof in);
  return true;
}

static bool add_v6(struct ql_http_peer *peer, const char *host, uint16_t port) {
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
    return false;
  add_address(peer, &in6, sizeof in6);
  return true;
}

// "host:port" in its parts; the brackets of IPv6 are dropped.
static uint16_t split_name(const char *name, char *host, size_t size) {
  const char *colon = strrchr(name, ':');
  bool in_brackets = name[0] == '[';
  int len = (int)(colon - name) - (in_brackets ? 2 : 0);
  snprintf(host, size, "%.*s", len, in_brackets ? name + 1 : name);
  return (uint16_t)strtoul(colon + 1, NULL, 10);
}

// Addresses that need no asking.
static void know_addresses(struct ql_http_peer *peer) {
  char host[256];
  if (strncmp(peer->name, "unix ", 5) == 0) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, peer->name + 5, strlen(peer->name + 5)); // its length has been checked, and the rest is zero
    add_address(peer, &un, sizeof un);
    return;
  }
  uint16_t port = split_name(peer->name, host, sizeof host);
  if (add_v4(peer, host, port) || add_v6(peer, host, port) || !ql_http_is_loopback(host))
    return;
  add_v4(peer, "127.0.0.1", port); // RFC 6761 6.3: nobody need be asked
  add_v6(peer, "::1", port);
}

static struct ql_http_peer *peer_of(struct ql_http_io *io, const char *name) {
  for (struct ql_http_peer **at = &io->peers; *at; at = &(*at)->next) {
    struct ql_http_peer *peer = *at;
    if (strcmp(peer->name, name) != 0)
      continue;
    *at = peer->next; // to the front: the next request is likely to be for it
    peer->next = io->peers;
    return io->peers = peer;
  }
  struct ql_http_peer *peer = ql_calloc(1, sizeof *peer);
  peer->name = ql_strdup(name);
  know_addresses(peer);
  peer->next = io->peers;
  return io->peers = peer;
}

// ---- lists of connections -----------------------------------------------------------------------------

static void unlink_idle(struct ql_http_conn *conn) {
  struct ql_http_peer *peer = conn->peer;
  if (conn->prev)
    conn->prev->next = conn->next;
  else
    peer->idle_first = conn->next;
  if (conn->next)
    conn->next->prev = conn->prev;
  else
    peer->idle_last = conn->prev;
  conn->io->idle_count--;
}

static void unlink_naming(struct ql_http_conn *conn) {
  if (conn->prev)
    conn->prev->next = conn->next;
  else
    conn->peer->naming = conn->next;
  if (conn->next)
    conn->next->prev = conn->prev;
}

static void on_nothing(struct ql_http_watch *watch, uint32_t events) { (void)watch, (void)events; }

void ql_http_conn_close(struct ql_http_conn *conn) {
  struct ql_http_io *io = conn->io;
  if (conn->state == QL_HTTP_CONN_IDLE)
    unlink_idle(conn);
  else if (conn->state == QL_HTTP_CONN_NAMING)
    unlink_naming(conn);
  ql_http_alarm_clear(&io->alarms, &conn->alarm);
  if (conn->watch.fd >= 0)
    ql_http_watch_close(io, conn->watch.fd);
  conn->watch = (struct ql_http_watch){on_nothing, -1};
  conn->next = io->graves;
  io->graves = conn;
}

void ql_http_conns_bury(struct ql_http_io *io) {
  while (io->graves) {
    struct ql_http_conn *conn = io->graves;
    io->graves = conn->next;
    ql_http_answer_free(&conn->answer);
    free(conn);
  }
}

struct ql_http_conn *ql_http_conn_take(struct ql_http_io *io, struct ql_http_job *job) {
  struct ql_http_conn *conn = peer_of(io, job->wire.peer)->idle_last;
  if (!conn)
    return NULL;
  unlink_idle(conn);
  conn->state = QL_HTTP_CONN_BUSY;
  conn->is_reused = true;
  return conn;
}

void ql_http_conn_keep(struct ql_http_conn *conn) {
  struct ql_http_io *io = conn->io;
  struct ql_http_peer *peer = conn->peer;
  if (io->is_stopping || (long)io->idle_count >= io->max_connections + 8) {
    ql_http_conn_close(conn);
    return;
  }
  conn->state = QL_HTTP_CONN_IDLE;
  conn->job = NULL;
  conn->next = NULL;
  conn->prev = peer->idle_last;
  if (peer->idle_last)
    peer->idle_last->next = conn;
  else
    peer->idle_first = conn;
  peer->idle_last = conn;
  io->idle_count++;
  ql_http_conn_want(conn, EPOLLIN); // its end
}

void ql_http_conn_want(struct ql_http_conn *conn, uint32_t events) {
  if (conn->events == events)
    return;
  conn->events = events;
  ql_http_watch_change(conn->io, &conn->watch, events);
}

// ---- connecting ---------------------------------------------------------------------------------------

static void ask_for_stamps(struct ql_http_io *io) {
  int on = 1;
  if (io->stamp_fd >= 0)
    return;
  io->stamp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (io->stamp_fd >= 0)
    setsockopt(io->stamp_fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
}

static void set_options(int fd, int family) {
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on); // no stamps where it is not known
  if (family == AF_UNIX)
    return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static void connected(struct ql_http_conn *conn) {
  conn->state = QL_HTTP_CONN_BUSY;
  conn->peer->best = (uint8_t)((conn->begin + conn->tried) % conn->peer->count);
  ql_http_plain_connected(conn);
}

static void drop_socket(struct ql_http_conn *conn, int reason) {
  if (conn->watch.fd >= 0)
    ql_http_watch_close(conn->io, conn->watch.fd);
  conn->watch.fd = -1;
  conn->reason = reason;
}

// Returns 0 when it stands or will, an errno when this address will not do.
static int try_address(struct ql_http_conn *conn, const struct address *to, bool *stands) {
  struct ql_http_io *io = conn->io;
  int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return errno;
  ql_http_curl_forget(io, fd);
  conn->watch.fd = fd;
  set_options(fd, to->any.sa_family);
  *stands = connect(fd, &to->any, to->len) == 0;
  if (!*stands && errno != EINPROGRESS)
    return errno;
  conn->events = *stands ? EPOLLIN : EPOLLOUT;
  return ql_http_watch_add(io, &conn->watch, conn->events) == 0 ? 0 : errno;
}

static void try_on(struct ql_http_conn *conn) {
  struct ql_http_peer *peer = conn->peer;
  char words[128];
  if (!conn->tried)
    conn->begin = peer->best;
  while (conn->tried < peer->count) {
    bool stands = false;
    int reason = try_address(conn, &peer->addresses[(conn->begin + conn->tried) % peer->count], &stands);
    if (reason == 0) {
      if (stands)
        connected(conn);
      return;
    }
    drop_socket(conn, reason);
    if (reason == EAGAIN) {
      ql_http_alarm_at(conn->io, &conn->alarm, ql_http_io_now(conn->io) + RETRY_NS);
      return;
    }
    conn->tried++;
  }
  ql_http_quote(words, sizeof words, strerror(conn->reason));
  ql_http_plain_unconnected(conn, "no connection", words);
}

static void on_retry(struct ql_http_alarm *alarm) {
  try_on((struct ql_http_conn *)((char *)alarm - offsetof(struct ql_http_conn, alarm)));
}

static void on_connect_ready(struct ql_http_conn *conn) {
  int reason = 0;
  socklen_t size = sizeof reason;
  if (getsockopt(conn->watch.fd, SOL_SOCKET, SO_ERROR, &reason, &size) != 0)
    reason = errno;
  if (reason == 0) {
    connected(conn);
    return;
  }
  drop_socket(conn, reason);
  conn->tried++;
  try_on(conn);
}

static void on_ready(struct ql_http_watch *watch, uint32_t events) {
  struct ql_http_conn *conn = (struct ql_http_conn *)watch;
  if (conn->state == QL_HTTP_CONN_CONNECTING)
    on_connect_ready(conn);
  else if (conn->state == QL_HTTP_CONN_IDLE)
    ql_http_conn_close(conn); // the server has closed it, or says what nobody asked
  else
    ql_http_plain_ready(conn, events);
}

// ---- names --------------------------------------------------------------------------------------------

static void begin_naming(struct ql_http_conn *conn) {
  struct ql_http_peer *peer = conn->peer;
  conn->state = QL_HTTP_CONN_NAMING;
  conn->prev = NULL;
  conn->next = peer->naming;
  if (peer->naming)
    peer->naming->prev = conn;
  peer->naming = conn;
  if (peer->lookup)
    return;
  char host[256];
  split_name(peer->name, host, sizeof host);
  peer->lookup = ql_http_lookup_start(conn->io, peer, host, strrchr(peer->name, ':') + 1);
  if (!peer->lookup)
    ql_http_plain_unconnected(conn, "no such host", "no thread to ask on");
}

static void take_addresses(struct ql_http_peer *peer, const struct addrinfo *found, uint64_t now_ns) {
  if (!found)
    return;
  peer->count = peer->best = 0;
  for (; found; found = found->ai_next)
    add_address(peer, found->ai_addr, found->ai_addrlen);
  peer->found_ns = now_ns;
}

void ql_http_plain_lookup_done(struct ql_http_lookup *lookup) {
  struct ql_http_peer *peer = ql_http_lookup_peer(lookup);
  const char *reason;
  char words[128];
  const struct addrinfo *found = ql_http_lookup_found(lookup, &reason);
  ql_http_quote(words, sizeof words, reason);
  take_addresses(peer, found, ql_now_ns());
  peer->lookup = NULL;
  while (peer->naming) {
    struct ql_http_conn *conn = peer->naming;
    if (!peer->count) { // else the addresses of a minute ago are better than none
      ql_http_plain_unconnected(conn, "no such host", words); // closes it
      continue;
    }
    unlink_naming(conn);
    conn->state = QL_HTTP_CONN_CONNECTING;
    try_on(conn);
  }
  ql_http_lookup_end(lookup);
}

void ql_http_conn_open(struct ql_http_io *io, struct ql_http_job *job) {
  struct ql_http_peer *peer = peer_of(io, job->wire.peer);
  struct ql_http_conn *conn = ql_calloc(1, sizeof *conn);
  conn->watch = (struct ql_http_watch){on_ready, -1};
  conn->io = io;
  conn->peer = peer;
  conn->job = job;
  conn->alarm.on_due = on_retry;
  conn->state = QL_HTTP_CONN_CONNECTING;
  job->conn = conn;
  ask_for_stamps(io);
  if (!peer->count || (peer->found_ns && io->now_ns - peer->found_ns > NAME_HOLDS_NS))
    begin_naming(conn);
  else
    try_on(conn);
}

void ql_http_conns_close(struct ql_http_io *io) {
  while (io->peers) {
    struct ql_http_peer *peer = io->peers;
    io->peers = peer->next;
    while (peer->idle_first)
      ql_http_conn_close(peer->idle_first);
    if (peer->lookup)
      ql_http_lookup_end(peer->lookup);
    free(peer->addresses);
    free(peer->name);
    free(peer);
  }
  ql_http_conns_bury(io);
  if (io->stamp_fd >= 0)
    close(io->stamp_fd);
}
