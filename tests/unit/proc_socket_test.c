// SPDX-License-Identifier: Apache-2.0
// Sockets of this very process and of a child: who listens where, and connections that are ended.
#include "check.h"
#include "proc_socket.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// Two sockets on one port, as servers with SO_REUSEPORT make them.
static int listen_shared(const char *host, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  inet_pton(AF_INET, host, &address.sin_addr);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  CHECK_INT(listen(fd, 1), 0);
  return fd;
}

static struct ql_listeners find(pid_t pid, int port) { return ql_listeners_find(&pid, 1, "127.0.0.1", port, NULL); }

static void listening_sockets_have_owners(void) {
  struct ql_err err = {0};
  int port = 0, held = ql_port_hold("127.0.0.1", &port, &err);
  CHECK(held >= 0);
  CHECK(port > 0);
  CHECK_INT(find(getpid(), port).ours, 0); // held is not listening
  int again = port;
  CHECK_INT(ql_port_hold("127.0.0.1", &again, &err), -1);
  CHECK(strstr(err.text, "in use") != NULL);
  close(held);
  int one = listen_shared("127.0.0.1", port);
  CHECK_INT(find(getpid(), port).ours, 1);
  CHECK_INT(find(getpid(), port).others, 0);
  CHECK_INT(find(getppid(), port).ours, 0);
  CHECK_INT(find(getppid(), port).others, 1);
  int everywhere = listen_shared("0.0.0.0", port); // a connection to 127.0.0.1 never gets there
  CHECK_INT(find(getpid(), port).ours, 1);
  pid_t child = fork();
  if (child == 0) {
    listen_shared("127.0.0.1", port);
    close(one), close(everywhere);
    for (;;)
      pause();
  }
  while (find(getpid(), port).others == 0)
    usleep(1000);
  struct ql_listeners both = find(getpid(), port);
  CHECK_INT(both.ours, 1);
  CHECK_INT(both.others, 1);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(one);
  CHECK_INT(find(getpid(), port).ours, 1); // now the one of all addresses answers
  close(everywhere);
  CHECK_INT(find(getpid(), port).ours, 0);
}

static void connections_to_an_address_can_be_ended(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof address;
  int listener = listen_shared("127.0.0.1", 0), client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_INT(getsockname(listener, (struct sockaddr *)&address, &len), 0);
  CHECK_INT(connect(client, (struct sockaddr *)&address, sizeof address), 0);
  int served = accept(listener, NULL, NULL), port = ntohs(address.sin_port);
  char byte;
  CHECK_INT(ql_connections_shut("127.0.0.1", port == 1 ? 2 : port - 1, NULL), 0);
  CHECK_INT(recv(served, &byte, 1, MSG_DONTWAIT), -1);
  CHECK_INT(ql_connections_shut("127.0.0.1", port, NULL), 1);
  CHECK_INT(recv(served, &byte, 1, 0), 0); // it sees the end
  close(served), close(client), close(listener);
}

static void unix_sockets_have_owners(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/tmp/qlua-unit-%ld.sock", (long)getpid());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  pid_t me = getpid(), parent = getppid();
  CHECK_INT(ql_listeners_find(&me, 1, NULL, 0, address.sun_path).ours, 0);
  CHECK_INT(listen(fd, 1), 0);
  CHECK_INT(ql_listeners_find(&me, 1, NULL, 0, address.sun_path).ours, 1);
  CHECK_INT(ql_listeners_find(&parent, 1, NULL, 0, address.sun_path).others, 1);
  close(fd);
  struct ql_err err = {0};
  CHECK_INT(ql_socket_clear(address.sun_path, &err), 0);
  CHECK(access(address.sun_path, F_OK) != 0);
  CHECK_INT(ql_socket_clear(address.sun_path, &err), 0);
  CHECK_INT(ql_socket_clear("/proc/self/stat", &err), -1);
}

RUN(listening_sockets_have_owners, connections_to_an_address_can_be_ended, unix_sockets_have_owners)
