// SPDX-License-Identifier: Apache-2.0
// sim: listening sockets, the server's life and its counters. See sim.h; connections are in sim_conn.c.
//
// Not obvious: the memory goes when the last libuv handle has called back, so handles are counted.
#include "sim.h"
#include "sim_conn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { backlog = 4096 };

static void on_connection(uv_stream_t *stream, int status) {
  if (status >= 0)
    ql_sim_conn_accept(stream->data);
}

void ql_sim_release(struct ql_sim *sim) {
  if (--sim->handles || !sim->closed)
    return;
  free(sim->unix_path);
  free(sim);
}

static void on_listener_closed(uv_handle_t *handle) {
  struct ql_sim_listener *listener = handle->data;
  ql_sim_release(listener->sim);
}

static int listen_tcp(struct ql_sim *sim, uv_loop_t *loop, struct ql_err *err) {
  const char *host = sim->options.host;
  int port = sim->options.port;
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address;
  if (uv_ip4_addr(host, port, &address.v4) && uv_ip6_addr(host, port, &address.v6))
    return ql_fail(err, QL_E_USAGE, "cannot listen on host '%s': want a numeric address", host);
  uv_tcp_init_ex(loop, &sim->tcp.io.tcp, address.any.sa_family); // with its socket
  sim->tcp.io.handle.data = &sim->tcp;
  sim->tcp.open = true;
  sim->handles++;
  uv_os_fd_t fd;
  int on = 1;
  if (sim->options.reuse_port && uv_fileno(&sim->tcp.io.handle, &fd) == 0)
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  int rc = uv_tcp_bind(&sim->tcp.io.tcp, &address.any, 0);
  if (!rc)
    rc = uv_listen(&sim->tcp.io.stream, backlog, on_connection);
  if (!rc)
    return 0;
  ql_fail(err, QL_E_IO, "cannot listen on %s port %d: %s", host, port, uv_strerror(rc));
  return rc == UV_EADDRINUSE ? ql_hint(err, "another program has this port; --port 0 takes a free one") : -1;
}

static int listen_unix(struct ql_sim *sim, uv_loop_t *loop, struct ql_err *err) {
  const char *path = sim->unix_path;
  struct stat old;
  if (lstat(path, &old) == 0 && S_ISSOCK(old.st_mode))
    unlink(path); // left behind by a server that was killed
  uv_pipe_init(loop, &sim->unix_socket.io.pipe, 0);
  sim->unix_socket.io.handle.data = &sim->unix_socket;
  sim->unix_socket.open = true;
  sim->handles++;
  int rc = strlen(path) < sizeof((struct sockaddr_un *)0)->sun_path ? uv_pipe_bind(&sim->unix_socket.io.pipe, path)
                                                                    : UV_ENAMETOOLONG;
  if (!rc)
    rc = uv_listen(&sim->unix_socket.io.stream, backlog, on_connection);
  return rc ? ql_fail(err, QL_E_IO, "cannot listen on %s: %s", path, uv_strerror(rc)) : 0;
}

struct ql_sim *ql_sim_open(struct ql_loop *loop, const struct ql_sim_options *options, struct ql_err *err) {
  struct ql_sim *sim = ql_calloc(1, sizeof *sim);
  sim->options = *options;
  sim->unix_path = options->unix_socket ? ql_strdup(options->unix_socket) : NULL;
  sim->tcp.sim = sim->unix_socket.sim = sim;
  sim->handles = 1; // ours, until ql_sim_close
  sim->pace = ql_sim_pace_open(loop, ql_sim_conn_on_due, err);
  if (options->send_log)
    sim->log = ql_sim_log_open(options->send_log, err);
  if (!sim->pace || (options->send_log && !sim->log) || (options->host && listen_tcp(sim, ql_loop_uv(loop), err)) ||
      (sim->unix_path && listen_unix(sim, ql_loop_uv(loop), err))) {
    ql_sim_close(sim);
    return NULL;
  }
  return sim;
}

void ql_sim_close(struct ql_sim *sim) {
  sim->closed = true;
  while (sim->first)
    ql_sim_conn_close(sim->first, false);
  ql_sim_log_close(sim->log);
  sim->log = NULL;
  if (sim->tcp.open)
    uv_close(&sim->tcp.io.handle, on_listener_closed);
  if (sim->unix_socket.open) // libuv removes the socket file
    uv_close(&sim->unix_socket.io.handle, on_listener_closed);
  ql_sim_pace_close(sim->pace);
  ql_sim_release(sim);
}

int ql_sim_port(const struct ql_sim *sim) {
  struct sockaddr_storage address;
  int len = sizeof address;
  if (!sim->tcp.open || uv_tcp_getsockname(&sim->tcp.io.tcp, (struct sockaddr *)&address, &len))
    return 0;
  return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                       : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

void ql_sim_read_stats(const struct ql_sim *sim, struct ql_sim_stats *stats) {
  *stats = sim->stats;
  uint64_t seen = 0, wanted = stats->events - stats->events / 100;
  for (unsigned slot = 0; slot < ql_sim_late_slots && stats->events; slot++) {
    seen += sim->late[slot];
    if (seen >= wanted) {
      stats->late_p99_ns = slot ? (uint64_t)1 << slot : 0;
      break;
    }
  }
}

const char *ql_sim_method(const struct ql_sim_exchange *conn) {
  return http_method_str((enum http_method)conn->request.parser.method);
}

const char *ql_sim_target(const struct ql_sim_exchange *conn) { return conn->request.target.data; }

const char *ql_sim_body(const struct ql_sim_exchange *conn, size_t *len) {
  *len = conn->request.body.len;
  return conn->request.body.data ? conn->request.body.data : "";
}

bool ql_sim_header(const struct ql_sim_exchange *conn, size_t index, const char **name, const char **value) {
  return ql_sim_request_header(&conn->request, index, name, value);
}
