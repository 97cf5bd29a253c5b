// SPDX-License-Identifier: Apache-2.0
// http_alarm: moments at which something of an I/O thread is due. See http_alarm.c.
#ifndef QL_HTTP_ALARM_H
#define QL_HTTP_ALARM_H

#include "base.h"

// All zero is one that is not set. on_due is called once per setting, after the alarm has been cleared.
struct ql_http_alarm {
  size_t place; // in the heap, from 1
  void (*on_due)(struct ql_http_alarm *alarm);
};
struct ql_http_alarm_place {
  uint64_t due_ns;
  struct ql_http_alarm *alarm;
};
struct ql_http_alarms { // all zero is an empty one
  struct ql_http_alarm_place *heap;
  size_t count, cap;
};

void ql_http_alarm_set(struct ql_http_alarms *alarms, struct ql_http_alarm *alarm, uint64_t due_ns); // anew
void ql_http_alarm_clear(struct ql_http_alarms *alarms, struct ql_http_alarm *alarm); // also one not set
uint64_t ql_http_alarm_next(const struct ql_http_alarms *alarms); // UINT64_MAX for none
// The first that is due by now, cleared, or NULL.
struct ql_http_alarm *ql_http_alarm_due(struct ql_http_alarms *alarms, uint64_t now_ns);
void ql_http_alarms_free(struct ql_http_alarms *alarms);

#endif
