// SPDX-License-Identifier: Apache-2.0
// sim_plan: lays a simulated reply out as wire bytes and timed steps. See sim_plan.h.
//
// The order is: group events (coalesce), cut the group (split_bytes), frame each cut as a chunk, record a
// step; afterwards the steps are cut again (wire_bytes) and at last the fault shortens or delays them. Each
// stage knows nothing of the others, so every combination of options is possible.
#include "sim_plan.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t wire_gap_ns = 200000; // long enough that the next read does not see both

struct ql_sim_plan *ql_sim_plan_new(int status) {
  struct ql_sim_plan *plan = ql_calloc(1, sizeof *plan);
  plan->status = status;
  ql_buf_init(&plan->headers, 0);
  ql_buf_init(&plan->text, 0);
  ql_buf_init(&plan->wire, 0);
  return plan;
}

void ql_sim_plan_free(struct ql_sim_plan *plan) {
  if (!plan)
    return;
  ql_buf_free(&plan->headers);
  ql_buf_free(&plan->text);
  ql_buf_free(&plan->wire);
  free(plan->events);
  free(plan->steps);
  free(plan->stamp_places);
  free(plan);
}

// Room for one more element in a growing array.
static void *grown(void *array, size_t count, size_t *cap, size_t size) {
  if (count < *cap)
    return array;
  *cap = *cap ? *cap * 2 : 16;
  return ql_realloc(array, *cap * size);
}

static void add_line_safe(struct ql_buf *buf, const char *text) {
  for (; *text; text++)
    if (*text != '\r' && *text != '\n')
      ql_buf_add(buf, text, 1);
}

void ql_sim_plan_header(struct ql_sim_plan *plan, const char *name, const char *value) {
  add_line_safe(&plan->headers, name);
  ql_buf_adds(&plan->headers, ": ");
  add_line_safe(&plan->headers, value);
  ql_buf_adds(&plan->headers, "\r\n");
}

static void close_event(struct ql_sim_plan *plan, size_t offset, uint64_t after_ns) {
  plan->events = grown(plan->events, plan->event_count, &plan->event_cap, sizeof *plan->events);
  plan->events[plan->event_count++] =
      (struct ql_sim_event){.offset = offset, .len = plan->text.len - offset, .after_ns = after_ns};
}

void ql_sim_plan_event(struct ql_sim_plan *plan, const char *data, size_t len, uint64_t after_ns) {
  size_t offset = plan->text.len;
  const char *line_end = plan->crlf ? "\r\n" : "\n";
  const char *end = data + len;
  for (;;) {
    const char *stop = memchr(data, '\n', (size_t)(end - data));
    ql_buf_adds(&plan->text, "data: ");
    ql_buf_add(&plan->text, data, (size_t)((stop ? stop : end) - data));
    ql_buf_adds(&plan->text, line_end);
    if (!stop)
      break;
    data = stop + 1;
  }
  ql_buf_adds(&plan->text, line_end);
  close_event(plan, offset, after_ns);
}

void ql_sim_plan_bytes(struct ql_sim_plan *plan, const char *bytes, size_t len, uint64_t after_ns) {
  size_t offset = plan->text.len;
  ql_buf_add(&plan->text, bytes, len);
  close_event(plan, offset, after_ns);
}

static const char *reason(int status) {
  switch (status) {
  case 200: return "OK";
  case 400: return "Bad Request";
  case 401: return "Unauthorized";
  case 404: return "Not Found";
  case 405: return "Method Not Allowed";
  case 408: return "Request Timeout";
  case 413: return "Request Entity Too Large";
  case 429: return "Too Many Requests";
  case 500: return "Internal Server Error";
  case 501: return "Not Implemented";
  case 502: return "Bad Gateway";
  case 503: return "Service Unavailable";
  case 504: return "Gateway Timeout";
  default: return status < 400 ? "OK" : "Error";
  }
}

static struct ql_sim_step *add_step(struct ql_sim_plan *plan, size_t offset, uint64_t due_ns, size_t events) {
  plan->steps = grown(plan->steps, plan->step_count, &plan->step_cap, sizeof *plan->steps);
  struct ql_sim_step *step = &plan->steps[plan->step_count++];
  *step = (struct ql_sim_step){.offset = offset,
                               .len = plan->wire.len - offset,
                               .due_ns = due_ns,
                               .first_stamp = plan->stamp_count,
                               .events = events};
  return step;
}

static void find_stamps(struct ql_sim_plan *plan, struct ql_sim_step *step) {
  const size_t width = sizeof QL_SIM_STAMP - 1;
  const char *at = plan->wire.data + step->offset, *end = at + step->len;
  while ((at = memmem(at, (size_t)(end - at), QL_SIM_STAMP, width))) {
    plan->stamp_places =
        grown(plan->stamp_places, plan->stamp_count, &plan->stamp_cap, sizeof *plan->stamp_places);
    plan->stamp_places[plan->stamp_count++] = (size_t)(at - plan->wire.data);
    step->stamps++;
    at += width;
  }
}

static void lay_head(struct ql_sim_plan *plan, bool chunked, bool keep_alive) {
  ql_buf_addf(&plan->wire, "HTTP/1.1 %d %s\r\nServer: qlua-sim\r\n", plan->status, reason(plan->status));
  ql_buf_add(&plan->wire, plan->headers.data, plan->headers.len);
  if (chunked)
    ql_buf_adds(&plan->wire, "Transfer-Encoding: chunked\r\n");
  else if (!plan->stream)
    ql_buf_addf(&plan->wire, "Content-Length: %zu\r\n", plan->text.len);
  ql_buf_adds(&plan->wire, keep_alive ? "\r\n" : "Connection: close\r\n\r\n");
}

// One stretch of text as chunks of at most split_bytes, each a step of its own.
static void lay_stretch(struct ql_sim_plan *plan, const char *text, size_t len, bool chunked, uint64_t due_ns,
                        size_t events) {
  size_t piece = plan->split_bytes && plan->split_bytes < len ? plan->split_bytes : len;
  for (size_t done = 0; done < len; done += piece) {
    size_t take = len - done < piece ? len - done : piece, offset = plan->wire.len;
    if (chunked)
      ql_buf_addf(&plan->wire, "%zx\r\n", take);
    ql_buf_add(&plan->wire, text + done, take);
    if (chunked)
      ql_buf_adds(&plan->wire, "\r\n");
    struct ql_sim_step *step = add_step(plan, offset, due_ns, done + take == len ? events : events - 1);
    if (plan->stamp && piece == len)
      find_stamps(plan, step);
  }
}

static void lay_events(struct ql_sim_plan *plan, bool chunked) {
  const char *comment = plan->crlf ? ": keep-alive\r\n\r\n" : ": keep-alive\n\n";
  size_t group = plan->coalesce ? plan->coalesce : 1;
  uint64_t due_ns = plan->first_ns;
  for (size_t i = 0; i < plan->event_count; i++) {
    size_t first = i, stop = i + group < plan->event_count ? i + group : plan->event_count;
    for (; i < stop; i++)
      due_ns += plan->events[i].after_ns;
    i--;
    if (plan->comments && first % plan->comments == 0)
      lay_stretch(plan, comment, strlen(comment), chunked, due_ns, first);
    const struct ql_sim_event *last = &plan->events[stop - 1];
    size_t from = plan->events[first].offset;
    lay_stretch(plan, plan->text.data + from, last->offset + last->len - from, chunked, due_ns, stop);
  }
}

// Cut every step into writes of wire_bytes. Stamps do not survive a cut, so they are given up.
static void cut_writes(struct ql_sim_plan *plan) {
  struct ql_sim_step *old = plan->steps;
  size_t count = plan->step_count, n = plan->wire_bytes;
  uint64_t late_ns = 0; // the gaps add up: writes keep their order
  plan->steps = NULL;
  plan->step_count = plan->step_cap = 0;
  for (size_t i = 0; i < count; i++) {
    for (size_t done = 0; done < old[i].len; done += n) {
      struct ql_sim_step *step = add_step(plan, old[i].offset + done, old[i].due_ns + late_ns, old[i].events);
      step->len = old[i].len - done < n ? old[i].len - done : n;
      late_ns += wire_gap_ns;
    }
  }
  free(old);
}

// The place of the fault in wire bytes.
static size_t fault_place(const struct ql_sim_plan *plan) {
  const struct ql_sim_fault *fault = &plan->fault;
  size_t place = fault->after_bytes;
  if (!place) {
    for (size_t i = 0; i < plan->step_count && plan->steps[i].events <= fault->after_events; i++)
      place = plan->steps[i].offset + plan->steps[i].len;
  }
  return place < plan->wire.len ? place : plan->wire.len;
}

static void lay_fault(struct ql_sim_plan *plan) {
  const struct ql_sim_fault *fault = &plan->fault;
  size_t place = fault_place(plan), i = 0;
  while (i < plan->step_count && plan->steps[i].offset + plan->steps[i].len <= place)
    i++;
  if (i < plan->step_count && plan->steps[i].offset < place) { // cut this step in two
    plan->steps = grown(plan->steps, plan->step_count, &plan->step_cap, sizeof *plan->steps);
    memmove(&plan->steps[i + 1], &plan->steps[i], (plan->step_count - i) * sizeof *plan->steps);
    plan->step_count++;
    size_t kept = place - plan->steps[i].offset;
    plan->steps[i].len = kept;
    plan->steps[i].stamps = 0;
    plan->steps[i + 1].offset += kept;
    plan->steps[i + 1].len -= kept;
    plan->steps[i + 1].stamps = 0;
    i++;
  }
  if (fault->end == QL_SIM_KEEP) {
    for (; i < plan->step_count; i++)
      plan->steps[i].due_ns += fault->stall_ns;
    return;
  }
  plan->step_count = i;
  plan->end = fault->end;
}

void ql_sim_plan_lay(struct ql_sim_plan *plan, int http_minor, bool keep_alive) {
  plan->end = keep_alive && !plan->raw ? QL_SIM_KEEP : QL_SIM_CLOSE;
  bool chunked = plan->stream && !plan->raw && http_minor > 0;
  if (plan->stream && !plan->raw && !chunked)
    plan->end = QL_SIM_CLOSE; // without chunks only the end of the connection ends the body
  if (plan->raw) {
    ql_buf_add(&plan->wire, plan->text.data, plan->text.len);
    add_step(plan, 0, plan->first_ns, 1);
  } else if (plan->stream) {
    lay_head(plan, chunked, plan->end == QL_SIM_KEEP);
    add_step(plan, 0, 0, 0);
    lay_events(plan, chunked);
    if (chunked) {
      ql_buf_adds(&plan->wire, "0\r\n\r\n");
      plan->steps[plan->step_count - 1].len += 5;
    }
  } else {
    lay_head(plan, false, plan->end == QL_SIM_KEEP);
    ql_buf_add(&plan->wire, plan->text.data, plan->text.len);
    add_step(plan, 0, plan->first_ns, 1);
  }
  ql_buf_free(&plan->text);
  if (plan->wire_bytes)
    cut_writes(plan);
  if (plan->fault.end != QL_SIM_KEEP || plan->fault.stall_ns)
    lay_fault(plan);
}

static void put_digits(char *to, size_t width, uint64_t value) {
  while (width--) {
    to[width] = (char)('0' + value % 10);
    value /= 10;
  }
}

void ql_sim_plan_stamp(struct ql_sim_plan *plan, const struct ql_sim_step *step, uint64_t now_ns) {
  for (size_t i = 0; i < step->stamps; i++) {
    char *place = plan->wire.data + plan->stamp_places[step->first_stamp + i];
    put_digits(place + 4, 20, now_ns);
    put_digits(place + 29, 8, step->first_stamp + i);
  }
}
