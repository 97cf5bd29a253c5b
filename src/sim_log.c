// SPDX-License-Identifier: Apache-2.0
// sim_log: JSON lines of what was received and sent. See sim_log.h.
#include "sim_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { buffer_bytes = 1 << 20 };

struct ql_sim_log {
  FILE *file;
};

struct ql_sim_log *ql_sim_log_open(const char *path, struct ql_err *err) {
  FILE *file = fopen(path, "we");
  if (!file) {
    ql_fail(err, QL_E_IO, "cannot write the send log %s: %s", path, strerror(errno));
    return NULL;
  }
  setvbuf(file, NULL, _IOFBF, buffer_bytes);
  struct ql_sim_log *log = ql_calloc(1, sizeof *log);
  log->file = file;
  return log;
}

void ql_sim_log_close(struct ql_sim_log *log) {
  if (!log)
    return;
  fclose(log->file);
  free(log);
}

// What a client sent, as the inside of a JSON string: what would need an escape becomes '?'.
static void put_text(FILE *file, const char *text) {
  for (; *text; text++) {
    bool plain = (unsigned char)*text >= 0x20 && (unsigned char)*text < 0x7f && *text != '"' && *text != '\\';
    fputc(plain ? *text : '?', file);
  }
}

void ql_sim_log_request(struct ql_sim_log *log, uint64_t number, const char *target, const char *id, uint64_t at_ns) {
  if (!log)
    return;
  fprintf(log->file, "{\"request\":%" PRIu64 ",\"received_ns\":%" PRIu64 ",\"path\":\"", number, at_ns);
  put_text(log->file, target);
  fputc('"', log->file);
  if (id) {
    fputs(",\"id\":\"", log->file);
    put_text(log->file, id);
    fputc('"', log->file);
  }
  fputs("}\n", log->file);
}

void ql_sim_log_sent(struct ql_sim_log *log, uint64_t number, size_t events, uint64_t at_ns) {
  if (log)
    fprintf(log->file, "{\"request\":%" PRIu64 ",\"sent_ns\":%" PRIu64 ",\"events\":%zu}\n", number, at_ns, events);
}

void ql_sim_log_end(struct ql_sim_log *log, uint64_t number, uint64_t at_ns) {
  if (log)
    fprintf(log->file, "{\"request\":%" PRIu64 ",\"end_ns\":%" PRIu64 "}\n", number, at_ns);
}
