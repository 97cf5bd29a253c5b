// SPDX-License-Identifier: Apache-2.0
// http_transfer: one request's way through curl: start, headers, body, end.
//
// Runs on the I/O thread. The write callback reads the clock before it does anything else: that number is
// what this program is for.

#include "http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

// ---- what curl calls ----------------------------------------------------------------------------------

static int on_connected(void *arg, char *to_ip, char *from_ip, int to_port, int from_port) {
  (void)to_ip, (void)from_ip, (void)to_port, (void)from_port;
  struct ql_http_job *job = arg;
  job->connected_ns = ql_now_ns();
  ql_http_limits_arm(job);
  return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg) {
  struct ql_http_job *job = arg;
  size_t len = size * count;
  if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
    ql_buf_clear(&job->reply->headers); // a redirect's or a 1xx's go before
    job->has_all_headers = false;
  } else if (len && (line[0] == '\r' || line[0] == '\n')) {
    job->has_all_headers = true;
  } else if (!ql_http_headers_add(&job->reply->headers, line, len)) {
    ql_fail(ql_http_failure_of(job), QL_E_LIMIT, "%s: want at most %d bytes of headers, got more", job->where,
            QL_HTTP_MAX_HEADER_BYTES);
    return 0;
  }
  if (!job->reply->marks.first_byte_ns)
    job->reply->marks.last_byte_ns = ql_now_ns();
  return len;
}

static long status_of(const struct ql_http_job *job) {
  long status = 0;
  curl_easy_getinfo(job->slot->easy, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

// "bytes 5-9/10" or "bytes */10"; UINT64_MAX for what is not there.
static void read_content_range(const struct ql_http_job *job, uint64_t *first, uint64_t *total) {
  const char *text = ql_http_headers_find(&job->reply->headers, "content-range");
  *first = *total = UINT64_MAX;
  if (!text || strncasecmp(text, "bytes ", 6) != 0)
    return;
  const char *slash = strchr(text, '/');
  if (text[6] >= '0' && text[6] <= '9')
    *first = strtoull(text + 6, NULL, 10);
  if (slash && slash[1] >= '0' && slash[1] <= '9')
    *total = strtoull(slash + 1, NULL, 10);
}

static int open_sink(struct ql_http_job *job) {
  uint64_t from = 0, first, total;
  curl_off_t len = -1;
  if (job->request.resume_from && status_of(job) == 206) {
    read_content_range(job, &first, &total);
    from = job->request.resume_from;
    if (first != from)
      return ql_fail(ql_http_failure_of(job), QL_E_PROTOCOL, "%s: asked for bytes from %llu, got other ones", job->where,
                     (unsigned long long)from);
  }
  struct ql_err err;
  if (ql_http_sink_open(&job->sink, job->request.sink_path, from, &err) != 0) {
    *ql_http_failure_of(job) = err;
    return -1;
  }
  job->is_sinking = true;
  curl_easy_getinfo(job->slot->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
  atomic_store_explicit(&job->part->file_total_bytes, len < 0 ? 0 : from + (uint64_t)len, memory_order_relaxed);
  return 0;
}

static int begin_body(struct ql_http_job *job, uint64_t now_ns) {
  long status = status_of(job);
  ql_http_body_begin(job, status, now_ns);
  return job->request.sink_path && ql_http_is_success(status) ? open_sink(job) : 0;
}

static int sink_body(struct ql_http_job *job, const char *bytes, size_t len, uint64_t now_ns) {
  struct ql_err err;
  job->progress_ns = now_ns;
  if (ql_http_sink_write(&job->sink, job->request.sink_path, bytes, len, &err) != 0) {
    *ql_http_failure_of(job) = err;
    return -1;
  }
  atomic_store_explicit(&job->part->file_bytes, job->sink.at, memory_order_relaxed);
  return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg) {
  uint64_t now_ns = ql_now_ns();
  struct ql_http_job *job = arg;
  struct ql_http_marks *marks = &job->reply->marks;
  struct ql_http_part *part = job->part;
  size_t len = size * count;
  part->io->now_ns = now_ns;
  marks->last_byte_ns = now_ns;
  marks->reads++;
  ql_http_count(&part->received_bytes, len);
  ql_http_count(&part->reads, 1);
  if (!marks->first_byte_ns && begin_body(job, now_ns) != 0)
    return 0;
  int rc = job->is_sinking ? sink_body(job, bytes, len, now_ns) : ql_http_body_take(job, bytes, len, now_ns);
  return rc == 0 ? len : 0;
}

// ---- slots --------------------------------------------------------------------------------------------

static struct ql_http_slot *take_slot(struct ql_http_io *io) {
  struct ql_http_slot *slot = io->free_slots;
  if (slot) {
    io->free_slots = slot->next_free;
    return slot;
  }
  slot = ql_calloc(1, sizeof *slot);
  slot->easy = curl_easy_init();
  if (!slot->easy)
    abort(); // out of memory, as in base.c
  return slot;
}

static void give_slot_back(struct ql_http_io *io, struct ql_http_slot *slot) {
  curl_easy_reset(slot->easy);
  slot->error_text[0] = '\0';
  slot->next_free = io->free_slots;
  io->free_slots = slot;
}

void ql_http_slots_free(struct ql_http_io *io) {
  while (io->free_slots) {
    struct ql_http_slot *slot = io->free_slots;
    io->free_slots = slot->next_free;
    curl_easy_cleanup(slot->easy);
    free(slot);
  }
}

// ---- start and end ------------------------------------------------------------------------------------

static void fail_at_once(struct ql_http_job *job) {
  job->reply->error = job->failure;
  job->failure = NULL;
  ql_http_job_ended(job);
}

void ql_http_transfer_start(struct ql_http_job *job) {
  struct ql_http_io *io = job->part->io;
  struct ql_err err;
  if (ql_http_curl_open(io, &err) != 0) {
    *ql_http_failure_of(job) = err;
    fail_at_once(job);
    return;
  }
  job->slot = take_slot(io);
  CURL *easy = job->slot->easy;
  ql_http_options_set(io->http, job);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, job);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, ql_http_open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, job);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, ql_http_close_socket);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, job->part->io); // kept with the connection, which outlives the job
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, job);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, job);
  ql_http_job_start_mark(job);
  CURLMcode code = curl_multi_add_handle(io->multi, easy);
  if (code != CURLM_OK) {
    ql_fail(ql_http_failure_of(job), QL_E_INTERNAL, "%s: libcurl: %s", job->where, curl_multi_strerror(code));
    ql_http_transfer_done(job, CURLE_FAILED_INIT);
    return;
  }
  ql_http_limits_begin(job);
}

// 416: the file is whole already, or it is longer than what the server has and must be fetched anew.
static bool must_restart(struct ql_http_job *job, CURLcode code) {
  uint64_t first, total;
  if (code != CURLE_OK || job->failure || job->is_restarted || !job->request.sink_path ||
      !job->request.resume_from || status_of(job) != 416)
    return false;
  read_content_range(job, &first, &total);
  if (total == job->request.resume_from) {
    job->reply->sink_bytes = total;
    return false;
  }
  return true;
}

static void restart(struct ql_http_job *job) {
  struct ql_http_marks *marks = &job->reply->marks;
  job->is_restarted = true;
  job->request.resume_from = 0;
  ql_buf_clear(&job->reply->body);
  ql_buf_clear(&job->reply->headers);
  job->has_all_headers = false;
  job->connected_ns = marks->first_byte_ns = marks->last_byte_ns = 0;
  curl_easy_setopt(job->slot->easy, CURLOPT_RANGE, NULL);
  curl_multi_add_handle(job->part->io->multi, job->slot->easy);
}

static void end_body(struct ql_http_job *job, CURLcode code) {
  struct ql_err err;
  ql_http_body_end(job);
  bool is_empty_file = code == CURLE_OK && !job->failure && job->request.sink_path && !job->is_sinking &&
                       ql_http_is_success(status_of(job)) && !job->reply->marks.first_byte_ns;
  if (is_empty_file)
    open_sink(job);
  if (job->is_sinking) {
    job->reply->sink_bytes = job->sink.at;
    if (ql_http_sink_close(&job->sink, job->request.sink_path, &err) != 0 && !job->failure)
      *ql_http_failure_of(job) = err;
  }
}

void ql_http_transfer_done(struct ql_http_job *job, CURLcode code) {
  struct ql_http_reply *reply = job->reply;
  struct ql_http_io *io = job->part->io;
  CURL *easy = job->slot->easy;
  long status = status_of(job), connections = 0;
  curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
  ql_http_count(&job->part->connections, (uint64_t)connections);
  if (!job->connected_ns && job->failure) // see ql_http_open_socket; when curl ends it, it has also told us
    ql_http_unwatch_job(job);
  curl_multi_remove_handle(io->multi, easy);
  if (must_restart(job, code)) {
    restart(job);
    return;
  }
  end_body(job, code);
  reply->status = status >= 200 ? (int)status : 0;
  reply->stamp_source = reply->marks.last_byte_ns ? QL_HTTP_USER_STAMP : QL_HTTP_NO_STAMP;
  if (connections > 0)
    reply->marks.connect_ns = job->connected_ns;
  // Curl takes an answer that ends inside its headers for one without a body.
  if (code == CURLE_OK && !job->has_all_headers)
    code = CURLE_PARTIAL_FILE;
  if (job->failure) {
    reply->error = job->failure;
    job->failure = NULL;
  } else if (code != CURLE_OK) {
    reply->error = ql_http_error_of(job, code);
  }
  give_slot_back(io, job->slot);
  job->slot = NULL;
  ql_http_job_ended(job);
}

void ql_http_transfer_stop(struct ql_http_job *job) { ql_http_transfer_done(job, CURLE_ABORTED_BY_CALLBACK); }
