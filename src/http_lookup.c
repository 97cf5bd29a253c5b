// SPDX-License-Identifier: Apache-2.0
// http_lookup: see http_lookup.h. getaddrinfo cannot be called off, so a lookup that nobody waits for any more is
// left to its thread, which frees it: whoever comes last does.

#include "http_lookup.h"

#include <stdlib.h>
#include <string.h>

struct ql_http_lookup {
  struct ql_http_message message; // part of the lookup, as a job's is of the job
  pthread_mutex_t lock;
  bool is_left, is_done; // by the asker, by the thread
  struct ql_http_io *io;
  struct ql_http_peer *peer;
  struct addrinfo *found;
  int code;
  char *host, *port;
};

static void free_lookup(struct ql_http_lookup *lookup) {
  if (lookup->found)
    freeaddrinfo(lookup->found);
  pthread_mutex_destroy(&lookup->lock);
  free(lookup->host);
  free(lookup->port);
  free(lookup);
}

static void *look_up(void *arg) {
  struct ql_http_lookup *lookup = arg;
  const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
  lookup->code = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->found);
  pthread_mutex_lock(&lookup->lock);
  bool is_left = lookup->is_left;
  lookup->is_done = true;
  if (!is_left) // under the lock: the asker's thread lives as long as it has not left
    ql_http_tell(lookup->io, &lookup->message);
  pthread_mutex_unlock(&lookup->lock);
  if (is_left)
    free_lookup(lookup);
  return NULL;
}

struct ql_http_lookup *ql_http_lookup_start(struct ql_http_io *io, struct ql_http_peer *peer, const char *host,
                                            const char *port) {
  struct ql_http_lookup *lookup = ql_calloc(1, sizeof *lookup);
  pthread_t thread;
  pthread_attr_t detached;
  lookup->message.kind = QL_HTTP_NAME_FOUND;
  lookup->message.lookup = lookup;
  lookup->io = io;
  lookup->peer = peer;
  lookup->host = ql_strdup(host);
  lookup->port = ql_strdup(port);
  pthread_mutex_init(&lookup->lock, NULL);
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  int rc = pthread_create(&thread, &detached, look_up, lookup);
  pthread_attr_destroy(&detached);
  if (rc == 0)
    return lookup;
  free_lookup(lookup);
  return NULL;
}

struct ql_http_peer *ql_http_lookup_peer(const struct ql_http_lookup *lookup) { return lookup->peer; }

const struct addrinfo *ql_http_lookup_found(const struct ql_http_lookup *lookup, const char **reason) {
  *reason = lookup->code ? gai_strerror(lookup->code) : "no address";
  return lookup->code ? NULL : lookup->found;
}

void ql_http_lookup_end(struct ql_http_lookup *lookup) {
  pthread_mutex_lock(&lookup->lock);
  lookup->is_left = true;
  bool is_done = lookup->is_done;
  pthread_mutex_unlock(&lookup->lock);
  if (is_done)
    free_lookup(lookup);
}
