// SPDX-License-Identifier: Apache-2.0
// http: requests over HTTP/1.1, carried by I/O threads of their own and answered on the main thread.
//
// One ql_http is one or more I/O threads, each with its loop and its connections. A lane is a bounded window
// over them: requests wait in the lane's queue, at most max_in_flight of them are on their way, and the I/O
// thread itself moves the next one up, so that a busy main thread never drains the window. With several threads
// each has its share of the window and a queue of its own; a request goes to the one with the least to do. Whole
// replies come back in batches through a bell and are given to on_reply on the main thread, exactly
// once for each request that ql_http_send took, whatever happens.
// All functions are for the main thread. Two transports carry the bytes behind this header: sockets of our own for
// http:// without proxy, redirect or file, whose reads the kernel stamps where it can; libcurl for all else.
#ifndef QL_HTTP_H
#define QL_HTTP_H

#include "base.h"
#include "loop.h"

struct ql_http;
struct ql_http_lane;

struct ql_http_options {
  uint32_t io_threads; // 0: 1; at most QL_HTTP_MAX_THREADS
};
#define QL_HTTP_MAX_THREADS 64
struct ql_http *ql_http_open(struct ql_loop *loop, const struct ql_http_options *options, struct ql_err *err);
// Cancels everything, joins the thread and calls every outstanding on_reply before it returns. Lanes die with it.
void ql_http_close(struct ql_http *http);

struct ql_http_lane_options {
  uint32_t max_in_flight; // 0: 64
  uint32_t max_queued;    // 0: 65,536; beyond it ql_http_send refuses
};
struct ql_http_lane *ql_http_lane_open(struct ql_http *http, const struct ql_http_lane_options *options);
void ql_http_lane_cancel(struct ql_http_lane *lane); // everything sent so far
// Cancels everything; the replies still come, through the bell. The lane must not be used after it.
void ql_http_lane_close(struct ql_http_lane *lane);

// AUTO: PLAIN where it can, else CURL. PLAIN is refused where it cannot: https, redirects, a sink, a proxy.
enum ql_http_transport { QL_HTTP_AUTO, QL_HTTP_PLAIN, QL_HTTP_CURL };

// Everything is copied by ql_http_send. Times in ms, 0: no limit. Zero or NULL is a sensible default throughout.
struct ql_http_request {
  const char *method;         // NULL: GET, or POST when there is a body
  const char *url;            // http or https
  const char *const *headers; // "name: value", ends with NULL
  const char *body;
  size_t body_len;
  const char *unix_socket;  // connect here; the url's host is only spoken
  enum ql_http_transport transport;
  bool sse;                 // split a text/event-stream into events
  bool fresh_connection;    // do not take a kept one: opening many at once before a measurement
  bool insecure;            // do not check the server's certificate
  const char *ca_file;      // PEM, in place of the system's
  const char *pin;          // "sha256//…" of the server's public key
  uint32_t connect_ms;      // until the connection stands, TLS included
  uint32_t first_byte_ms;   // from there to the first byte of the body
  uint32_t idle_ms;         // between two events of an event stream (comments are none), else between two reads
  uint32_t total_ms;        // from the start, waiting in the queue not counted
  size_t max_body_bytes;    // 0: 64 MiB; not for a sink
  size_t max_event_bytes;   // 0: 16 MiB
  uint32_t max_redirects;   // 0: a redirect is the reply
  const char *sink_path;    // a 2xx body goes to this file, any other into the reply
  uint64_t start_at_ns;     // CLOCK_MONOTONIC: until then it waits outside the lane's window; 0: at once
  uint64_t resume_from;     // ask for the rest from here; a server that sends all is written from 0
};

// Tokens of time are CLOCK_MONOTONIC ns, 0 when it did not happen.
struct ql_http_marks {
  uint64_t queued_ns;     // ql_http_send
  uint64_t due_ns;        // the request's start_at_ns; 0 when none was asked for
  uint64_t start_ns;      // handed to the transport
  uint64_t connect_ns;    // a new connection stood; 0 when a kept one was used
  uint64_t sent_ns;       // the last byte of the request was handed to the kernel; 0 when not known
  uint64_t first_byte_ns; // of the body
  uint64_t last_byte_ns;  // of the body; of the headers when there was no body
  uint32_t reads;         // how often the transport handed bytes over
};

// Whose clock reading the times of reads are: none came, ours after the read, the kernel's when the bytes came in.
enum ql_http_stamp_source { QL_HTTP_NO_STAMP, QL_HTTP_USER_STAMP, QL_HTTP_KERNEL_STAMP };

struct ql_http_event {
  uint64_t at_ns;        // of the read that completed the data
  uint32_t end_offset;   // in the body: just past the event's data
  uint32_t data_len;
  uint32_t joined_at;    // where the data lies in the reply's joined text, or QL_HTTP_IN_BODY
  uint32_t name_at;      // NUL-terminated name in the joined text, or QL_HTTP_IN_BODY for none
  bool done, incomplete; // [DONE]; the stream ended inside this event
};
#define QL_HTTP_IN_BODY UINT32_MAX

struct ql_http_reply {
  int status; // 0: none came
  struct ql_buf headers; // name NUL value NUL …, names in lower case, each once, values joined by ", "
  struct ql_buf body;    // what came, also when the transfer failed
  bool wants_events;     // sse was asked for
  struct ql_http_event *events;
  size_t event_count;
  struct ql_buf joined; // data of events of several lines, and event names
  uint64_t comments;    // of the event stream
  struct ql_http_marks marks;
  enum ql_http_stamp_source stamp_source; // kernel: of every read of the body
  uint64_t sink_bytes;   // the file's length after the transfer
  struct ql_err *error;  // NULL: a whole reply came, whatever its status
};
// The reply belongs to the callee.
typedef void (*ql_http_on_reply)(void *arg, struct ql_http_reply *reply);
void ql_http_reply_free(struct ql_http_reply *reply);
const char *ql_http_reply_header(const struct ql_http_reply *reply, const char *lower_name); // or NULL
const char *ql_http_event_data(const struct ql_http_reply *reply, size_t index, size_t *len);

// Returns the request's number, or 0 with err for a request that cannot be sent: it has then no reply.
uint64_t ql_http_send(struct ql_http_lane *lane, const struct ql_http_request *request, ql_http_on_reply on_reply,
                      void *arg, struct ql_err *err);
void ql_http_cancel(struct ql_http_lane *lane, uint64_t number);

// Percentiles are the upper edges of bins of an eighth of a power of two.
struct ql_http_spread {
  uint64_t count, p50_ns, p99_ns, max_ns;
};

struct ql_http_stats {
  uint64_t queued, in_flight; // now
  uint64_t done, failed;      // failed: of the done, those with an error
  uint64_t connections;       // opened
  uint64_t received_bytes;    // body bytes
  uint64_t reads, events;
  uint64_t file_bytes, file_total_bytes; // of the latest sink; total 0 when unknown
  uint64_t kernel_reads;     // of the reads: stamped by the kernel
  uint64_t shared_reads;     // of the reads: those that completed more than one event
  uint64_t connect_failures; // of the plain transport
  uint64_t retries;          // requests sent again, as a kept connection had died before any byte of the answer
  struct ql_http_spread stamp_delay;  // from the kernel's stamp of a read to our having it
  struct ql_http_spread dispatch_lag; // start_ns - due_ns of requests with a start_at_ns

  // Of the I/O threads, which all lanes share; sums, but for the clock.
  uint64_t io_cpu_ns, io_idle_ns; // processor time, time asleep
  uint64_t wakeups;               // returns from epoll
  uint64_t wakeup_events;         // descriptors that these returns named
  uint64_t clock_error_ns;        // bound of the mapping from the kernel's clock to ours: the worst so far
  uint64_t clock_steps;           // how often the wall clock was seen to jump, which spoils stamps of the moment
  uint32_t io_threads;
};
void ql_http_lane_stats(struct ql_http_lane *lane, struct ql_http_stats *stats);

// One I/O thread by itself: a mean over threads hides one that is the limit.
struct ql_http_thread_stats {
  uint64_t cpu_ns, idle_ns, wakeups, wakeup_events;
};
void ql_http_thread_stats(struct ql_http_lane *lane, uint32_t index, struct ql_http_thread_stats *stats);

// Which host needs no proxy, ever: 127/8, ::1, localhost, and the unspecified addresses that lead there.
bool ql_http_is_loopback(const char *host);

#endif
