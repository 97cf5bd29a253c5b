// SPDX-License-Identifier: Apache-2.0
// sha256: vectors of FIPS 180-4 / NIST CAVP, and every way of cutting a message into two pieces.
#include "check.h"
#include "sha256.h"
#include "sha256_inner.h"

#include <stdlib.h>

static void known_vectors(void) {
  char hex[QL_SHA256_HEX];
  ql_sha256_hex("", 0, hex);
  CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  ql_sha256_hex("abc", 3, hex);
  CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  ql_sha256_hex(two_blocks, strlen(two_blocks), hex);
  CHECK_STR(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const char *long_block = "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrs"
                           "mnopqrstnopqrstu";
  ql_sha256_hex(long_block, strlen(long_block), hex);
  CHECK_STR(hex, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

static void a_million_letters(void) {
  struct ql_sha256 hash;
  char hex[QL_SHA256_HEX], letters[1000];
  memset(letters, 'a', sizeof letters);
  ql_sha256_init(&hash);
  for (int i = 0; i < 1000; i++)
    ql_sha256_feed(&hash, letters, sizeof letters);
  ql_sha256_end_hex(&hash, hex);
  CHECK_STR(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// Lengths around the block and padding borders, cut at every place: the same digest as in one piece.
static void pieces_equal_the_whole(void) {
  unsigned char text[200];
  for (size_t i = 0; i < sizeof text; i++)
    text[i] = (unsigned char)(i * 7 + 3);
  size_t equal = 0;
  for (size_t len = 0; len <= sizeof text; len++) {
    char whole[QL_SHA256_HEX], hex[QL_SHA256_HEX];
    ql_sha256_hex(text, len, whole);
    for (size_t cut = 0; cut <= len; cut++) {
      struct ql_sha256 hash;
      ql_sha256_init(&hash);
      ql_sha256_feed(&hash, text, cut);
      ql_sha256_feed(&hash, text + cut, len - cut);
      ql_sha256_end_hex(&hash, hex);
      if (strcmp(hex, whole) != 0) {
        CHECK_STR(hex, whole);
        return;
      }
      equal++;
    }
  }
  CHECK_INT(equal, (sizeof text + 1) * (sizeof text + 2) / 2); // every cut of every length
}

// The vectors above test the form that this processor uses; both must leave the same state.
static void both_forms_agree(void) {
  if (!ql_sha256_has_x86()) {
    puts("skipped: this processor has no SHA instructions");
    return;
  }
  uint32_t plain[8] = {1, 2, 3, 4, 0xffffffff, 6, 7, 8}, fast[8];
  memcpy(fast, plain, sizeof fast);
  uint8_t blocks[64 * 37];
  for (size_t i = 0; i < sizeof blocks; i++)
    blocks[i] = (uint8_t)(i * i >> 3 ^ i);
  ql_sha256_compress_plain(plain, blocks, 37);
  ql_sha256_compress_x86(fast, blocks, 37);
  CHECK(memcmp(plain, fast, sizeof fast) == 0);
}

RUN(known_vectors, a_million_letters, pieces_equal_the_whole, both_forms_agree)
