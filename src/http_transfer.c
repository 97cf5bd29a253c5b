// SPDX-License-Identifier: Apache-2.0
// http_transfer: one request's way through curl: start, headers, body, time limits, end.
//
// Runs on the I/O thread. The write callback reads the clock before it does anything else: that number is
// what this program is for. Its limits are checked by one timer per transfer that is set for the earliest
// one and looks again when it fires, so that an event costs no timer work.

#include "http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

// ---- time limits --------------------------------------------------------------------------------------

#define MS UINT64_C(1000000)

static void earlier(uint64_t *due_ns, const char **what, uint32_t *limit_ms, uint64_t from_ns, uint32_t ms,
                    const char *name) {
  if (!ms || from_ns + ms * MS >= *due_ns)
    return;
  *due_ns = from_ns + ms * MS;
  *what = name;
  *limit_ms = ms;
}

// When the next limit ends, and which; UINT64_MAX for none.
static uint64_t due(const struct ql_http_job *job, const char **what, uint32_t *limit_ms) {
  const struct ql_http_request *request = &job->request;
  const struct ql_http_marks *marks = &job->reply->marks;
  uint64_t due_ns = UINT64_MAX;
  if (!job->connected_ns)
    earlier(&due_ns, what, limit_ms, marks->start_ns, request->connect_ms, "no connection");
  else if (!marks->first_byte_ns)
    earlier(&due_ns, what, limit_ms, job->connected_ns, request->first_byte_ms, "no first byte");
  else
    earlier(&due_ns, what, limit_ms, job->progress_ns, request->idle_ms,
            job->is_stream ? "no further event" : "no further byte");
  earlier(&due_ns, what, limit_ms, marks->start_ns, request->total_ms, "not finished");
  return due_ns;
}

static void on_deadline(uv_timer_t *timer);

static void arm(struct ql_http_job *job) {
  const char *what;
  uint32_t limit_ms;
  uint64_t due_ns = due(job, &what, &limit_ms);
  if (due_ns >= job->armed_ns)
    return; // the timer will look again in time
  uint64_t now_ns = ql_now_ns();
  uint64_t wait_ms = due_ns > now_ns ? (due_ns - now_ns + MS - 1) / MS : 0;
  job->armed_ns = due_ns;
  uv_update_time(job->slot->deadline.loop);
  uv_timer_start(&job->slot->deadline, on_deadline, wait_ms, 0);
}

static void on_deadline(uv_timer_t *timer) {
  struct ql_http_slot *slot = timer->data;
  struct ql_http_job *job = slot->job;
  const char *what = "";
  uint32_t limit_ms = 0;
  job->armed_ns = UINT64_MAX;
  if (due(job, &what, &limit_ms) > ql_now_ns()) {
    arm(job);
    return;
  }
  job->failure = ql_calloc(1, sizeof *job->failure);
  ql_fail(job->failure, QL_E_TIMEOUT, "%s: %s within %u ms", job->where, what, (unsigned)limit_ms);
  ql_http_transfer_done(job->lane->http, job, CURLE_OPERATION_TIMEDOUT);
}

// ---- what curl calls ----------------------------------------------------------------------------------

static struct ql_err *failure_of(struct ql_http_job *job) {
  if (!job->failure)
    job->failure = ql_calloc(1, sizeof *job->failure);
  return job->failure;
}

static int on_connected(void *arg, char *to_ip, char *from_ip, int to_port, int from_port) {
  (void)to_ip, (void)from_ip, (void)to_port, (void)from_port;
  struct ql_http_job *job = arg;
  job->connected_ns = ql_now_ns();
  arm(job);
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
    ql_fail(failure_of(job), QL_E_LIMIT, "%s: want at most %d bytes of headers, got more", job->where,
            QL_HTTP_MAX_HEADER_BYTES);
    return 0;
  }
  if (!job->reply->marks.first_byte_ns)
    job->reply->marks.last_byte_ns = ql_now_ns();
  return len;
}

static uint32_t add_joined(struct ql_http_reply *reply, const char *text, size_t len) {
  uint32_t at = (uint32_t)reply->joined.len;
  ql_buf_add(&reply->joined, text, len);
  ql_buf_add(&reply->joined, "", 1);
  return at;
}

static void on_event(void *arg, const struct ql_sse_event *event) {
  struct ql_http_job *job = arg;
  struct ql_http_reply *reply = job->reply;
  if (reply->event_count == job->event_cap) {
    job->event_cap = job->event_cap ? job->event_cap * 2 : 64;
    reply->events = ql_realloc(reply->events, job->event_cap * sizeof *reply->events);
  }
  reply->events[reply->event_count++] = (struct ql_http_event){
      .at_ns = event->at_ns,
      .end_offset = (uint32_t)event->end_offset,
      .data_len = (uint32_t)event->data_len,
      .joined_at = event->data_lines == 1 ? QL_HTTP_IN_BODY : add_joined(reply, event->data, event->data_len),
      .name_at = event->name_len ? add_joined(reply, event->name, event->name_len) : QL_HTTP_IN_BODY,
      .done = event->kind == QL_SSE_DONE,
      .incomplete = event->incomplete,
  };
  atomic_fetch_add_explicit(&job->lane->events, 1, memory_order_relaxed);
}

static long status_of(const struct ql_http_job *job) {
  long status = 0;
  curl_easy_getinfo(job->slot->easy, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

static bool is_success(long status) { return status >= 200 && status < 300; }

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
      return ql_fail(failure_of(job), QL_E_PROTOCOL, "%s: asked for bytes from %llu, got other ones", job->where,
                     (unsigned long long)from);
  }
  struct ql_err err;
  if (ql_http_sink_open(&job->sink, job->request.sink_path, from, &err) != 0) {
    *failure_of(job) = err;
    return -1;
  }
  job->is_sinking = true;
  curl_easy_getinfo(job->slot->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
  atomic_store_explicit(&job->lane->file_total_bytes, len < 0 ? 0 : from + (uint64_t)len, memory_order_relaxed);
  return 0;
}

// A refusal is JSON, also when a stream was asked for.
static bool is_event_stream(const struct ql_http_job *job, long status) {
  const char *type = ql_http_headers_find(&job->reply->headers, "content-type");
  return job->request.sse && is_success(status) && !(type && strncasecmp(type, "application/json", 16) == 0);
}

static int begin_body(struct ql_http_job *job, uint64_t now_ns) {
  long status = status_of(job);
  job->reply->marks.first_byte_ns = job->progress_ns = now_ns;
  job->is_stream = is_event_stream(job, status);
  if (job->is_stream)
    ql_sse_init(&job->sse, job->request.max_event_bytes);
  if (job->request.sink_path && is_success(status) && open_sink(job) != 0)
    return -1;
  arm(job);
  return 0;
}

static int keep_body(struct ql_http_job *job, const char *bytes, size_t len) {
  struct ql_buf *body = &job->reply->body;
  size_t room = body->limit_bytes - body->len;
  ql_buf_add(body, bytes, len < room ? len : room);
  if (len <= room)
    return 0;
  return ql_fail(failure_of(job), QL_E_LIMIT, "%s: want a body of at most %zu bytes, got more", job->where,
                 body->limit_bytes);
}

static int split_events(struct ql_http_job *job, const char *bytes, size_t len, uint64_t now_ns) {
  struct ql_err err;
  uint64_t payload_before = job->sse.payload_bytes;
  if (ql_sse_feed(&job->sse, bytes, len, now_ns, on_event, job, &err) != 0) {
    *failure_of(job) = err;
    return -1;
  }
  if (job->sse.payload_bytes != payload_before) // a keep-alive comment is no sign of life of the model
    job->progress_ns = now_ns;
  return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg) {
  uint64_t now_ns = ql_now_ns();
  struct ql_http_job *job = arg;
  struct ql_http_marks *marks = &job->reply->marks;
  struct ql_http_lane *lane = job->lane;
  size_t len = size * count;
  marks->last_byte_ns = now_ns;
  marks->reads++;
  job->reply->stamp_source = QL_HTTP_USER_STAMP;
  atomic_fetch_add_explicit(&lane->received_bytes, len, memory_order_relaxed);
  atomic_fetch_add_explicit(&lane->reads, 1, memory_order_relaxed);
  if (!marks->first_byte_ns && begin_body(job, now_ns) != 0)
    return 0;
  if (job->is_sinking) {
    struct ql_err err;
    job->progress_ns = now_ns;
    if (ql_http_sink_write(&job->sink, job->request.sink_path, bytes, len, &err) != 0) {
      *failure_of(job) = err;
      return 0;
    }
    atomic_store_explicit(&lane->file_bytes, job->sink.at, memory_order_relaxed);
    return len;
  }
  if (!job->is_stream)
    job->progress_ns = now_ns;
  else if (split_events(job, bytes, len, now_ns) != 0) {
    keep_body(job, bytes, len);
    return 0;
  }
  return keep_body(job, bytes, len) == 0 ? len : 0;
}

// ---- slots --------------------------------------------------------------------------------------------

static struct ql_http_slot *take_slot(struct ql_http *http) {
  struct ql_http_slot *slot = http->free_slots;
  if (slot) {
    http->free_slots = slot->next_free;
    return slot;
  }
  slot = ql_calloc(1, sizeof *slot);
  slot->easy = curl_easy_init();
  if (!slot->easy)
    abort(); // out of memory, as in base.c
  uv_timer_init(&http->uv, &slot->deadline);
  slot->deadline.data = slot;
  return slot;
}

static void give_slot_back(struct ql_http *http, struct ql_http_slot *slot) {
  uv_timer_stop(&slot->deadline);
  curl_easy_reset(slot->easy);
  slot->error_text[0] = '\0';
  slot->job = NULL;
  slot->next_free = http->free_slots;
  http->free_slots = slot;
}

static void free_slot(uv_handle_t *deadline) { free(deadline->data); }

void ql_http_slots_free(struct ql_http *http) {
  while (http->free_slots) {
    struct ql_http_slot *slot = http->free_slots;
    http->free_slots = slot->next_free;
    curl_easy_cleanup(slot->easy);
    uv_close((uv_handle_t *)&slot->deadline, free_slot);
  }
}

// ---- start and end ------------------------------------------------------------------------------------

void ql_http_transfer_start(struct ql_http *http, struct ql_http_job *job) {
  job->slot = take_slot(http);
  job->slot->job = job;
  CURL *easy = job->slot->easy;
  ql_http_options_set(http, job);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, job);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, ql_http_open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, job);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, job);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, job);
  job->armed_ns = UINT64_MAX;
  job->reply->marks.start_ns = ql_now_ns();
  CURLMcode code = curl_multi_add_handle(http->multi, easy);
  if (code != CURLM_OK) {
    ql_fail(failure_of(job), QL_E_INTERNAL, "%s: libcurl: %s", job->where, curl_multi_strerror(code));
    ql_http_transfer_done(http, job, CURLE_FAILED_INIT);
    return;
  }
  arm(job);
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

static void restart(struct ql_http *http, struct ql_http_job *job) {
  struct ql_http_marks *marks = &job->reply->marks;
  job->is_restarted = true;
  job->request.resume_from = 0;
  ql_buf_clear(&job->reply->body);
  ql_buf_clear(&job->reply->headers);
  job->has_all_headers = false;
  job->connected_ns = marks->first_byte_ns = marks->last_byte_ns = 0;
  curl_easy_setopt(job->slot->easy, CURLOPT_RANGE, NULL);
  curl_multi_add_handle(http->multi, job->slot->easy);
}

static void end_body(struct ql_http_job *job, CURLcode code) {
  struct ql_err err;
  if (job->is_stream) {
    if (ql_sse_end(&job->sse, on_event, job, &err) != 0 && !job->failure)
      *failure_of(job) = err;
    job->reply->comments = job->sse.comments;
    ql_sse_free(&job->sse);
  }
  bool is_empty_file = code == CURLE_OK && !job->failure && job->request.sink_path && !job->is_sinking &&
                       is_success(status_of(job)) && !job->reply->marks.first_byte_ns;
  if (is_empty_file)
    open_sink(job);
  if (job->is_sinking) {
    job->reply->sink_bytes = job->sink.at;
    if (ql_http_sink_close(&job->sink, job->request.sink_path, &err) != 0 && !job->failure)
      *failure_of(job) = err;
  }
}

void ql_http_transfer_done(struct ql_http *http, struct ql_http_job *job, CURLcode code) {
  struct ql_http_reply *reply = job->reply;
  CURL *easy = job->slot->easy;
  long status = status_of(job), connections = 0;
  curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
  atomic_fetch_add_explicit(&job->lane->connections, (uint64_t)connections, memory_order_relaxed);
  if (!job->connected_ns && job->failure) // see ql_http_open_socket; when curl ends it, it has also told us
    ql_http_unwatch_job(http, job);
  curl_multi_remove_handle(http->multi, easy);
  if (must_restart(job, code)) {
    restart(http, job);
    return;
  }
  end_body(job, code);
  reply->status = status >= 200 ? (int)status : 0;
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
  give_slot_back(http, job->slot);
  job->slot = NULL;
  ql_http_job_ended(job);
}

void ql_http_transfer_cancel(struct ql_http *http, struct ql_http_job *job) {
  ql_fail(failure_of(job), QL_E_CANCELLED, "%s: cancelled %s", job->where,
          job->slot ? "in flight" : "before it was sent");
  if (job->slot) {
    ql_http_transfer_done(http, job, CURLE_ABORTED_BY_CALLBACK);
    return;
  }
  job->reply->error = job->failure;
  job->failure = NULL;
  ql_http_job_ended(job);
}
