// SPDX-License-Identifier: Apache-2.0
// http_request: from what a caller asks for to a job that the I/O thread can carry.
//
// Runs on the main thread. Checks everything that can be checked before anything is queued, chooses the transport,
// and copies it: after this no pointer of the caller's is kept.

#include "http_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define DEFAULT_MAX_BODY_BYTES ((size_t)64 << 20)
#define DEFAULT_MAX_EVENT_BYTES ((size_t)16 << 20)

static bool is_loopback_v4(const struct in_addr *address) {
  uint32_t ip = ntohl(address->s_addr);
  return ip >> 24 == 127 || ip == 0;
}

bool ql_http_is_loopback(const char *host) {
  char bare[64];
  size_t len = host ? strlen(host) : 0;
  if (len && host[len - 1] == '.')
    len--;
  if (len >= sizeof bare)
    return false;
  bool in_brackets = len > 2 && host[0] == '[' && host[len - 1] == ']';
  snprintf(bare, sizeof bare, "%.*s", (int)(in_brackets ? len - 2 : len), in_brackets ? host + 1 : host);
  len = strlen(bare);
  if (strcasecmp(bare, "localhost") == 0 || (len > 10 && strcasecmp(bare + len - 10, ".localhost") == 0))
    return true;
  struct in_addr v4;
  struct in6_addr v6;
  if (inet_pton(AF_INET, bare, &v4) == 1)
    return is_loopback_v4(&v4);
  if (inet_pton(AF_INET6, bare, &v6) != 1)
    return false;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    memcpy(&v4, v6.s6_addr + 12, sizeof v4);
    return is_loopback_v4(&v4);
  }
  return IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_UNSPECIFIED(&v6);
}

// ---- the url ------------------------------------------------------------------------------------------

// By libcurl: checks it, and gives its ordinary form where it is http, without fragment and user.
static int read_url(struct ql_http_job *job, const char *url, char **ordinary, struct ql_err *err) {
  char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *user = NULL;
  CURLU *parts = curl_url();
  CURLUcode code = parts ? curl_url_set(parts, CURLUPART_URL, url, 0) : CURLUE_OUT_OF_MEMORY;
  int rc = 0;
  if (code != CURLUE_OK) {
    rc = ql_fail(err, QL_E_USAGE, "url '%.200s': want http://host… or https://host…, got %s", url,
                 curl_url_strerror(code));
  } else {
    curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
    curl_url_get(parts, CURLUPART_HOST, &host, 0);
    curl_url_get(parts, CURLUPART_PORT, &port, 0);
    curl_url_get(parts, CURLUPART_PATH, &path, 0);
    curl_url_get(parts, CURLUPART_USER, &user, 0);
    if (!scheme || !host || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
      rc = ql_fail(err, QL_E_USAGE, "url '%.200s': want http or https, got %s", url, scheme ? scheme : "no scheme");
  }
  if (rc == 0) {
    struct ql_buf where;
    ql_buf_init(&where, 0);
    ql_buf_addf(&where, "%s://%s%s%s%.200s", scheme, host, port ? ":" : "", port ? port : "", path ? path : "/");
    job->where = ql_buf_take(&where, NULL);
    job->is_loopback = ql_http_is_loopback(host);
    curl_url_set(parts, CURLUPART_FRAGMENT, NULL, 0);
    if (!user)
      curl_url_get(parts, CURLUPART_URL, ordinary, 0);
  }
  curl_free(scheme);
  curl_free(host);
  curl_free(port);
  curl_free(path);
  curl_free(user);
  curl_url_cleanup(parts);
  return rc;
}

// ---- headers ------------------------------------------------------------------------------------------

static bool has_name(const char *header, const char *name) {
  size_t len = strlen(name);
  return strncasecmp(header, name, len) == 0 && header[len] == ':';
}

static int read_headers(const struct ql_http_request *request, struct ql_http_header_facts *facts, struct ql_err *err) {
  *facts = (struct ql_http_header_facts){0};
  for (const char *const *at = request->headers; at && *at; at++) {
    const char *colon = strchr(*at, ':');
    if (!colon || colon == *at || strpbrk(*at, "\r\n"))
      return ql_fail(err, QL_E_USAGE, "header '%.80s': want one line 'name: value'", *at);
    facts->has_type |= has_name(*at, "content-type");
    facts->has_agent |= has_name(*at, "user-agent");
    facts->has_accept |= has_name(*at, "accept");
    facts->has_host |= has_name(*at, "host");
    facts->needs_curl |= has_name(*at, "transfer-encoding") || has_name(*at, "content-length") ||
                         has_name(*at, "expect") || has_name(*at, "upgrade");
    facts->bytes += strlen(*at) + 2;
  }
  return 0;
}

// ---- for curl -----------------------------------------------------------------------------------------

static void add_header(struct ql_http_job *job, const char *text) {
  struct curl_slist *list = curl_slist_append(job->header_list, text);
  if (!list)
    abort(); // out of memory, as in base.c
  job->header_list = list;
}

static void list_headers(struct ql_http_job *job, const struct ql_http_request *request,
                         const struct ql_http_header_facts *facts) {
  for (const char *const *at = request->headers; at && *at; at++) {
    const char *colon = strchr(*at, ':');
    if (colon[1 + strspn(colon + 1, " \t")] != '\0') {
      add_header(job, *at);
      continue;
    }
    char *empty = ql_strndup(*at, (size_t)(colon - *at) + 1); // curl sends an empty value for "name;"
    empty[colon - *at] = ';';
    add_header(job, empty);
    free(empty);
  }
  add_header(job, "Expect:"); // or a body over 1 MB waits a second for "100 Continue"
  if (request->body && !facts->has_type)
    add_header(job, "Content-Type: application/json");
  if (!facts->has_agent)
    add_header(job, "User-Agent: qlua");
}

static size_t size_of(const char *text) { return text ? strlen(text) + 1 : 0; }

static const char *put(char **at, const char *text) {
  if (!text)
    return NULL;
  size_t size = strlen(text) + 1;
  char *copy = memcpy(*at, text, size);
  *at += size;
  return copy;
}

// One allocation for all strings and the body.
static void copy_strings(struct ql_http_job *job) {
  struct ql_http_request *r = &job->request;
  job->arena = ql_malloc(size_of(r->method) + size_of(r->url) + size_of(r->unix_socket) + size_of(r->ca_file) +
                         size_of(r->pin) + size_of(r->sink_path) + r->body_len + 1);
  char *at = job->arena;
  r->method = put(&at, r->method);
  r->url = put(&at, r->url);
  r->unix_socket = put(&at, r->unix_socket);
  r->ca_file = put(&at, r->ca_file);
  r->pin = put(&at, r->pin);
  r->sink_path = put(&at, r->sink_path);
  if (r->body) {
    memcpy(at, r->body, r->body_len);
    r->body = at;
  }
  r->headers = NULL;
}

// ---- the job ------------------------------------------------------------------------------------------

static int check(const struct ql_http_request *request, struct ql_err *err) {
  if (!request->url)
    return ql_fail(err, QL_E_USAGE, "request: field 'url' is missing");
  const char *method = request->method;
  if (method && (!*method || method[strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-")]))
    return ql_fail(err, QL_E_USAGE, "method '%.20s': want capital letters such as GET", method);
  size_t longest = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
  if (request->unix_socket && strlen(request->unix_socket) > longest)
    return ql_fail(err, QL_E_USAGE, "unix socket '%.120s': want at most %zu bytes", request->unix_socket, longest);
  // An event's place in its body is kept in 32 bits.
  if (request->sse && request->max_body_bytes >= UINT32_MAX)
    return ql_fail(err, QL_E_USAGE, "max_body_bytes: want less than 4 GiB for an event stream");
  return 0;
}

// Why the plain transport cannot carry it, or NULL.
static const char *why_not_plain(const struct ql_http *http, const struct ql_http_job *job,
                                 const struct ql_http_header_facts *facts, bool is_ordinary) {
  const struct ql_http_request *request = &job->request;
  if (!is_ordinary)
    return "its url";
  if (request->max_redirects)
    return "max_redirects";
  if (request->sink_path)
    return "sink_path";
  if (facts->needs_curl)
    return "its headers";
  if (http->has_proxy && !request->unix_socket && !job->is_loopback)
    return "a proxy";
  return NULL;
}

static bool is_loopback_url(const struct ql_http_url *url) {
  char host[64];
  if (url->host_len >= sizeof host)
    return false;
  memcpy(host, url->host, url->host_len);
  host[url->host_len] = '\0';
  return ql_http_is_loopback(host);
}

// The url in its parts, which lead into the http's copy; false for one that is not ordinary.
static bool split_url(struct ql_http *http, struct ql_http_job *job, const char *text, struct ql_http_url *url) {
  if (!http->last_url || strcmp(text, http->last_url) != 0) {
    if (!ql_http_url_split(text, url))
      return false;
    free(http->last_url);
    http->last_url = ql_strdup(text);
    ql_http_url_split(http->last_url, &http->last_parts);
    http->last_is_loopback = is_loopback_url(&http->last_parts);
  }
  *url = http->last_parts;
  job->is_loopback = http->last_is_loopback;
  return true;
}

static int choose(struct ql_http *http, struct ql_http_job *job, const struct ql_http_request *request,
                  struct ql_err *err) {
  struct ql_http_header_facts facts;
  struct ql_http_url url;
  char *ordinary = NULL;
  if (read_headers(request, &facts, err) != 0)
    return -1;
  bool is_ordinary = request->transport != QL_HTTP_CURL && split_url(http, job, request->url, &url);
  if (!is_ordinary) {
    if (read_url(job, request->url, &ordinary, err) != 0)
      return -1;
    is_ordinary = ordinary && ql_http_url_split(ordinary, &url);
  }
  const char *reason = why_not_plain(http, job, &facts, is_ordinary);
  int rc = 0;
  if (reason && request->transport == QL_HTTP_PLAIN) {
    rc = ql_fail(err, QL_E_USAGE, "url '%.200s': the plain transport cannot carry %s", request->url, reason);
  } else if (!reason && request->transport != QL_HTTP_CURL) {
    job->is_plain = true;
    ql_http_wire_write(job, request, &url, &facts);
  } else {
    char *ignored = NULL;
    if (!job->where)
      rc = read_url(job, request->url, &ignored, err);
    curl_free(ignored);
    list_headers(job, request, &facts);
    copy_strings(job);
  }
  curl_free(ordinary);
  return rc;
}

struct ql_http_job *ql_http_job_new(struct ql_http *http, const struct ql_http_request *request,
                                    struct ql_err *err) {
  if (check(request, err) != 0)
    return NULL;
  struct ql_http_job *job = ql_calloc(1, sizeof *job);
  job->request = *request;
  job->sink.fd = -1;
  job->sockets[0] = job->sockets[1] = CURL_SOCKET_BAD;
  if (!job->request.max_body_bytes)
    job->request.max_body_bytes = DEFAULT_MAX_BODY_BYTES;
  if (!job->request.max_event_bytes)
    job->request.max_event_bytes = DEFAULT_MAX_EVENT_BYTES;
  if (choose(http, job, request, err) != 0) {
    ql_http_job_free(job);
    return NULL;
  }
  job->reply = ql_calloc(1, sizeof *job->reply);
  job->reply->wants_events = request->sse;
  ql_buf_init(&job->reply->body, job->request.max_body_bytes);
  return job;
}

void ql_http_job_free(struct ql_http_job *job) {
  curl_slist_free_all(job->header_list);
  if (job->where != job->arena) // else it is the arena's first text
    free(job->where);
  free(job->wire.memory);
  free(job->arena);
  free(job->failure);
  free(job);
}
