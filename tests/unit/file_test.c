// SPDX-License-Identifier: Apache-2.0
// file: atomic writes, folders, error texts; lines of plain, gzip and zstd files, whole, joined and cut.
#include "check.h"
#include "file.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static char folder[64];
static char path_held[128];

static const char *in_folder(const char *name) {
  snprintf(path_held, sizeof path_held, "%s/%s", folder, name);
  return path_held;
}

static void put(const char *name, const void *bytes, size_t len) {
  struct ql_err err = {0};
  CHECK_INT(ql_file_write(in_folder(name), bytes, len, &err), 0);
}

static void make_folder(void) {
  snprintf(folder, sizeof folder, "/tmp/qlua_file_XXXXXX");
  CHECK(mkdtemp(folder) != NULL);
}

static void a_write_replaces_and_leaves_nothing_behind(void) {
  put("note", "first", 5);
  put("note", "second", 6);
  struct ql_err err = {0};
  CHECK_INT(ql_file_append(in_folder("note"), "+", 1, &err), 0);
  struct ql_buf buf;
  ql_buf_init(&buf, 0);
  CHECK_INT(ql_file_read(in_folder("note"), &buf, &err), 0);
  CHECK_STR(buf.data, "second+");
  ql_buf_free(&buf);
  struct ql_file_names names;
  CHECK_INT(ql_file_list(folder, &names, &err), 0);
  CHECK_INT(names.count, 1);
  ql_file_names_free(&names);
}

static void a_failed_write_keeps_the_old_file(void) {
  struct ql_err err = {0};
  if (access("/dev/full", W_OK) == 0) {
    CHECK_INT(ql_file_write("/dev/full", "x", 1, &err), -1);
    CHECK_STR(err.text, "/dev/full: no space left on device");
    CHECK_STR(err.hint, "free some space or choose another folder");
    struct stat info;
    CHECK(stat("/dev/full", &info) == 0 && S_ISCHR(info.st_mode)); // written through, not replaced
  } else {
    puts("skipped: no /dev/full here");
  }
  CHECK_INT(ql_file_write(in_folder("no/such/file"), "x", 1, &err), -1);
  CHECK(strstr(err.text, "no/such/file: no such file or directory") != NULL);
}

static void errors_name_the_path(void) {
  struct ql_err err = {0};
  struct ql_buf buf;
  ql_buf_init(&buf, 0);
  CHECK_INT(ql_file_read("/no/such", &buf, &err), -1);
  CHECK_STR(err.text, "/no/such: no such file or directory");
  CHECK_INT(err.kind, QL_E_IO);
  CHECK_INT(ql_file_read(folder, &buf, &err), -1);
  CHECK(strstr(err.text, ": is a directory") != NULL);
  struct ql_file_stat info;
  CHECK_INT(ql_file_stat("/no/such", &info, &err), -1);
  CHECK(ql_file_real("/no/such", &err) == NULL);
  CHECK(ql_file_lines_open("/no/such", &err) == NULL);
  ql_buf_init(&buf, 3);
  CHECK_INT(ql_file_read(in_folder("note"), &buf, &err), -1);
  CHECK(strstr(err.text, "want at most 3 bytes") != NULL);
  ql_buf_free(&buf);
}

static void folders_are_made_with_their_parents(void) {
  struct ql_err err = {0};
  char deep[192];
  snprintf(deep, sizeof deep, "%s/a//b/c/", folder);
  CHECK_INT(ql_file_make_dir(deep, &err), 0);
  CHECK_INT(ql_file_make_dir(deep, &err), 0);
  struct ql_file_stat info;
  CHECK_INT(ql_file_stat(deep, &info, &err), 0);
  CHECK(info.is_dir);
  CHECK_INT(ql_file_make_dir(in_folder("note/under"), &err), -1);
  CHECK(strstr(err.text, "/note: not a directory") != NULL);
  char from[192];
  snprintf(from, sizeof from, "%s/a/b/c", folder);
  CHECK_INT(ql_file_rename(from, in_folder("moved"), &err), 0);
  CHECK_INT(ql_file_remove(in_folder("moved"), &err), 0);
  CHECK_INT(ql_file_remove(in_folder("a"), &err), -1); // not empty
}

// All lines joined by '|', and the digest of what was decompressed.
static void check_lines(const char *path, const char *want, const char *plain, size_t plain_len) {
  struct ql_err err = {0};
  struct ql_buf got;
  ql_buf_init(&got, 0);
  struct ql_file_lines *lines = ql_file_lines_open(path, &err);
  CHECK(lines != NULL);
  const char *line;
  size_t len;
  int more;
  while ((more = ql_file_lines_next(lines, &line, &len, &err)) == 1) {
    ql_buf_add(&got, line, len);
    ql_buf_adds(&got, "|");
  }
  CHECK_INT(more, 0);
  CHECK_INT(got.len, strlen(want));
  CHECK_STR(got.len ? got.data : "", want);
  char hex[QL_SHA256_HEX], want_hex[QL_SHA256_HEX];
  ql_file_lines_sha256(lines, hex);
  ql_sha256_hex(plain, plain_len, want_hex);
  CHECK_STR(hex, want_hex);
  CHECK_INT(ql_file_lines_bytes(lines), plain_len);
  ql_file_lines_close(lines);
  ql_buf_free(&got);
}

static void lines_of_plain_files(void) {
  static const struct { const char *text, *want; } cases[] = {
      {"", ""}, {"\n", "|"}, {"a", "a|"}, {"a\n", "a|"}, {"a\n\nb", "a||b|"}, {"a\r\nb\n\n", "a\r|b||"}};
  for (size_t i = 0; i < QL_LEN(cases); i++) {
    put("plain", cases[i].text, strlen(cases[i].text));
    check_lines(in_folder("plain"), cases[i].want, cases[i].text, strlen(cases[i].text));
  }
}

static size_t gzip_of(const char *text, size_t len, unsigned char *out, size_t cap) {
  z_stream gzip = {0};
  CHECK_INT(deflateInit2(&gzip, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
  gzip.next_in = (unsigned char *)(uintptr_t)text;
  gzip.avail_in = (unsigned)len;
  gzip.next_out = out;
  gzip.avail_out = (unsigned)cap;
  CHECK_INT(deflate(&gzip, Z_FINISH), Z_STREAM_END);
  deflateEnd(&gzip);
  return cap - gzip.avail_out;
}

// Two members or frames in a row are one file, as `cat a.gz b.gz` makes it.
static void lines_of_compressed_files(void) {
  static const char first[] = "one\ntw", second[] = "o\nthree\n", both[] = "one\ntwo\nthree\n";
  unsigned char packed[512];
  size_t len = gzip_of(first, strlen(first), packed, 256);
  len += gzip_of(second, strlen(second), packed + len, 256);
  put("named.without.ending", packed, len);
  check_lines(in_folder("named.without.ending"), "one|two|three|", both, strlen(both));
  len = ZSTD_compress(packed, 256, first, strlen(first), 3);
  len += ZSTD_compress(packed + len, 256, second, strlen(second), 3);
  put("zstd", packed, len);
  check_lines(in_folder("zstd"), "one|two|three|", both, strlen(both));
}

static int lines_until_the_end(const char *path, struct ql_err *err) {
  struct ql_file_lines *lines = ql_file_lines_open(path, err);
  const char *line;
  size_t len;
  int more, count = 0;
  while ((more = ql_file_lines_next(lines, &line, &len, err)) == 1)
    count++;
  ql_file_lines_close(lines);
  return more < 0 ? -1 : count;
}

// Far larger than every inner buffer, so that lines cross the borders of all of them.
static void big_files_in_all_three_forms(void) {
  struct ql_buf text;
  ql_buf_init(&text, 0);
  for (unsigned i = 0; i < 3000; i++) {
    ql_buf_addf(&text, "%u:", i);
    for (unsigned k = 0; k < i % 101; k++)
      ql_buf_addf(&text, "%u ", i * k * 2654435761U);
    ql_buf_adds(&text, "\n");
  }
  size_t cap = text.len + 4096;
  unsigned char *packed = ql_malloc(cap);
  struct ql_err err = {0};
  put("big", text.data, text.len);
  CHECK_INT(lines_until_the_end(in_folder("big"), &err), 3000);
  size_t len = gzip_of(text.data, text.len, packed, cap);
  put("big.gz", packed, len);
  CHECK_INT(lines_until_the_end(in_folder("big.gz"), &err), 3000);
  put("cut.gz", packed, len - 1);
  CHECK_INT(lines_until_the_end(in_folder("cut.gz"), &err), -1);
  CHECK_INT(err.kind, QL_E_DATA);
  CHECK(strstr(err.text, "cut.gz: broken gzip data: the file ends too early") != NULL);
  packed[len / 2] ^= 0x55;
  put("bad.gz", packed, len);
  CHECK_INT(lines_until_the_end(in_folder("bad.gz"), &err), -1);
  len = ZSTD_compress(packed, cap, text.data, text.len, 3);
  put("big.zst", packed, len);
  CHECK_INT(lines_until_the_end(in_folder("big.zst"), &err), 3000);
  put("cut.zst", packed, len - 1);
  CHECK_INT(lines_until_the_end(in_folder("cut.zst"), &err), -1);
  CHECK(strstr(err.text, "cut.zst: broken zstd data: the file ends too early") != NULL);
  free(packed);
  ql_buf_free(&text);
}

static void clean_up(void) {
  struct ql_err err = {0};
  struct ql_file_names names;
  CHECK_INT(ql_file_remove(in_folder("a/b"), &err), 0);
  CHECK_INT(ql_file_list(folder, &names, &err), 0);
  for (size_t i = 0; i < names.count; i++)
    CHECK_INT(ql_file_remove(in_folder(names.names[i]), &err), 0);
  ql_file_names_free(&names);
  CHECK_INT(ql_file_remove(folder, &err), 0);
}

RUN(make_folder, a_write_replaces_and_leaves_nothing_behind, a_failed_write_keeps_the_old_file, errors_name_the_path,
    folders_are_made_with_their_parents, lines_of_plain_files, lines_of_compressed_files, big_files_in_all_three_forms,
    clean_up)
