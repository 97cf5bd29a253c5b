// SPDX-License-Identifier: Apache-2.0
// http_alarm: a binary heap of moments, each set inside the object that it belongs to.
//
// Pure but for memory. Setting and clearing take O(log n) and allocate only when the heap has never been so
// large. The keys lie in the heap itself, so that sifting reads one array and not a thousand objects.

#include "http_alarm.h"

#include <stdlib.h>

static void put(struct ql_http_alarms *alarms, size_t at, struct ql_http_alarm_place place) {
  alarms->heap[at] = place;
  place.alarm->place = at + 1;
}

static void sift_up(struct ql_http_alarms *alarms, size_t at, struct ql_http_alarm_place place) {
  while (at && alarms->heap[(at - 1) / 2].due_ns > place.due_ns) {
    put(alarms, at, alarms->heap[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  put(alarms, at, place);
}

static void sift_down(struct ql_http_alarms *alarms, size_t at, struct ql_http_alarm_place place) {
  for (size_t child; (child = 2 * at + 1) < alarms->count; at = child) {
    if (child + 1 < alarms->count && alarms->heap[child + 1].due_ns < alarms->heap[child].due_ns)
      child++;
    if (alarms->heap[child].due_ns >= place.due_ns)
      break;
    put(alarms, at, alarms->heap[child]);
  }
  put(alarms, at, place);
}

void ql_http_alarm_clear(struct ql_http_alarms *alarms, struct ql_http_alarm *alarm) {
  if (!alarm->place)
    return;
  size_t at = alarm->place - 1;
  struct ql_http_alarm_place last = alarms->heap[--alarms->count];
  alarm->place = 0;
  if (last.alarm == alarm)
    return;
  if (at && alarms->heap[(at - 1) / 2].due_ns > last.due_ns)
    sift_up(alarms, at, last);
  else
    sift_down(alarms, at, last);
}

void ql_http_alarm_set(struct ql_http_alarms *alarms, struct ql_http_alarm *alarm, uint64_t due_ns) {
  ql_http_alarm_clear(alarms, alarm);
  if (alarms->count == alarms->cap) {
    alarms->cap = alarms->cap ? alarms->cap * 2 : 64;
    alarms->heap = ql_realloc(alarms->heap, alarms->cap * sizeof *alarms->heap);
  }
  sift_up(alarms, alarms->count++, (struct ql_http_alarm_place){due_ns, alarm});
}

uint64_t ql_http_alarm_next(const struct ql_http_alarms *alarms) {
  return alarms->count ? alarms->heap[0].due_ns : UINT64_MAX;
}

struct ql_http_alarm *ql_http_alarm_due(struct ql_http_alarms *alarms, uint64_t now_ns) {
  if (!alarms->count || alarms->heap[0].due_ns > now_ns)
    return NULL;
  struct ql_http_alarm *alarm = alarms->heap[0].alarm;
  ql_http_alarm_clear(alarms, alarm);
  return alarm;
}

void ql_http_alarms_free(struct ql_http_alarms *alarms) { free(alarms->heap); }
