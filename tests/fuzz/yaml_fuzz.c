// SPDX-License-Identifier: Apache-2.0
// Any bytes: a tree within its limits or an error that names the file, never a crash.
#include "yaml_tree.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ql_yaml doc;
  struct ql_err err = {0};
  int result = ql_yaml_parse(&doc, (const char *)data, size, "x.yaml", &err);
  if (result == 0 ? doc.root->weight > QL_YAML_MAX_NODES : strncmp(err.text, "x.yaml:", 7) != 0)
    abort();
  ql_yaml_free(&doc);
  return 0;
}
