// SPDX-License-Identifier: Apache-2.0
// http_internal: what the http*.c files share, and which thread may touch what.
//
// A job is one request on its way: made by the main thread, handed to an I/O thread by its inbox, and
// handed back, with its reply filled, by its outbox. It has one owner at a time, so no field needs a
// lock but the boxes' list heads. A part is one I/O thread's share of a lane; its counters are atomics with one
// writer, which the main thread only reads. I/O threads share nothing with each other.
#ifndef QL_HTTP_INTERNAL_H
#define QL_HTTP_INTERNAL_H

#include "http.h"
#include "http_alarm.h"
#include "http_clock.h"
#include "sse.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

// An ordinary url in its parts, which lead into its text. See http_url.c.
struct ql_http_url {
  const char *host; // as written, with the brackets of IPv6
  size_t host_len;
  const char *port; // digits, or NULL
  size_t port_len;
  const char *target; // path and query; may be empty or begin with '?'
  size_t target_len, path_len;
};

enum ql_http_message_kind {
  QL_HTTP_SEND,        // in: job
  QL_HTTP_CANCEL_ONE,  // in: part, number
  QL_HTTP_CANCEL_LANE, // in: part
  QL_HTTP_OPEN_LANE,   // in: part
  QL_HTTP_CLOSE_LANE,  // in: part
  QL_HTTP_NAME_FOUND,  // in: lookup
  QL_HTTP_STOP,        // in
  QL_HTTP_REPLY,       // out: job
  QL_HTTP_LANE_GONE,   // out: part, after its last reply
};

struct ql_http_message {
  enum ql_http_message_kind kind;
  struct ql_http_message *next;
  struct ql_http_part *part;
  union {
    struct ql_http_job *job;
    struct ql_http_lookup *lookup;
  };
  uint64_t number;
};

struct ql_http_box {
  pthread_mutex_t lock;
  struct ql_http_message *first, **end;
};

// What an epoll registration leads to: the first member of whatever is watched.
struct ql_http_watch {
  void (*on_ready)(struct ql_http_watch *watch, uint32_t events);
  int fd;
};

// An easy handle that is used again and again: curl keeps a handle's memory over a reset.
struct ql_http_slot {
  CURL *easy;
  char error_text[CURL_ERROR_SIZE];
  struct ql_http_slot *next_free;
};

struct ql_http_sink {
  int fd; // -1: not open
  uint64_t at;
};

// A request as the plain transport sends it.
struct ql_http_wire {
  const char *bytes; // head and body in one piece
  size_t len;
  char *memory;     // of the bytes, where they are not in the job's arena: a stream's go when its answer begins
  const char *peer; // where to connect: "host:port" or "unix /path"; in the arena
  bool is_head;
};

struct ql_http_job {
  struct ql_http_message message;
  uint64_t number;
  struct ql_http_part *part;
  struct ql_http_request request; // its pointers lead into memory of this job
  char *where;                    // scheme, host, port and path, for error texts: no user, no query
  char *arena;                    // the request's strings
  bool is_plain;                  // its transport
  ql_http_on_reply on_reply;
  void *arg;

  struct ql_http_list *list;       // of the part: where it is now
  struct ql_http_job *prev, *next; // in that list
  struct ql_http_alarm alarm;      // for its start_at_ns, then for its time limits
  struct ql_http_reply *reply;
  struct ql_sse sse;
  size_t event_cap;
  uint64_t connected_ns, progress_ns, armed_ns;
  bool is_stream, has_user_stamp;
  struct ql_err *failure; // set where a transfer is to stop

  // plain
  struct ql_http_wire wire;
  struct ql_http_conn *conn; // while in flight
  bool is_retried;

  // curl
  struct curl_slist *header_list;
  bool is_loopback;
  struct ql_http_slot *slot; // while in flight
  struct ql_http_sink sink;
  curl_socket_t sockets[2]; // the latest opened for it: IPv4 or UNIX, IPv6; CURL_SOCKET_BAD for none
  bool has_all_headers, is_sinking, is_restarted;
};

struct ql_http_list {
  struct ql_http_job *first, *last;
  uint64_t count;
};

typedef atomic_uint_fast64_t ql_http_counter;

struct ql_http_part {
  struct ql_http_lane *lane;
  struct ql_http_io *io;
  uint32_t max_in_flight;                     // its share; 0: it is given nothing
  struct ql_http_list later, waiting, flying; // I/O thread; later: until their start_at_ns
  bool is_feeding;                            // I/O thread
  size_t body_hint, event_hint;               // I/O thread: what the latest stream needed, with some room
  uint64_t sent;                              // main thread
  ql_http_counter queued, in_flight, done, failed, connections, received_bytes, reads, events, kernel_reads,
      shared_reads, connect_failures, retries, file_bytes, file_total_bytes;
  struct ql_http_hist stamp_delay, dispatch_lag;
};

struct ql_http_lane {
  struct ql_http *http;
  uint32_t max_queued;
  struct ql_http_lane *next; // main thread
  bool is_closed;            // main thread
  uint32_t parts_left;       // main thread: not yet gone
  struct ql_http_part parts[]; // one per I/O thread
};

// One I/O thread.
struct ql_http_io {
  struct ql_http *http;
  pthread_t thread;
  bool is_running; // main thread
  struct ql_http_box inbox, outbox;
  ql_http_counter idle_ns, wakeups, wakeup_events, clock_error_ns, clock_steps;

  // The rest is the thread's own.
  int epoll_fd;
  struct ql_http_watch wake, timer; // an eventfd and a timerfd, both edge-triggered: never read
  uint64_t timer_set_ns;            // UINT64_MAX for nothing
  uint64_t now_ns;                  // the latest reading of the clock
  struct ql_http_alarms alarms;
  long max_connections;
  bool is_stopping;

  // curl
  CURLM *multi; // NULL until the first transfer
  struct ql_http_alarm curl_alarm;
  bool must_kick; // curl's timer of zero
  struct ql_http_curl_watch **watches; // by descriptor
  size_t watch_cap;
  struct ql_http_curl_watch *dead_watches; // until the end of this turn
  struct ql_http_slot *free_slots;

  // plain
  struct ql_http_clock clock;
  struct ql_http_peer *peers;
  struct ql_http_conn *idle_first, *idle_last; // of all peers, the longest idle first
  size_t idle_count;
  struct ql_http_conn *graves; // closed in this turn: their events may still be in the batch
  struct ql_http_lookup *lookups;
  uint64_t read_ns;    // the stamp of the present read
  bool read_by_kernel; // the kernel's
  bool read_has_body;  // so far
  int stamp_fd; // keeps the kernel stamping: see http_conn.c
  char *bytes;  // QL_HTTP_READ_BYTES, for one read
};
#define QL_HTTP_READ_BYTES ((size_t)64 * 1024)

struct ql_http {
  struct ql_loop *loop;
  struct ql_bell *bell;
  struct ql_timer *anchor; // keeps the main loop running while replies are awaited, as a bell does not
  uint64_t awaited;
  struct ql_http_lane *lanes;
  uint64_t last_number;
  char *last_url; // taken apart below: the next request is likely to have the same
  struct ql_http_url last_parts;
  bool last_is_loopback;
  bool is_closing;
  char *no_proxy; // $NO_PROXY and the loopback hosts
  bool has_proxy; // the environment names one for http://
  char *proxy;    // the one that libcurl does not find by itself, or NULL
  uint32_t io_count;
  struct ql_http_io *ios;
};

// Counters have one writer: a load and a store are enough, and no locked instruction is.
static inline void ql_http_count(ql_http_counter *counter, uint64_t more) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

// http.c
void ql_http_box_put(struct ql_http_box *box, struct ql_http_message *message, bool *was_empty);
struct ql_http_message *ql_http_box_take(struct ql_http_box *box);
void ql_http_tell(struct ql_http_io *io, struct ql_http_message *message); // any thread
void ql_http_hand_back(struct ql_http_job *job); // I/O thread: the job is the main thread's again

// http_request.c
struct ql_http_job *ql_http_job_new(struct ql_http *http, const struct ql_http_request *request,
                                    struct ql_err *err);
void ql_http_job_free(struct ql_http_job *job); // without its reply

// http_wire.c
struct ql_http_header_facts {
  bool has_type, has_agent, has_accept, has_host;
  bool needs_curl; // they change how the body is sent
  size_t bytes;    // of all of them, line ends counted
};
void ql_http_wire_write(struct ql_http_job *job, const struct ql_http_request *request, const struct ql_http_url *url,
                        const struct ql_http_header_facts *facts);

// http_url.c
// False for what is not plain "http://host[:port][/path][?query]" of unreserved characters: others know more.
bool ql_http_url_split(const char *url, struct ql_http_url *parts);

// http_io.c
void *ql_http_thread(void *io);
int ql_http_io_open(struct ql_http_io *io, struct ql_err *err);
void ql_http_io_close(struct ql_http_io *io); // after the thread has ended, or without it
int ql_http_watch_add(struct ql_http_io *io, struct ql_http_watch *watch, uint32_t events);
void ql_http_watch_change(struct ql_http_io *io, struct ql_http_watch *watch, uint32_t events);
void ql_http_watch_close(struct ql_http_io *io, int fd); // the registration first, then the descriptor
void ql_http_alarm_at(struct ql_http_io *io, struct ql_http_alarm *alarm, uint64_t due_ns);
uint64_t ql_http_io_now(struct ql_http_io *io);  // reads the clock
void ql_http_job_ended(struct ql_http_job *job); // counts it, hands it back, starts the lane's next
void ql_http_job_start_mark(struct ql_http_job *job); // its start_ns, now

// http_body.c: what both transports do with an answer
struct ql_err *ql_http_failure_of(struct ql_http_job *job);
bool ql_http_is_success(long status);
void ql_http_body_begin(struct ql_http_job *job, long status, uint64_t at_ns); // at its first byte
// Bytes of a body that goes into the reply; -1 with the job's failure set.
int ql_http_body_take(struct ql_http_job *job, const char *bytes, size_t len, uint64_t at_ns);
void ql_http_body_end(struct ql_http_job *job);

// http_limits.c
void ql_http_limits_begin(struct ql_http_job *job); // at its start
void ql_http_limits_arm(struct ql_http_job *job);   // something has happened: the next limit may be earlier

// http_curl.c
int ql_http_curl_open(struct ql_http_io *io, struct ql_err *err); // at the first transfer
void ql_http_curl_close(struct ql_http_io *io);
void ql_http_curl_kick(struct ql_http_io *io);
void ql_http_curl_bury(struct ql_http_io *io); // at the end of a turn
curl_socket_t ql_http_open_socket(void *job, curlsocktype purpose, struct curl_sockaddr *address); // for curl
int ql_http_close_socket(void *io, curl_socket_t fd); // for curl
void ql_http_unwatch_job(const struct ql_http_job *job); // before it was connected
void ql_http_curl_forget(struct ql_http_io *io, int fd); // the number is another's now

// http_transfer.c
void ql_http_transfer_start(struct ql_http_job *job);
void ql_http_transfer_done(struct ql_http_job *job, CURLcode code); // curl says so
void ql_http_transfer_stop(struct ql_http_job *job);                // its failure is set
void ql_http_slots_free(struct ql_http_io *io);

// http_plain.c
void ql_http_plain_start(struct ql_http_job *job);
void ql_http_plain_stop(struct ql_http_job *job); // its failure is set
void ql_http_plain_lookup_done(struct ql_http_lookup *lookup);

// http_options.c
void ql_http_options_set(const struct ql_http *http, struct ql_http_job *job);
void ql_http_quote(char *out, size_t size, const char *text); // in our words' form
struct ql_err *ql_http_error_of(const struct ql_http_job *job, CURLcode code);

// http_headers.c: the packed form of ql_http_reply.headers
#define QL_HTTP_MAX_HEADER_BYTES (256 * 1024)
#define QL_HTTP_MAX_HEADER_LINE (100 * 1024)
bool ql_http_headers_add(struct ql_buf *headers, const char *line, size_t len); // false: too many
const char *ql_http_headers_find(const struct ql_buf *headers, const char *lower_name);

// http_sink.c
int ql_http_sink_open(struct ql_http_sink *sink, const char *path, uint64_t from, struct ql_err *err);
int ql_http_sink_write(struct ql_http_sink *sink, const char *path, const char *bytes, size_t len, struct ql_err *err);
int ql_http_sink_close(struct ql_http_sink *sink, const char *path, struct ql_err *err);

#endif
