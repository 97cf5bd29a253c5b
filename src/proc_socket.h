// SPDX-License-Identifier: Apache-2.0
// proc_socket: who listens where: a port held until its server starts, and whose the listening sockets are.
//
// With SO_REUSEPORT two servers share a port without an error and the kernel deals connections out between
// them, so an answer at the right address proves nothing. Sockets are known by their inode: /proc/net says
// which listen, /proc/<pid>/fd whose they are.
#ifndef QL_PROC_SOCKET_H
#define QL_PROC_SOCKET_H

#include "base.h"

#include <sys/types.h>

// A socket bound to host and *port (0: the kernel chooses, and *port says which), not listening, so that
// nobody else is given the port. Returns its descriptor, or -1. A port that must be free is looked at before.
int ql_port_hold(const char *host, int *port, struct ql_err *err);

struct ql_listeners {
  unsigned ours, others; // listening sockets that a connection to the address may reach
  bool is_blind;         // a process of ours does not let us see its files: others may be its own
};

// By address, or by the path of a UNIX socket when that is not NULL.
struct ql_listeners ql_listeners_find(const pid_t *ours, size_t count, const char *host, int port, const char *path);

// Removes the file of a UNIX socket that its server has left; there being none is fine, another kind of file is an error.
int ql_socket_clear(const char *path, struct ql_err *err);

// Ends this process's own connections to an address, however long they are kept for later use: a server may wait for
// its clients before it stops. Returns how many there were.
unsigned ql_connections_shut(const char *host, int port, const char *path);

#endif
