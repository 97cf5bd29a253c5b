// SPDX-License-Identifier: Apache-2.0
// http_internal: what the http*.c files share, and which thread may touch what.
//
// A job is one request on its way: made by the main thread, handed to the I/O thread by the inbox, and
// handed back, with its reply filled, by the outbox. It has one owner at a time, so no field needs a
// lock but the two boxes' list heads. Lane counters are atomics that the main thread only reads.
#ifndef QL_HTTP_INTERNAL_H
#define QL_HTTP_INTERNAL_H

#include "http.h"
#include "sse.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

enum ql_http_message_kind {
  QL_HTTP_SEND,        // in: job
  QL_HTTP_CANCEL_ONE,  // in: lane, number
  QL_HTTP_CANCEL_LANE, // in: lane
  QL_HTTP_OPEN_LANE,   // in: lane
  QL_HTTP_CLOSE_LANE,  // in: lane
  QL_HTTP_STOP,        // in
  QL_HTTP_REPLY,       // out: job
  QL_HTTP_LANE_GONE,   // out: lane, after its last reply
};

struct ql_http_message {
  enum ql_http_message_kind kind;
  struct ql_http_message *next;
  struct ql_http_lane *lane;
  struct ql_http_job *job;
  uint64_t number;
};

struct ql_http_box {
  pthread_mutex_t lock;
  struct ql_http_message *first, **end;
};

// An easy handle and a timer that are used again and again: curl keeps a handle's memory over a reset.
struct ql_http_slot {
  CURL *easy;
  uv_timer_t deadline;
  char error_text[CURL_ERROR_SIZE];
  struct ql_http_job *job;
  struct ql_http_slot *next_free;
};

// A moment that something is due; 0 for place: not set. See http_alarm.c.
struct ql_http_alarm {
  size_t place; // in the heap, from 1
};
struct ql_http_alarm_place {
  uint64_t due_ns;
  struct ql_http_alarm *alarm;
};
struct ql_http_alarms {
  struct ql_http_alarm_place *heap;
  size_t count, cap;
};

struct ql_http_sink {
  int fd; // -1: not open
  uint64_t at;
};

struct ql_http_job {
  struct ql_http_message message;
  uint64_t number;
  struct ql_http_lane *lane;
  struct ql_http_request request; // its pointers lead into memory of this job
  char *where;                    // scheme, host, port and path, for error texts: no user, no query
  char *arena;                    // the request's strings
  struct curl_slist *header_list;
  bool is_loopback;
  ql_http_on_reply on_reply;
  void *arg;

  struct ql_http_list *list;       // of the lane: where it is now
  struct ql_http_job *prev, *next; // in that list
  struct ql_http_alarm start;      // while it waits for its start_at_ns
  struct ql_http_slot *slot;       // while in flight
  struct ql_http_reply *reply;
  struct ql_sse sse;
  struct ql_http_sink sink;
  size_t event_cap;
  curl_socket_t sockets[2]; // the latest opened for it: IPv4 or UNIX, IPv6; CURL_SOCKET_BAD for none
  uint64_t connected_ns, progress_ns, armed_ns;
  bool has_all_headers, is_stream, is_sinking, is_restarted;
  struct ql_err *failure; // set in a callback that stops the transfer
};

struct ql_http_list {
  struct ql_http_job *first, *last;
  uint64_t count;
};

struct ql_http_lane {
  struct ql_http *http;
  uint32_t max_in_flight, max_queued;
  struct ql_http_list later, waiting, flying; // I/O thread; later: until their start_at_ns
  bool is_feeding;                     // I/O thread
  struct ql_http_lane *next;           // main thread
  bool is_closed;                      // main thread
  atomic_uint_fast64_t queued, in_flight, done, failed, connections, received_bytes, reads, events, file_bytes,
      file_total_bytes;
};

struct ql_http {
  // main thread
  struct ql_loop *loop;
  struct ql_bell *bell;
  struct ql_timer *anchor; // keeps the main loop running while replies are awaited, as a bell does not
  uint64_t awaited;
  pthread_t thread;
  struct ql_http_lane *lanes;
  uint64_t last_number;
  bool is_closing;
  // both
  struct ql_http_box inbox, outbox;
  uv_async_t wake;
  // I/O thread
  uv_loop_t uv;
  uv_timer_t timer; // curl's
  uv_idle_t kick;   // curl's timer of zero: a zero uv_timer would wait for the next millisecond
  CURLM *multi;
  struct ql_http_watch **watches; // by descriptor
  size_t watch_cap;
  long max_connections;
  struct ql_http_slot *free_slots;
  char *no_proxy; // $NO_PROXY and the loopback hosts
  struct ql_http_alarms starts;
  int start_fd;           // a timerfd, as a uv_timer knows whole milliseconds only
  uint64_t start_set_ns;  // what it is set to, UINT64_MAX for nothing
  uv_poll_t start_poll;
  bool is_stopping;
};

// http.c
void ql_http_box_put(struct ql_http_box *box, struct ql_http_message *message, bool *was_empty);
struct ql_http_message *ql_http_box_take(struct ql_http_box *box);
void ql_http_hand_back(struct ql_http_job *job); // I/O thread: the job is the main thread's again

// http_request.c
struct ql_http_job *ql_http_job_new(const struct ql_http_request *request, struct ql_err *err);
void ql_http_job_free(struct ql_http_job *job); // without its reply

// http_io.c
void *ql_http_thread(void *http);
int ql_http_io_open(struct ql_http *http, struct ql_err *err);
curl_socket_t ql_http_open_socket(void *job, curlsocktype purpose, struct curl_sockaddr *address); // for curl
void ql_http_unwatch_job(struct ql_http *http, const struct ql_http_job *job); // before it was connected
void ql_http_job_ended(struct ql_http_job *job); // counts it, hands it back, starts the lane's next

// http_transfer.c
void ql_http_transfer_start(struct ql_http *http, struct ql_http_job *job);
void ql_http_transfer_done(struct ql_http *http, struct ql_http_job *job, CURLcode code); // curl says so
void ql_http_transfer_cancel(struct ql_http *http, struct ql_http_job *job);              // also while it waits
void ql_http_slots_free(struct ql_http *http);

// http_alarm.c
void ql_http_alarm_set(struct ql_http_alarms *alarms, struct ql_http_alarm *alarm, uint64_t due_ns); // anew
void ql_http_alarm_clear(struct ql_http_alarms *alarms, struct ql_http_alarm *alarm); // also one not set
uint64_t ql_http_alarm_next(const struct ql_http_alarms *alarms); // UINT64_MAX for none
// The first that is due by now, cleared, or NULL.
struct ql_http_alarm *ql_http_alarm_due(struct ql_http_alarms *alarms, uint64_t now_ns);
void ql_http_alarms_free(struct ql_http_alarms *alarms);

// http_options.c
void ql_http_options_set(const struct ql_http *http, struct ql_http_job *job);
struct ql_err *ql_http_error_of(const struct ql_http_job *job, CURLcode code);

// http_headers.c: the packed form of ql_http_reply.headers
#define QL_HTTP_MAX_HEADER_BYTES (256 * 1024)
bool ql_http_headers_add(struct ql_buf *headers, const char *line, size_t len); // false: too many
const char *ql_http_headers_find(const struct ql_buf *headers, const char *lower_name);

// http_sink.c
int ql_http_sink_open(struct ql_http_sink *sink, const char *path, uint64_t from, struct ql_err *err);
int ql_http_sink_write(struct ql_http_sink *sink, const char *path, const char *bytes, size_t len, struct ql_err *err);
int ql_http_sink_close(struct ql_http_sink *sink, const char *path, struct ql_err *err);

#endif
