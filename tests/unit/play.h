// SPDX-License-Identifier: Apache-2.0
// play: a server that plays written scenes, for tests of the HTTP client.
//
// Plain sockets, one thread per connection. A scene belongs to a path and is a list of lines: a line is
// sent as it is, but for stage directions: "@gate" waits until the test opens the gate, "@ping N" sends a
// comment each N ms for as long as somebody listens, "@close" and "@rst" end the connection. After the last
// line the next request is awaited. Whatever waits ends when the play ends. Tests wait for what the server
// has counted, never for a time.
#ifndef QL_PLAY_H
#define QL_PLAY_H

#include "base.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct play_scene {
  const char *path; // compared up to '?'
  const char *const *lines;
};

#define PLAY_MAX_GUESTS 256

struct play {
  const struct play_scene *scenes;
  int listener, port;
  atomic_int accepts, requests, active, most_active, gate, is_over;
  pthread_t doorman, guests[PLAY_MAX_GUESTS];
  int guest_count;
  pthread_mutex_t lock;
  char last_request[4096]; // head and body
};

struct play_guest {
  struct play *play;
  int socket;
};

// Wait for the gate or for a time, whichever is asked for; false when the play is over.
static bool play_wait(struct play *play, bool for_gate, int ms) {
  uint64_t until_ns = ql_now_ns() + (uint64_t)ms * 1000000u;
  while (!atomic_load(&play->is_over)) {
    if (for_gate ? atomic_load(&play->gate) > 0 : ql_now_ns() >= until_ns)
      return true;
    usleep(500);
  }
  return false;
}

// Returns false when the connection is done.
static bool play_line(struct play *play, int fd, const char *line) {
  if (strcmp(line, "@gate") == 0)
    return play_wait(play, true, 0);
  if (strncmp(line, "@ping ", 6) == 0) {
    while (play_wait(play, false, atoi(line + 6)) && send(fd, ": ping\n\n", 8, MSG_NOSIGNAL) == 8)
      ;
    return false;
  }
  if (strcmp(line, "@close") == 0)
    return false;
  if (strcmp(line, "@rst") == 0) {
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    return false;
  }
  size_t len = strlen(line);
  while (len) {
    ssize_t put = send(fd, line, len, MSG_NOSIGNAL);
    if (put <= 0)
      return false;
    line += put;
    len -= (size_t)put;
  }
  return true;
}

// Reads one request, head and body; returns its length or -1 at the connection's end.
static long play_read(struct play *play, int fd, char *text, size_t size) {
  size_t len = 0;
  (void)play;
  for (;;) {
    text[len] = '\0';
    const char *end = strstr(text, "\r\n\r\n");
    if (end) {
      const char *length = strcasestr(text, "\r\ncontent-length:");
      size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
      if (len >= (size_t)(end + 4 - text) + body)
        return (long)len;
    }
    ssize_t got = len + 1 < size ? recv(fd, text + len, size - 1 - len, 0) : -1;
    if (got <= 0)
      return -1;
    len += (size_t)got;
  }
}

// A scene "/path range" is for requests with a Range header.
static const struct play_scene *play_find(const struct play *play, const char *request) {
  const char *path = strchr(request, ' ');
  size_t len = path ? strcspn(path + 1, " ?") : 0;
  bool has_range = strcasestr(request, "\r\nrange:") != NULL;
  const struct play_scene *found = NULL;
  for (const struct play_scene *scene = play->scenes; path && scene->path; scene++) {
    if (strncmp(scene->path, path + 1, len) != 0)
      continue;
    if (has_range && strcmp(scene->path + len, " range") == 0)
      return scene;
    if (scene->path[len] == '\0')
      found = scene;
  }
  return found;
}

static void play_count_active(struct play *play) {
  int now = atomic_fetch_add(&play->active, 1) + 1, most = atomic_load(&play->most_active);
  while (now > most && !atomic_compare_exchange_weak(&play->most_active, &most, now))
    ;
}

static void *play_serve(void *arg) {
  struct play_guest guest = *(struct play_guest *)arg;
  struct play *play = guest.play;
  static const char *const missing[] = {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", NULL};
  size_t size = 1 << 20;
  char *text = malloc(size);
  bool goes_on = true;
  free(arg);
  while (goes_on && play_read(play, guest.socket, text, size) > 0) {
    const struct play_scene *scene = play_find(play, text);
    pthread_mutex_lock(&play->lock);
    snprintf(play->last_request, sizeof play->last_request, "%s", text);
    pthread_mutex_unlock(&play->lock);
    play_count_active(play);
    atomic_fetch_add(&play->requests, 1);
    for (const char *const *line = scene ? scene->lines : missing; goes_on && *line; line++) {
      if (!line[1] && goes_on)
        atomic_fetch_sub(&play->active, 1); // before the last line: the client may answer it at once
      goes_on = play_line(play, guest.socket, *line);
    }
  }
  free(text);
  close(guest.socket);
  return NULL;
}

static void *play_door(void *arg) {
  struct play *play = arg;
  while (!atomic_load(&play->is_over)) {
    struct pollfd at = {.fd = play->listener, .events = POLLIN};
    if (poll(&at, 1, 20) <= 0)
      continue;
    int fd = accept(play->listener, NULL, NULL), on = 1;
    if (fd < 0 || play->guest_count == PLAY_MAX_GUESTS)
      continue;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    atomic_fetch_add(&play->accepts, 1);
    struct play_guest *guest = malloc(sizeof *guest);
    *guest = (struct play_guest){play, fd};
    pthread_create(&play->guests[play->guest_count++], NULL, play_serve, guest);
  }
  return NULL;
}

// unix_path NULL: a free port of 127.0.0.1.
static void play_open(struct play *play, const struct play_scene *scenes, const char *unix_path) {
  memset(play, 0, sizeof *play);
  play->scenes = scenes;
  pthread_mutex_init(&play->lock, NULL);
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  if (unix_path)
    snprintf(un.sun_path, sizeof un.sun_path, "%s", unix_path);
  play->listener = socket(unix_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
  int rc = unix_path ? bind(play->listener, (struct sockaddr *)&un, sizeof un)
                     : bind(play->listener, (struct sockaddr *)&in, sizeof in);
  if (rc != 0 || listen(play->listener, 128) != 0) {
    perror("play");
    abort();
  }
  socklen_t len = sizeof in;
  if (!unix_path && getsockname(play->listener, (struct sockaddr *)&in, &len) == 0)
    play->port = ntohs(in.sin_port);
  pthread_create(&play->doorman, NULL, play_door, play);
}

// The client's connections must be closed by now: a thread that awaits a request ends with its connection.
static void play_close(struct play *play) {
  atomic_store(&play->is_over, 1);
  pthread_join(play->doorman, NULL);
  for (int i = 0; i < play->guest_count; i++)
    pthread_join(play->guests[i], NULL);
  close(play->listener);
  pthread_mutex_destroy(&play->lock);
}

#endif
