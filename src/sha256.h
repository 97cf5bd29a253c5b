// SPDX-License-Identifier: Apache-2.0
// sha256: FIPS 180-4 SHA-256, fed in pieces.
//
// Pure: no I/O, no allocation, no failure. It names data files, prompts, requests and scripts, so its
// results must be the ones sha256sum prints. Not hardened against timing: nothing secret is hashed here.
#ifndef QL_SHA256_H
#define QL_SHA256_H

#include "base.h"

#define QL_SHA256_BYTES 32
#define QL_SHA256_HEX 65 // 64 digits and the NUL

struct ql_sha256 {
  uint32_t state[8];
  uint64_t total_bytes;
  uint8_t block[64];
};

void ql_sha256_init(struct ql_sha256 *hash);
void ql_sha256_feed(struct ql_sha256 *hash, const void *bytes, size_t len);
void ql_sha256_end(struct ql_sha256 *hash, uint8_t digest[QL_SHA256_BYTES]); // init before the next use
void ql_sha256_end_hex(struct ql_sha256 *hash, char hex[QL_SHA256_HEX]);
void ql_sha256_hex(const void *bytes, size_t len, char hex[QL_SHA256_HEX]);

#endif
