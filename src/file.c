// SPDX-License-Identifier: Apache-2.0
// file: whole files and folders; compressed and line-wise reading is in file_stream.c.
//
// Owns nothing between calls. Touches the file system only. The one thing not obvious: a path that
// exists and is no regular file (/dev/stdout, a pipe) is written through, since a rename would replace it.
#include "file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int ql_file_fail(struct ql_err *err, const char *path, int error) {
  char text[128];
  snprintf(text, sizeof text, "%s", strerror(error));
  if (strncmp(text, "I/O", 3) != 0)
    text[0] = (char)tolower((unsigned char)text[0]);
  ql_fail(err, QL_E_IO, "%s: %s", path, text);
  if (error == ENOSPC || error == EDQUOT)
    ql_hint(err, "free some space or choose another folder");
  else if (error == EROFS || error == EACCES || error == EPERM)
    ql_hint(err, "check who may read and write there");
  return -1;
}

static int open_again(const char *path, int flags, mode_t mode) {
  int fd;
  do
    fd = open(path, flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

static int write_all(int fd, const char *bytes, size_t len) {
  while (len) {
    ssize_t put = write(fd, bytes, len);
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return -1;
    bytes += put;
    len -= (size_t)put;
  }
  return 0;
}

int ql_file_read(const char *path, struct ql_buf *out, struct ql_err *err) {
  int fd = open_again(path, O_RDONLY, 0);
  if (fd < 0)
    return ql_file_fail(err, path, errno);
  static const size_t chunk_bytes = 1 << 16;
  char *chunk = ql_malloc(chunk_bytes);
  int result = 0;
  for (;;) {
    ssize_t got = read(fd, chunk, chunk_bytes);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      result = ql_file_fail(err, path, errno);
    else if (got > 0 && !ql_buf_add(out, chunk, (size_t)got))
      result = ql_fail(err, QL_E_LIMIT, "%s: want at most %zu bytes, got more", path, out->limit_bytes);
    if (got <= 0 || result < 0)
      break;
  }
  free(chunk);
  close(fd);
  return result;
}

// The entry of a renamed file is on the disk only when its folder is. Best effort: not every file
// system lets a folder be synced, and the data itself is safe already.
static void sync_folder_of(const char *path) {
  char *folder = ql_strdup(path);
  char *slash = strrchr(folder, '/');
  if (slash)
    slash[slash == folder] = 0;
  int fd = open_again(slash ? folder : ".", O_RDONLY | O_DIRECTORY, 0);
  free(folder);
  if (fd < 0)
    return;
  (void)fsync(fd);
  close(fd);
}

static int write_fd(int fd, const char *path, const void *bytes, size_t len, bool sync, struct ql_err *err) {
  int error = 0;
  if (write_all(fd, bytes, len) < 0 || (sync && fsync(fd) < 0))
    error = errno;
  if (close(fd) < 0 && !error)
    error = errno;
  return error ? ql_file_fail(err, path, error) : 0;
}

int ql_file_write(const char *path, const void *bytes, size_t len, struct ql_err *err) {
  struct stat info;
  if (lstat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
    int fd = open_again(path, O_WRONLY | O_TRUNC, 0);
    return fd < 0 ? ql_file_fail(err, path, errno) : write_fd(fd, path, bytes, len, false, err);
  }
  struct ql_buf name;
  ql_buf_init(&name, 0);
  ql_buf_addf(&name, "%s.new-%ld", path, (long)getpid());
  int result = -1;
  int fd = open_again(name.data, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd < 0) {
    ql_file_fail(err, path, errno);
  } else {
    result = write_fd(fd, path, bytes, len, true, err);
    if (result == 0 && rename(name.data, path) < 0)
      result = ql_file_fail(err, path, errno);
    if (result < 0)
      unlink(name.data);
    else
      sync_folder_of(path);
  }
  ql_buf_free(&name);
  return result;
}

int ql_file_append(const char *path, const void *bytes, size_t len, struct ql_err *err) {
  int fd = open_again(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
  return fd < 0 ? ql_file_fail(err, path, errno) : write_fd(fd, path, bytes, len, false, err);
}

int ql_file_stat(const char *path, struct ql_file_stat *out, struct ql_err *err) {
  struct stat info;
  if (stat(path, &info) < 0)
    return ql_file_fail(err, path, errno);
  out->is_dir = S_ISDIR(info.st_mode);
  out->bytes = (uint64_t)info.st_size;
  out->changed_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
  return 0;
}

static int by_bytes(const void *left, const void *right) {
  return strcmp(*(char *const *)left, *(char *const *)right);
}

int ql_file_list(const char *dir, struct ql_file_names *out, struct ql_err *err) {
  *out = (struct ql_file_names){0};
  DIR *folder = opendir(dir);
  if (!folder)
    return ql_file_fail(err, dir, errno);
  size_t cap = 0;
  struct dirent *entry;
  while (errno = 0, (entry = readdir(folder))) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    if (out->count == cap) {
      cap = cap ? cap * 2 : 64;
      out->names = ql_realloc(out->names, cap * sizeof *out->names);
    }
    out->names[out->count++] = ql_strdup(entry->d_name);
  }
  int error = errno;
  closedir(folder);
  if (error) {
    ql_file_names_free(out);
    return ql_file_fail(err, dir, error);
  }
  if (out->count)
    qsort(out->names, out->count, sizeof *out->names, by_bytes);
  return 0;
}

void ql_file_names_free(struct ql_file_names *names) {
  for (size_t i = 0; i < names->count; i++)
    free(names->names[i]);
  free(names->names);
  *names = (struct ql_file_names){0};
}

int ql_file_make_dir(const char *path, struct ql_err *err) {
  char *part = ql_strdup(path);
  int result = 0;
  for (char *p = part + (part[0] == '/');; p++) {
    if (*p && *p != '/')
      continue;
    char held = *p;
    *p = 0;
    struct stat info;
    // Parents may exist without our being allowed to make them, so look only after a failure.
    if (*part && mkdir(part, 0777) < 0) {
      int error = errno;
      bool there = stat(part, &info) == 0;
      if (!there || !S_ISDIR(info.st_mode))
        result = ql_file_fail(err, part, there ? ENOTDIR : error);
    }
    *p = held;
    if (!held || result < 0)
      break;
  }
  free(part);
  return result;
}

int ql_file_remove(const char *path, struct ql_err *err) {
  return remove(path) < 0 ? ql_file_fail(err, path, errno) : 0;
}

int ql_file_rename(const char *from, const char *to, struct ql_err *err) {
  if (rename(from, to) < 0)
    return ql_file_fail(err, errno == ENOENT ? from : to, errno);
  sync_folder_of(to);
  return 0;
}

char *ql_file_real(const char *path, struct ql_err *err) {
  char *real = realpath(path, NULL);
  if (!real)
    ql_file_fail(err, path, errno);
  return real;
}
