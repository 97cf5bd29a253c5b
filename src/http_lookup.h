// SPDX-License-Identifier: Apache-2.0
// http_lookup: one name on its way to addresses, by getaddrinfo on a thread of its own, which answers by the inbox.
#ifndef QL_HTTP_LOOKUP_H
#define QL_HTTP_LOOKUP_H

#include "http_internal.h"

#include <netdb.h>

struct ql_http_lookup;

// NULL when no thread could be started. `peer` is the asker's and is not touched.
struct ql_http_lookup *ql_http_lookup_start(struct ql_http_io *io, struct ql_http_peer *peer, const char *host,
                                            const char *port);
struct ql_http_peer *ql_http_lookup_peer(const struct ql_http_lookup *lookup);
// After QL_HTTP_NAME_FOUND: the addresses, or NULL with the reason.
const struct addrinfo *ql_http_lookup_found(const struct ql_http_lookup *lookup, const char **reason);
void ql_http_lookup_end(struct ql_http_lookup *lookup); // at any time: nothing comes any more

#endif
