// SPDX-License-Identifier: Apache-2.0
// proc_socket: see proc_socket.h. Reads /proc/net and /proc/<pid>/fd; owns no descriptor that it returns.

#include "proc_socket.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_LISTENERS = 64, LISTENING = 0x0A };

int ql_port_hold(const char *host, int *port, struct ql_err *err) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
  socklen_t len = sizeof address;
  if (strcmp(host, "localhost") == 0)
    host = "127.0.0.1";
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
    return ql_fail(err, QL_E_USAGE, "want a numeric IPv4 address, got \"%s\"", host);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return ql_fail(err, QL_E_IO, "cannot make a socket: %s", strerror(errno));
  int on = 1;
  if (*port) // connections of the server before, in TIME_WAIT, are not "in use"
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, len) == 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
    *port = ntohs(address.sin_port);
    return fd;
  }
  ql_fail(err, QL_E_CONNECT, "port %d on %s: %s", *port, host, strerror(errno));
  close(fd);
  return -1;
}

// ---- which sockets listen -----------------------------------------------------------------------------

enum match { ELSEWHERE, ANY_ADDRESS, THIS_ADDRESS };

struct found {
  unsigned long inodes[MAX_LISTENERS];
  size_t count;
  enum match best; // a more exact address takes all connections, so only the most exact count
};

// Addresses stand in /proc/net as the memory of the machine shows them, in hexadecimal.
static enum match match_address(const char *shown, const char *wanted) {
  static const char mapped[] = "0000000000000000FFFF0000";
  if (strncmp(shown, mapped, sizeof mapped - 1) == 0)
    shown += sizeof mapped - 1;
  if (strspn(shown, "0") == strlen(shown))
    return ANY_ADDRESS;
  return !*wanted || strcmp(shown, wanted) == 0 ? THIS_ADDRESS : ELSEWHERE;
}

static void add(struct found *found, enum match match, unsigned long inode) {
  if (match == ELSEWHERE || match < found->best)
    return;
  if (match > found->best)
    found->count = 0;
  found->best = match;
  if (found->count < MAX_LISTENERS)
    found->inodes[found->count++] = inode;
}

static void read_tcp(struct found *found, const char *table, const char *wanted, int port) {
  FILE *file = fopen(table, "re");
  if (!file)
    return;
  char line[512];
  while (fgets(line, sizeof line, file)) {
    char address[40];
    unsigned at, state;
    unsigned long inode;
    if (sscanf(line, " %*d: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu", address, &at, &state,
               &inode) == 4 &&
        state == LISTENING && at == (unsigned)port)
      add(found, match_address(address, wanted), inode);
  }
  fclose(file);
}

static void read_unix(struct found *found, const char *path) {
  FILE *file = fopen("/proc/net/unix", "re");
  if (!file)
    return;
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, file) > 0) {
    unsigned flags;
    unsigned long inode;
    int name_at = 0;
    line[strcspn(line, "\n")] = '\0';
    // num refcount protocol flags type state inode path; 0x10000: it accepts connections
    if (sscanf(line, "%*s %*x %*x %x %*x %*x %lu %n", &flags, &inode, &name_at) == 2 && name_at && (flags & 0x10000) &&
        strcmp(line + name_at, path) == 0)
      add(found, THIS_ADDRESS, inode);
  }
  free(line);
  fclose(file);
}

// ---- whose they are -----------------------------------------------------------------------------------

static bool has_socket(DIR *dir, const char *folder, unsigned long inode) {
  rewinddir(dir);
  for (struct dirent *entry; (entry = readdir(dir));) {
    char path[512], target[64];
    unsigned long held;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    ssize_t len = readlink(path, target, sizeof target - 1);
    target[len > 0 ? len : 0] = '\0';
    if (sscanf(target, "socket:[%lu]", &held) == 1 && held == inode)
      return true;
  }
  return false;
}

static void look_into(pid_t pid, const struct found *found, bool is_ours[], bool *is_blind) {
  char folder[64];
  snprintf(folder, sizeof folder, "/proc/%ld/fd", (long)pid);
  DIR *dir = opendir(folder);
  if (!dir) {
    *is_blind = *is_blind || errno == EACCES;
    return;
  }
  for (size_t i = 0; i < found->count; i++)
    is_ours[i] = is_ours[i] || has_socket(dir, folder, found->inodes[i]);
  closedir(dir);
}

struct ql_listeners ql_listeners_find(const pid_t *ours, size_t count, const char *host, int port, const char *path) {
  struct found found = {0};
  struct in_addr address;
  char wanted[16] = "";
  if (path) {
    read_unix(&found, path);
  } else {
    if (host && inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &address) == 1 && address.s_addr)
      snprintf(wanted, sizeof wanted, "%08X", address.s_addr);
    read_tcp(&found, "/proc/net/tcp", wanted, port);
    read_tcp(&found, "/proc/net/tcp6", wanted, port);
  }
  bool is_ours[MAX_LISTENERS] = {0};
  struct ql_listeners result = {0};
  for (size_t i = 0; i < count; i++)
    look_into(ours[i], &found, is_ours, &result.is_blind);
  for (size_t i = 0; i < found.count; i++)
    *(is_ours[i] ? &result.ours : &result.others) += 1;
  return result;
}

int ql_socket_clear(const char *path, struct ql_err *err) {
  struct stat info;
  if (lstat(path, &info) != 0)
    return errno == ENOENT || errno == ENOTDIR ? 0 : ql_fail(err, QL_E_IO, "%s: %s", path, strerror(errno));
  if (!S_ISSOCK(info.st_mode))
    return ql_fail(err, QL_E_IO, "%s: want a socket or nothing, got another kind of file", path);
  return unlink(path) == 0 ? 0 : ql_fail(err, QL_E_IO, "%s: %s", path, strerror(errno));
}

// ---- our own connections ------------------------------------------------------------------------------

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  struct sockaddr_un local;
};

static bool leads_to(const union address *peer, const char *host, int port, const char *path) {
  struct in_addr address;
  if (path)
    return peer->any.sa_family == AF_UNIX && strncmp(peer->local.sun_path, path, sizeof peer->local.sun_path) == 0;
  if (peer->any.sa_family == AF_INET6)
    return ntohs(peer->v6.sin6_port) == port;
  if (peer->any.sa_family != AF_INET || ntohs(peer->v4.sin_port) != port)
    return false;
  bool is_any = inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &address) != 1 || !address.s_addr;
  return is_any || peer->v4.sin_addr.s_addr == address.s_addr;
}

unsigned ql_connections_shut(const char *host, int port, const char *path) {
  DIR *dir = opendir("/proc/self/fd");
  unsigned count = 0;
  if (!dir)
    return 0;
  for (struct dirent *entry; (entry = readdir(dir));) {
    union address peer = {0};
    socklen_t len = sizeof peer;
    int fd = (int)strtol(entry->d_name, NULL, 10);
    if (getpeername(fd, &peer.any, &len) == 0 && leads_to(&peer, host, port, path))
      count += shutdown(fd, SHUT_RDWR) == 0; // its owner finds it closed, and closes it
  }
  closedir(dir);
  return count;
}
