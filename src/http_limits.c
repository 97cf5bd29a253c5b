// SPDX-License-Identifier: Apache-2.0
// http_limits: the time limits of a request in flight, for both transports.
//
// One alarm per request is set for the earliest limit and looks again when it is due, so that an event costs no
// timer work: only a limit that has become earlier sets it anew.

#include "http_internal.h"

#define MS UINT64_C(1000000)

struct limit {
  uint64_t due_ns; // UINT64_MAX for none
  const char *what;
  uint32_t ms;
};

static void consider(struct limit *limit, uint64_t from_ns, uint32_t ms, const char *what) {
  if (ms && from_ns + ms * MS < limit->due_ns)
    *limit = (struct limit){from_ns + ms * MS, what, ms};
}

static struct limit next_limit(const struct ql_http_job *job) {
  const struct ql_http_request *request = &job->request;
  const struct ql_http_marks *marks = &job->reply->marks;
  struct limit limit = {.due_ns = UINT64_MAX, .what = ""};
  if (!job->connected_ns)
    consider(&limit, marks->start_ns, request->connect_ms, "no connection");
  else if (!marks->first_byte_ns)
    consider(&limit, job->connected_ns, request->first_byte_ms, "no first byte");
  else
    consider(&limit, job->progress_ns, request->idle_ms, job->is_stream ? "no further event" : "no further byte");
  consider(&limit, marks->start_ns, request->total_ms, "not finished");
  return limit;
}

static void on_due(struct ql_http_alarm *alarm) {
  struct ql_http_job *job = (struct ql_http_job *)((char *)alarm - offsetof(struct ql_http_job, alarm));
  struct limit limit = next_limit(job);
  job->armed_ns = UINT64_MAX;
  if (limit.due_ns > job->part->io->now_ns) {
    ql_http_limits_arm(job);
    return;
  }
  ql_fail(ql_http_failure_of(job), QL_E_TIMEOUT, "%s: %s within %u ms", job->where, limit.what, (unsigned)limit.ms);
  if (job->is_plain)
    ql_http_plain_stop(job);
  else
    ql_http_transfer_stop(job);
}

void ql_http_limits_begin(struct ql_http_job *job) {
  job->alarm.on_due = on_due;
  job->armed_ns = UINT64_MAX;
  ql_http_limits_arm(job);
}

void ql_http_limits_arm(struct ql_http_job *job) {
  uint64_t due_ns = next_limit(job).due_ns;
  if (due_ns >= job->armed_ns)
    return; // the alarm will look again in time
  job->armed_ns = due_ns;
  ql_http_alarm_at(job->part->io, &job->alarm, due_ns);
}
