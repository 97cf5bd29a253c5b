// SPDX-License-Identifier: Apache-2.0
// http_body: what is done with an answer's body, whichever transport brought it.
//
// Runs on the I/O thread. Once buffers are warm nothing is allocated for an event: a stream's body and its list of
// events begin with the room that the lane's latest stream came to need (body_hint, event_hint), and the splitter
// works on the read's own bytes. What such room costs before it is written to is address space only.

#include "http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_HINT_BYTES ((size_t)256 << 10)

struct ql_err *ql_http_failure_of(struct ql_http_job *job) {
  if (!job->failure)
    job->failure = ql_calloc(1, sizeof *job->failure);
  return job->failure;
}

bool ql_http_is_success(long status) { return status >= 200 && status < 300; }

// ---- events -------------------------------------------------------------------------------------------

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
    job->event_cap = job->event_cap ? job->event_cap * 2 : 8;
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
}

static void count_events(struct ql_http_job *job, size_t before) {
  size_t more = job->reply->event_count - before;
  if (more)
    ql_http_count(&job->part->events, more);
  if (more > 1)
    ql_http_count(&job->part->shared_reads, 1);
}

static int split_events(struct ql_http_job *job, const char *bytes, size_t len, uint64_t at_ns) {
  struct ql_err err;
  uint64_t payload_before = job->sse.payload_bytes;
  size_t before = job->reply->event_count;
  int rc = ql_sse_feed(&job->sse, bytes, len, at_ns, on_event, job, &err);
  count_events(job, before);
  if (rc != 0) {
    *ql_http_failure_of(job) = err;
    return -1;
  }
  if (job->sse.payload_bytes != payload_before) // a keep-alive comment is no sign of life of the model
    job->progress_ns = at_ns;
  return 0;
}

// ---- the body -----------------------------------------------------------------------------------------

// A refusal is JSON, also when a stream was asked for.
static bool is_event_stream(const struct ql_http_job *job, long status) {
  if (!job->request.sse || !ql_http_is_success(status))
    return false;
  const char *type = ql_http_headers_find(&job->reply->headers, "content-type");
  return !(type && strncasecmp(type, "application/json", 16) == 0);
}

static void begin_stream(struct ql_http_job *job) {
  const struct ql_http_part *part = job->part;
  struct ql_http_reply *reply = job->reply;
  ql_sse_init(&job->sse, job->request.max_event_bytes);
  if (part->body_hint && !reply->body.data) {
    reply->body.data = ql_malloc(part->body_hint);
    reply->body.data[0] = '\0';
    reply->body.cap = part->body_hint;
  }
  if (part->event_hint && !job->event_cap) {
    job->event_cap = part->event_hint;
    reply->events = ql_malloc(job->event_cap * sizeof *reply->events);
  }
}

void ql_http_body_begin(struct ql_http_job *job, long status, uint64_t at_ns) {
  job->reply->marks.first_byte_ns = job->progress_ns = at_ns;
  job->is_stream = is_event_stream(job, status);
  if (job->is_stream)
    begin_stream(job);
  ql_http_limits_arm(job);
}

// A large body is copied about once over while it grows: by doubling. A small one grows by half, as ql_buf does it:
// ten thousand streams are open at once, and what is not used of them would be most of their memory.
static void make_room(struct ql_buf *body, size_t need) {
  if (need <= body->cap || need > body->cap * 2 || body->cap < 16384)
    return;
  body->data = ql_realloc(body->data, body->cap * 2);
  body->cap *= 2;
}

static int keep(struct ql_http_job *job, const char *bytes, size_t len) {
  struct ql_buf *body = &job->reply->body;
  make_room(body, body->len + len + 1);
  size_t room = body->limit_bytes - body->len;
  ql_buf_add(body, bytes, len < room ? len : room);
  if (len <= room)
    return 0;
  return ql_fail(ql_http_failure_of(job), QL_E_LIMIT, "%s: want a body of at most %zu bytes, got more", job->where,
                 body->limit_bytes);
}

int ql_http_body_take(struct ql_http_job *job, const char *bytes, size_t len, uint64_t at_ns) {
  if (!job->is_stream)
    job->progress_ns = at_ns;
  else if (split_events(job, bytes, len, at_ns) != 0) {
    keep(job, bytes, len);
    return -1;
  }
  return keep(job, bytes, len);
}

static size_t hint_of(size_t used, size_t most) {
  size_t roomy = used + used / 8 + 2; // the body's NUL
  return roomy < most ? roomy : most;
}

void ql_http_body_end(struct ql_http_job *job) {
  struct ql_err err;
  struct ql_http_reply *reply = job->reply;
  if (!job->is_stream)
    return;
  size_t before = reply->event_count;
  if (ql_sse_end(&job->sse, on_event, job, &err) != 0 && !job->failure)
    *ql_http_failure_of(job) = err;
  if (reply->event_count > before)
    ql_http_count(&job->part->events, reply->event_count - before);
  reply->comments = job->sse.comments;
  ql_sse_free(&job->sse);
  job->part->body_hint = hint_of(reply->body.len, MAX_HINT_BYTES);
  job->part->event_hint = hint_of(reply->event_count, MAX_HINT_BYTES / sizeof *reply->events);
}
