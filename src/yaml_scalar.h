// SPDX-License-Identifier: Apache-2.0
// yaml_scalar: what a YAML scalar means. Pure: the core schema of YAML 1.2.2, section 10.3.2.
#ifndef QL_YAML_SCALAR_H
#define QL_YAML_SCALAR_H

#include "yaml_tree.h"

// Sets type and value of a scalar whose text is there. tag is the one written, or NULL; an unquoted scalar
// without a tag is resolved by its looks. -1 fills what with a sentence.
int ql_yaml_resolve(struct ql_yaml_node *node, const char *tag, bool is_plain, char *what, size_t size);

#endif
