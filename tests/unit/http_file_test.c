// SPDX-License-Identifier: Apache-2.0
// The HTTP client as a downloader: files, resuming, redirects, trailers.
#include "http_world.h"

#include <sys/stat.h>

#define PARTIAL "HTTP/1.1 206 Partial Content\r\n"

static const struct play_scene scenes[] = {
    {"/file", SCENE("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "01234", "@gate", "56789")},
    {"/rest", SCENE(PARTIAL "Content-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n456789")},
    {"/other_rest", SCENE(PARTIAL "Content-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n0123456789")},
    {"/whole", SCENE("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */4\r\nContent-Length: 3\r\n\r\nno!")},
    {"/shrunk range", SCENE("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */4\r\n"
                            "Content-Length: 3\r\n\r\nno!")},
    {"/shrunk", SCENE("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd")},
    {"/missing", SCENE("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone")},
    {"/empty", SCENE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
    {"/cut", SCENE("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012345", "@close")},
    {"/moved", SCENE("HTTP/1.1 302 Found\r\nLocation: /rest_of_all\r\nX-First: 1\r\nContent-Length: 4\r\n\r\nmove")},
    {"/rest_of_all", SCENE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")},
    {"/loop", SCENE("HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n")},
    {"/trailer", SCENE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\n"
                       "X-Sum: 5\r\n\r\n")},
    {NULL, NULL},
};

struct place {
  char folder[32], path[64];
};

static void place_open(struct place *place, const char *content) {
  snprintf(place->folder, sizeof place->folder, "/tmp/qlua_http_XXXXXX");
  CHECK(mkdtemp(place->folder) != NULL);
  snprintf(place->path, sizeof place->path, "%s/file", place->folder);
  if (!content)
    return;
  FILE *file = fopen(place->path, "wb");
  CHECK(file != NULL);
  if (!file)
    return;
  fputs(content, file);
  fclose(file);
}

static void place_close(struct place *place) {
  unlink(place->path);
  rmdir(place->folder);
}

static const char *content_of(const struct place *place) {
  static char text[64];
  FILE *file = fopen(place->path, "rb");
  if (!file)
    return "(none)";
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  return text;
}

static void a_body_goes_to_a_file_and_can_be_watched(void) {
  struct world world;
  struct place place;
  struct answer answer = {0};
  world_open(&world, scenes, 1);
  place_open(&place, "what was there before is longer");
  struct ql_http_request request = {.url = url_of(&world, "/file"), .sink_path = place.path};
  send_request(&world, &request, &answer);
  UNTIL(&world, stats_of(&world).file_bytes == 5);
  CHECK_INT(stats_of(&world).file_total_bytes, 10);
  CHECK_STR(content_of(&place), "01234");
  atomic_store(&world.play.gate, 1);
  UNTIL(&world, answer.count == 1);
  CHECK(answer.reply->error == NULL);
  CHECK_INT(answer.reply->sink_bytes, 10);
  CHECK_INT(answer.reply->body.len, 0);
  CHECK_STR(content_of(&place), "0123456789");
  ql_http_reply_free(answer.reply);
  world_close(&world);
  place_close(&place);
}

// Runs one download over a file of given content and says what the file is then.
static void download(const char *path, const char *before, uint64_t resume_from, int status, const char *after,
                     const char *error, const char *range) {
  struct world world;
  struct place place;
  world_open(&world, scenes, 1);
  place_open(&place, before);
  atomic_store(&world.play.gate, 1);
  struct ql_http_request request = {
      .url = url_of(&world, path), .sink_path = place.path, .resume_from = resume_from};
  struct ql_http_reply *reply = ask_with(&world, &request);
  CHECK_INT(reply->status, status);
  CHECK_STR(content_of(&place), after);
  if (error)
    CHECK_ERROR(reply, reply->error ? reply->error->kind : QL_E_NONE, error);
  else
    CHECK(reply->error == NULL);
  if (range)
    CHECK(strstr(world.play.last_request, range) != NULL);
  else
    CHECK(strstr(world.play.last_request, "\r\nRange:") == NULL);
  if (!error && status != 404)
    CHECK_INT(reply->sink_bytes, strlen(after));
  if (status == 404)
    CHECK_STR(body_of(reply), "gone");
  ql_http_reply_free(reply);
  world_close(&world);
  place_close(&place);
}

static void a_download_resumes(void) {
  download("/rest", "0123", 4, 206, "0123456789", NULL, "\r\nRange: bytes=4-\r\n");
  download("/rest", "0123xx", 4, 206, "0123456789", NULL, "\r\nRange: bytes=4-\r\n");
}

static void a_server_that_sends_all_is_written_from_the_start(void) {
  download("/file", "0123", 4, 200, "0123456789", NULL, "\r\nRange: bytes=4-\r\n");
  download("/file", "x234567890123456", 16, 200, "0123456789", NULL, "\r\nRange: bytes=16-\r\n");
}

static void a_wrong_part_is_refused(void) {
  download("/other_rest", "0123", 4, 206, "0123", "asked for bytes from 4, got other ones", "Range");
  download("/rest", "012", 4, 206, "012", "want at least 4 bytes to resume from, got 3", "Range");
}

static void a_file_that_is_whole_stays(void) {
  download("/whole", "0123", 4, 416, "0123", NULL, "\r\nRange: bytes=4-\r\n");
}

static void a_file_that_is_too_long_is_asked_for_anew(void) {
  download("/shrunk", "0123456", 7, 200, "abcd", NULL, NULL);
}

static void a_refusal_leaves_the_file_alone(void) { download("/missing", "0123", 0, 404, "0123", NULL, NULL); }
static void an_empty_body_makes_an_empty_file(void) { download("/empty", "0123", 0, 200, "", NULL, NULL); }
static void a_cut_download_keeps_what_came(void) {
  download("/cut", NULL, 0, 200, "012345", "the body ended early", NULL);
}

static void a_folder_that_is_not_there_is_an_error(void) {
  struct world world;
  world_open(&world, scenes, 1);
  atomic_store(&world.play.gate, 1);
  struct ql_http_request request = {.url = url_of(&world, "/file"), .sink_path = "/nonexistent/file"};
  struct ql_http_reply *reply = ask_with(&world, &request);
  CHECK_ERROR(reply, QL_E_IO, "/nonexistent/file: cannot open: ");
  ql_http_reply_free(reply);
  world_close(&world);
}

static void a_full_disk_is_an_error(void) {
  struct world world;
  world_open(&world, scenes, 1);
  atomic_store(&world.play.gate, 1);
  struct ql_http_request request = {.url = url_of(&world, "/file"), .sink_path = "/dev/full"};
  struct ql_http_reply *reply = ask_with(&world, &request);
  CHECK_ERROR(reply, QL_E_IO, "/dev/full: cannot write: No space left");
  ql_http_reply_free(reply);
  world_close(&world);
}

static void redirects_are_followed_when_asked(void) {
  struct world world;
  world_open(&world, scenes, 1);
  struct ql_http_reply *reply = ask(&world, "/moved");
  CHECK_INT(reply->status, 302);
  CHECK_STR(ql_http_reply_header(reply, "location"), "/rest_of_all");
  CHECK_STR(body_of(reply), "move");
  ql_http_reply_free(reply);
  struct ql_http_request request = {.url = url_of(&world, "/moved"), .max_redirects = 3};
  reply = ask_with(&world, &request);
  CHECK_INT(reply->status, 200);
  CHECK_STR(body_of(reply), "ok");
  CHECK(ql_http_reply_header(reply, "x-first") == NULL);
  ql_http_reply_free(reply);
  request.url = url_of(&world, "/loop");
  reply = ask_with(&world, &request);
  CHECK_ERROR(reply, QL_E_LIMIT, "want at most 3 redirects");
  ql_http_reply_free(reply);
  world_close(&world);
}

static void a_trailer_is_a_header(void) {
  struct world world;
  world_open(&world, scenes, 1);
  struct ql_http_reply *reply = ask(&world, "/trailer");
  CHECK(reply->error == NULL);
  CHECK_STR(body_of(reply), "ok");
  CHECK_STR(ql_http_reply_header(reply, "x-sum"), "5");
  ql_http_reply_free(reply);
  world_close(&world);
}

RUN_BOTH(a_body_goes_to_a_file_and_can_be_watched, a_download_resumes, a_server_that_sends_all_is_written_from_the_start,
    a_wrong_part_is_refused, a_file_that_is_whole_stays, a_file_that_is_too_long_is_asked_for_anew,
    a_refusal_leaves_the_file_alone, an_empty_body_makes_an_empty_file, a_cut_download_keeps_what_came,
    a_folder_that_is_not_there_is_an_error, a_full_disk_is_an_error, redirects_are_followed_when_asked,
    a_trailer_is_a_header)
