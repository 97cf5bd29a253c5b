// SPDX-License-Identifier: Apache-2.0
// yaml_tree: one YAML document as a tree in which every node knows its line and column.
//
// For configuration files: scalars are resolved by the YAML 1.2 core schema (so `no` and `off` are text),
// a key given twice is an error, aliases and the merge key `<<` work. Trees that aliases blow up are
// refused by the number of nodes they stand for. Reads memory only; never a file. Not called yaml.h: that
// is libyaml's own header.
#ifndef QL_YAML_TREE_H
#define QL_YAML_TREE_H

#include "base.h"

#define QL_YAML_MAX_NODES 100000u // as written out, aliases included
#define QL_YAML_MAX_DEPTH 64u

enum ql_yaml_kind { QL_YAML_SCALAR, QL_YAML_LIST, QL_YAML_MAP };
enum ql_yaml_type { QL_YAML_NULL, QL_YAML_BOOLEAN, QL_YAML_INTEGER, QL_YAML_FLOAT, QL_YAML_TEXT };

struct ql_yaml_entry {
  const struct ql_yaml_node *key; // always a scalar; its text is the key
  const struct ql_yaml_node *node;
};

struct ql_yaml_node {
  enum ql_yaml_kind kind;
  unsigned line, column; // from 1, in characters; of an alias: where the anchor is
  // scalars
  enum ql_yaml_type type;
  char *text; // as written, without quotes and escapes
  size_t len;
  bool boolean;
  int64_t integer;
  double real;
  // lists and maps
  size_t count;
  const struct ql_yaml_node **items; // count of them, or
  struct ql_yaml_entry *entries;     // count of them, in the file's order, merged ones last
  // what the tree below is worth when every alias is written out
  size_t weight, height;
  struct ql_yaml_node *older; // the document's list of all its nodes
};

struct ql_yaml {
  const struct ql_yaml_node *root; // an empty document is one null scalar
  struct ql_yaml_node *nodes;
};

// Errors are of kind config and begin with `file_name:line:column: `. The document is freed in any case
// by ql_yaml_free, also after an error.
int ql_yaml_parse(struct ql_yaml *doc, const char *text, size_t len, const char *file_name, struct ql_err *err);
void ql_yaml_free(struct ql_yaml *doc);

#endif
