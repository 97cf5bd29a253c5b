// SPDX-License-Identifier: Apache-2.0
// http_options: what curl is told about a request, and what its answer codes mean.
//
// Both ends of one dictionary: options in, errors out. Everything that libcurl calls by a number stays
// in this file, so that another transport behind http.h has nothing of it to imitate.

#include "http_internal.h"

#include <ctype.h>
#include <string.h>

#define STREAM_BUFFER_BYTES (16L * 1024) // per transfer, so ten thousand streams must be affordable
#define BODY_BUFFER_BYTES (64L * 1024)
#define SINK_BUFFER_BYTES (256L * 1024)

static void set_method(CURL *easy, const struct ql_http_request *request) {
  const char *method = request->method ? request->method : request->body ? "POST" : "GET";
  if (strcmp(method, "HEAD") == 0) {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    return;
  }
  if (request->body || strcmp(method, "POST") == 0) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : "");
  }
  if (strcmp(method, "GET") != 0 || request->body)
    if (strcmp(method, "POST") != 0)
      curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_trust(CURL *easy, const struct ql_http_request *request) {
  if (request->insecure) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (request->ca_file) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); // in place of the system's, not beside it
  }
  if (request->pin)
    curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, request->pin);
}

void ql_http_options_set(const struct ql_http *http, struct ql_http_job *job) {
  const struct ql_http_request *request = &job->request;
  CURL *easy = job->slot->easy;
  curl_easy_setopt(easy, CURLOPT_URL, request->url);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, job->header_list);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, job);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, job->slot->error_text);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 24L * 3600 * 1000); // curl's own is 300 s; ours are in the job
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
                   request->sink_path ? SINK_BUFFER_BYTES : request->sse ? STREAM_BUFFER_BYTES : BODY_BUFFER_BYTES);
  set_method(easy, request);
  if (strncmp(request->url, "https", 5) == 0 || request->max_redirects)
    set_trust(easy, request);
  if (request->unix_socket)
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
  curl_easy_setopt(easy, CURLOPT_NOPROXY, request->unix_socket || job->is_loopback ? "*" : http->no_proxy);
  if (http->proxy && strncmp(request->url, "http:", 5) == 0)
    curl_easy_setopt(easy, CURLOPT_PROXY, http->proxy);
  if (request->fresh_connection)
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
  if (request->max_redirects) {
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)request->max_redirects);
  }
  if (request->sink_path && request->resume_from) {
    char range[32];
    snprintf(range, sizeof range, "%llu-", (unsigned long long)request->resume_from);
    curl_easy_setopt(easy, CURLOPT_RANGE, range);
  }
}

// ---- errors -------------------------------------------------------------------------------------------

// Somebody else's words, begun in lower case and without the full stop.
void ql_http_quote(char *out, size_t size, const char *text) {
  snprintf(out, size, "%s", text);
  size_t len = strlen(out);
  while (len && (out[len - 1] == '\n' || out[len - 1] == '.'))
    out[--len] = '\0';
  if (isupper((unsigned char)out[0]) && islower((unsigned char)out[1]))
    out[0] = (char)tolower((unsigned char)out[0]);
}

static void say_cut(struct ql_err *err, const struct ql_http_job *job) {
  curl_off_t want = -1;
  curl_easy_getinfo(job->slot->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &want);
  uint64_t got = job->is_sinking ? job->sink.at : job->reply->body.len;
  if (!job->has_all_headers && job->reply->marks.last_byte_ns)
    ql_fail(err, QL_E_PROTOCOL, "%s: the answer ended inside its headers", job->where);
  else if (!job->has_all_headers)
    ql_fail(err, QL_E_PROTOCOL, "%s: the server closed the connection without an answer", job->where);
  else if (want > 0 && !job->is_sinking)
    ql_fail(err, QL_E_PROTOCOL, "%s: the body ended early: want %lld bytes, got %llu", job->where, (long long)want,
            (unsigned long long)got);
  else
    ql_fail(err, QL_E_PROTOCOL, "%s: the body ended early, after %llu bytes", job->where, (unsigned long long)got);
}

static void say_os(struct ql_err *err, const struct ql_http_job *job, enum ql_kind kind, const char *what) {
  long os_error = 0;
  char reason[128];
  curl_easy_getinfo(job->slot->easy, CURLINFO_OS_ERRNO, &os_error);
  const char *text = job->slot->error_text[0] ? job->slot->error_text : "no reason given";
  ql_http_quote(reason, sizeof reason, os_error ? strerror((int)os_error) : text);
  ql_fail(err, kind, "%s: %s: %s", job->where, what, reason);
}

static void say_tls(struct ql_err *err, const struct ql_http_job *job) {
  char reason[CURL_ERROR_SIZE];
  ql_http_quote(reason, sizeof reason, job->slot->error_text);
  ql_fail(err, QL_E_CONNECT, "%s: no tls connection: %s", job->where, reason);
  ql_hint(err, "name the authority that signed the server's certificate in ca_file");
}

struct ql_err *ql_http_error_of(const struct ql_http_job *job, CURLcode code) {
  struct ql_err *err = ql_calloc(1, sizeof *err);
  char words[CURL_ERROR_SIZE];
  ql_http_quote(words, sizeof words, job->slot->error_text[0] ? job->slot->error_text : curl_easy_strerror(code));
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
    ql_fail(err, QL_E_CONNECT, "%s: no such host: %s", job->where, words);
    break;
  case CURLE_COULDNT_CONNECT:
    say_os(err, job, QL_E_CONNECT, "no connection");
    break;
  case CURLE_PROXY:
  case CURLE_INTERFACE_FAILED:
    ql_fail(err, QL_E_CONNECT, "%s: no connection: %s", job->where, words);
    break;
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_SSL_ISSUER_ERROR:
    say_tls(err, job);
    break;
  case CURLE_OPERATION_TIMEDOUT: // only curl's own for a connection: the job's limits are set by us
    ql_fail(err, QL_E_TIMEOUT, "%s: %s", job->where, words);
    break;
  case CURLE_GOT_NOTHING:
  case CURLE_PARTIAL_FILE:
    say_cut(err, job);
    break;
  case CURLE_RECV_ERROR:
    say_os(err, job, QL_E_PROTOCOL, "the connection broke while receiving");
    break;
  case CURLE_SEND_ERROR:
    say_os(err, job, QL_E_PROTOCOL, "the connection broke while sending");
    break;
  case CURLE_UNSUPPORTED_PROTOCOL: // the url's scheme has been checked: it is the answer
  case CURLE_WEIRD_SERVER_REPLY:
    ql_fail(err, QL_E_PROTOCOL, "%s: want an http/1 answer, got something else: %s", job->where, words);
    break;
  case CURLE_OUT_OF_MEMORY: // memory itself never fails here: curl says this of a header line over 100 KB
    ql_fail(err, QL_E_LIMIT, "%s: a header line is too long", job->where);
    break;
  case CURLE_TOO_MANY_REDIRECTS:
    ql_fail(err, QL_E_LIMIT, "%s: want at most %u redirects, got more", job->where,
            (unsigned)job->request.max_redirects);
    break;
  default:
    ql_fail(err, QL_E_PROTOCOL, "%s: %s", job->where, words);
  }
  return err;
}
