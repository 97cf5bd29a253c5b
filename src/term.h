// SPDX-License-Identifier: Apache-2.0
// term: what a program has to know of a terminal: whether there is one, how wide, and writing to it.
//
// Owns nothing; touches file descriptors it is given. Writing waits for a slow reader (a terminal held
// with Ctrl-S, a full pipe), since half a table is worse than a late one. What is drawn, and when, is
// decided in Lua (progress, page).
#ifndef QL_TERM_H
#define QL_TERM_H

#include "base.h"

bool ql_term_is_tty(int fd);
int ql_term_width(int fd); // columns, 0 when fd is no terminal or the terminal does not say
// All bytes or an error; goes on after signals and when fd is non-blocking.
int ql_term_write(int fd, const char *bytes, size_t len, struct ql_err *err);

#endif
