// SPDX-License-Identifier: Apache-2.0
// sse_cases: the streams of tests/cases/sse and how what came of them is written down. See its README.
#ifndef QL_SSE_CASES_H
#define QL_SSE_CASES_H

#include "base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sse_case {
  char name[64];
  char *bytes, *want;
  size_t len;
};

static inline void sse_add_escaped(struct ql_buf *buf, const char *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) {
    unsigned char byte = (unsigned char)bytes[i];
    const char *names = "\nn\rr\tt\\\\";
    const char *known = byte ? strchr(names, byte) : NULL;
    if (known && (known - names) % 2 == 0)
      ql_buf_addf(buf, "\\%c", known[1]);
    else if (byte < 32 || byte == 127)
      ql_buf_addf(buf, "\\x%02x", byte);
    else
      ql_buf_add(buf, &bytes[i], 1);
  }
}

static inline char *sse_read_file(const char *folder, const char *name, const char *extension, size_t *len) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s%s", folder, name, extension);
  FILE *file = fopen(path, "rb");
  if (!file)
    return NULL;
  struct ql_buf buf;
  ql_buf_init(&buf, 0);
  char part[4096];
  size_t got;
  while ((got = fread(part, 1, sizeof part, file)) > 0)
    ql_buf_add(&buf, part, got);
  fclose(file);
  return ql_buf_take(&buf, len);
}

// Calls on_case for each stream; returns how many there were, -1 when one lacks its .want.
static inline int sse_each_case(void (*on_case)(void *arg, const struct sse_case *one), void *arg) {
  DIR *dir = opendir("tests/cases/sse");
  int count = 0;
  for (struct dirent *entry; dir && count >= 0 && (entry = readdir(dir));) {
    struct sse_case one = {.len = 0};
    const char *dot = strstr(entry->d_name, ".sse");
    if (!dot || dot == entry->d_name)
      continue;
    snprintf(one.name, sizeof one.name, "%.*s", (int)(dot - entry->d_name), entry->d_name);
    one.bytes = sse_read_file("tests/cases/sse", one.name, ".sse", &one.len);
    one.want = sse_read_file("tests/cases/sse", one.name, ".want", NULL);
    if (one.bytes && one.want)
      on_case(arg, &one);
    count = one.bytes && one.want ? count + 1 : -1;
    free(one.bytes);
    free(one.want);
  }
  if (dir)
    closedir(dir);
  return count;
}

#endif
