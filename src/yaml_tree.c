// SPDX-License-Identifier: Apache-2.0
// yaml_tree: see yaml_tree.h. Owns the libyaml parser for the length of one call and the nodes it makes.
//
// A tree is built from libyaml's events, not from its document loader, which knows neither duplicate keys
// nor limits. An alias shares the anchor's node; `weight` is what the tree would be if it were copied, so
// that whoever walks the result is protected too. The recursion is as deep as QL_YAML_MAX_DEPTH allows.

#include "yaml_tree.h"

#include "yaml_scalar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct anchor {
  char *name;
  struct ql_yaml_node *node; // NULL while the node is being built: an alias inside it would be a circle
};

struct build {
  yaml_parser_t parser;
  struct ql_yaml *doc;
  const char *file_name;
  const char *text;
  size_t len;
  struct anchor *anchors;
  size_t anchor_count;
  struct ql_err *err;
};

// ---- errors -------------------------------------------------------------------------------------------

static int fail_at(struct build *b, size_t line, size_t column, const char *what) {
  return ql_fail(b->err, QL_E_CONFIG, "%s:%zu:%zu: %s", b->file_name, line, column, what);
}

static int fail_mark(struct build *b, yaml_mark_t mark, const char *what) {
  return fail_at(b, mark.line + 1, mark.column + 1, what);
}

static bool is_tab_at(const struct build *b, yaml_mark_t mark) {
  const char *at = b->text, *end = b->text + b->len;
  for (size_t line = 0; line < mark.line && at; line++) {
    at = memchr(at, '\n', (size_t)(end - at));
    at = at ? at + 1 : NULL;
  }
  for (size_t column = 0; at && at < end && column <= mark.column && *at != '\n'; column++, at++)
    if (*at == '\t')
      return true;
  return false;
}

// libyaml knows only the byte offset of bytes it could not decode.
static int fail_reader(struct build *b) {
  size_t offset = b->parser.problem_offset < b->len ? b->parser.problem_offset : b->len;
  size_t line = 1, column = 1;
  for (size_t i = 0; i < offset; i++) {
    bool is_continuation = ((unsigned char)b->text[i] & 0xc0) == 0x80;
    column = b->text[i] == '\n' ? 1 : column + !is_continuation;
    line += b->text[i] == '\n';
  }
  char what[160];
  const char *problem = b->parser.problem ? b->parser.problem : "unreadable";
  if (b->parser.problem_value >= 0)
    snprintf(what, sizeof what, "%s (0x%02X)", problem, (unsigned)b->parser.problem_value);
  else
    snprintf(what, sizeof what, "%s", problem);
  if (strstr(problem, "UTF-8"))
    snprintf(what, sizeof what, "invalid UTF-8 (byte 0x%02X)", (unsigned)(unsigned char)b->text[offset]);
  fail_at(b, line, column, what);
  return ql_hint(b->err, "save the file as UTF-8");
}

static int fail_parser(struct build *b) {
  const yaml_parser_t *p = &b->parser;
  if (p->error == YAML_READER_ERROR)
    return fail_reader(b);
  if (p->error == YAML_MEMORY_ERROR)
    return ql_fail(b->err, QL_E_CONFIG, "%s: out of memory", b->file_name);
  char what[256];
  const char *problem = p->problem ? p->problem : "cannot be read";
  if (p->context && p->context_mark.line != p->problem_mark.line)
    snprintf(what, sizeof what, "%s (%s that began on line %zu)", problem, p->context, p->context_mark.line + 1);
  else if (p->context)
    snprintf(what, sizeof what, "%s (%s)", problem, p->context);
  else
    snprintf(what, sizeof what, "%s", problem);
  fail_mark(b, p->problem_mark, what);
  return is_tab_at(b, p->problem_mark) ? ql_hint(b->err, "indent with spaces: YAML takes no tabs") : -1;
}

static int next_event(struct build *b, yaml_event_t *event) {
  return yaml_parser_parse(&b->parser, event) ? 0 : fail_parser(b);
}

// ---- nodes --------------------------------------------------------------------------------------------

static struct ql_yaml_node *new_node(struct build *b, enum ql_yaml_kind kind, yaml_mark_t mark) {
  struct ql_yaml_node *node = ql_calloc(1, sizeof *node);
  node->kind = kind;
  node->line = (unsigned)mark.line + 1;
  node->column = (unsigned)mark.column + 1;
  node->weight = node->height = 1;
  node->older = b->doc->nodes;
  b->doc->nodes = node;
  return node;
}

// Counts a child into its parent; an error once the whole would be too much.
static int weigh(struct build *b, struct ql_yaml_node *parent, const struct ql_yaml_node *child, yaml_mark_t mark) {
  parent->weight += child->weight;
  if (child->height + 1 > parent->height)
    parent->height = child->height + 1;
  if (parent->weight > QL_YAML_MAX_NODES)
    return fail_mark(b, mark, "too many values, with aliases written out (limit 100000)");
  return parent->height > QL_YAML_MAX_DEPTH ? fail_mark(b, mark, "nested too deeply (limit 64)") : 0;
}

static size_t remember_anchor(struct build *b, const yaml_char_t *name) {
  if (!name)
    return SIZE_MAX;
  b->anchors = ql_realloc(b->anchors, (b->anchor_count + 1) * sizeof *b->anchors);
  b->anchors[b->anchor_count] = (struct anchor){.name = ql_strdup((const char *)name)};
  return b->anchor_count++;
}

static int find_anchor(struct build *b, const yaml_event_t *event, struct ql_yaml_node **node) {
  const char *name = (const char *)event->data.alias.anchor;
  char what[160];
  for (size_t i = b->anchor_count; i-- > 0;)
    if (strcmp(b->anchors[i].name, name) == 0) {
      *node = b->anchors[i].node;
      snprintf(what, sizeof what, "alias *%.100s stands inside its own anchor", name);
      return *node ? 0 : fail_mark(b, event->start_mark, what);
    }
  snprintf(what, sizeof what, "alias *%.100s: there is no anchor &%.20s before it", name, name);
  return fail_mark(b, event->start_mark, what);
}

static int build_scalar(struct build *b, const yaml_event_t *event, struct ql_yaml_node **out) {
  struct ql_yaml_node *node = new_node(b, QL_YAML_SCALAR, event->start_mark);
  *out = node;
  node->text = ql_strndup((const char *)event->data.scalar.value, event->data.scalar.length);
  node->len = event->data.scalar.length;
  const char *tag = (const char *)event->data.scalar.tag;
  bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && event->data.scalar.plain_implicit;
  char what[160];
  if (ql_yaml_resolve(node, tag, is_plain, what, sizeof what) != 0)
    return fail_mark(b, event->start_mark, what);
  return 0;
}

static int build_node(struct build *b, yaml_event_t *event, size_t depth, struct ql_yaml_node **out);

static int build_list(struct build *b, yaml_event_t *event, size_t depth, struct ql_yaml_node *list) {
  for (;;) {
    if (next_event(b, event) != 0)
      return -1;
    yaml_mark_t mark = event->start_mark;
    if (event->type == YAML_SEQUENCE_END_EVENT)
      return 0;
    struct ql_yaml_node *item;
    if (build_node(b, event, depth, &item) != 0 || weigh(b, list, item, mark) != 0)
      return -1;
    list->items = ql_realloc(list->items, (list->count + 1) * sizeof(struct ql_yaml_node *));
    list->items[list->count++] = item;
  }
}

// ---- maps ---------------------------------------------------------------------------------------------

static const struct ql_yaml_entry *find_entry(const struct ql_yaml_node *map, const struct ql_yaml_node *key) {
  for (size_t i = 0; i < map->count; i++) {
    const struct ql_yaml_node *other = map->entries[i].key;
    if (other->len == key->len && memcmp(other->text, key->text, key->len) == 0)
      return &map->entries[i];
  }
  return NULL;
}

static void add_entry(struct ql_yaml_node *map, const struct ql_yaml_node *key, const struct ql_yaml_node *node) {
  map->entries = ql_realloc(map->entries, (map->count + 1) * sizeof *map->entries);
  map->entries[map->count++] = (struct ql_yaml_entry){.key = key, .node = node};
}

// Keys of the merged map that the map has not, neither of its own nor by an earlier merge.
static int merge_map(struct build *b, struct ql_yaml_node *map, const struct ql_yaml_node *from, yaml_mark_t mark) {
  if (from->kind != QL_YAML_MAP)
    return fail_mark(b, mark, "the merge key << wants a map or a list of maps");
  for (size_t i = 0; i < from->count; i++) {
    const struct ql_yaml_entry *entry = &from->entries[i];
    if (find_entry(map, entry->key))
      continue;
    if (weigh(b, map, entry->node, mark) != 0)
      return -1;
    add_entry(map, entry->key, entry->node);
  }
  return 0;
}

static int merge(struct build *b, struct ql_yaml_node *map, const struct ql_yaml_node *from, yaml_mark_t mark) {
  if (from->kind != QL_YAML_LIST)
    return merge_map(b, map, from, mark);
  for (size_t i = 0; i < from->count; i++)
    if (merge_map(b, map, from->items[i], mark) != 0)
      return -1;
  return 0;
}

static int check_key(struct build *b, const struct ql_yaml_node *map, const struct ql_yaml_node *key,
                     yaml_mark_t mark) {
  if (key->kind != QL_YAML_SCALAR)
    return fail_mark(b, mark, "a key must be a plain value, not a list or a map");
  const struct ql_yaml_entry *first = find_entry(map, key);
  if (!first)
    return 0;
  char what[256];
  snprintf(what, sizeof what, "key '%.120s' is given twice (first on line %u, column %u)", key->text,
           first->key->line, first->key->column);
  return fail_mark(b, mark, what);
}

static int build_map(struct build *b, yaml_event_t *event, size_t depth, struct ql_yaml_node *map) {
  const struct ql_yaml_node *merged = NULL;
  yaml_mark_t merge_mark = {0};
  for (;;) {
    if (next_event(b, event) != 0)
      return -1;
    yaml_mark_t mark = event->start_mark;
    if (event->type == YAML_MAPPING_END_EVENT)
      break;
    bool is_merge = event->type == YAML_SCALAR_EVENT && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                    strcmp((const char *)event->data.scalar.value, "<<") == 0;
    struct ql_yaml_node *key, *value;
    if (build_node(b, event, depth, &key) != 0 || check_key(b, map, key, mark) != 0 || next_event(b, event) != 0 ||
        build_node(b, event, depth, &value) != 0)
      return -1;
    if (is_merge && merged)
      return fail_mark(b, mark, "key '<<' is given twice");
    if (is_merge) {
      merged = value;
      merge_mark = mark;
    } else {
      if (weigh(b, map, value, mark) != 0)
        return -1;
      add_entry(map, key, value);
    }
  }
  // Last, so that the map's own keys win wherever the merge key stands.
  return merged ? merge(b, map, merged, merge_mark) : 0;
}

// Takes the event that begins the node and frees it.
static int build_node(struct build *b, yaml_event_t *event, size_t depth, struct ql_yaml_node **out) {
  yaml_mark_t mark = event->start_mark;
  int result = -1;
  *out = NULL;
  if (depth >= QL_YAML_MAX_DEPTH)
    fail_mark(b, mark, "nested too deeply (limit 64)");
  else if (event->type == YAML_ALIAS_EVENT)
    result = find_anchor(b, event, out);
  else if (event->type == YAML_SCALAR_EVENT) {
    size_t anchor = remember_anchor(b, event->data.scalar.anchor);
    result = build_scalar(b, event, out);
    if (anchor != SIZE_MAX)
      b->anchors[anchor].node = *out;
  } else {
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *name = is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    size_t anchor = remember_anchor(b, name);
    yaml_event_delete(event);
    struct ql_yaml_node *node = new_node(b, is_map ? QL_YAML_MAP : QL_YAML_LIST, mark);
    *out = node;
    result = is_map ? build_map(b, event, depth + 1, node) : build_list(b, event, depth + 1, node);
    if (result == 0 && anchor != SIZE_MAX)
      b->anchors[anchor].node = node;
  }
  yaml_event_delete(event);
  return result;
}

// ---- the document -------------------------------------------------------------------------------------

static int build_document(struct build *b) {
  yaml_event_t event;
  struct ql_yaml_node *root = NULL;
  for (;;) {
    if (next_event(b, &event) != 0)
      return -1;
    yaml_event_type_t type = event.type;
    yaml_mark_t mark = event.start_mark;
    if (type == YAML_STREAM_END_EVENT) {
      yaml_event_delete(&event);
      break;
    }
    if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT || type == YAML_DOCUMENT_END_EVENT) {
      yaml_event_delete(&event);
      if (type == YAML_DOCUMENT_START_EVENT && root)
        return fail_mark(b, mark, "a second document begins here, want only one");
      continue;
    }
    if (build_node(b, &event, 0, &root) != 0)
      return -1;
  }
  if (!root) {
    root = new_node(b, QL_YAML_SCALAR, (yaml_mark_t){0});
    root->text = ql_strdup("");
  }
  b->doc->root = root;
  return 0;
}

int ql_yaml_parse(struct ql_yaml *doc, const char *text, size_t len, const char *file_name, struct ql_err *err) {
  *doc = (struct ql_yaml){0};
  struct build b = {.doc = doc, .file_name = file_name, .text = text, .len = len, .err = err};
  if (!yaml_parser_initialize(&b.parser))
    return ql_fail(err, QL_E_CONFIG, "%s: out of memory", file_name);
  yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
  int result = build_document(&b);
  yaml_parser_delete(&b.parser);
  for (size_t i = 0; i < b.anchor_count; i++)
    free(b.anchors[i].name);
  free(b.anchors);
  return result;
}

void ql_yaml_free(struct ql_yaml *doc) {
  while (doc->nodes) {
    struct ql_yaml_node *node = doc->nodes;
    doc->nodes = node->older;
    free(node->text);
    free(node->items);
    free(node->entries);
    free(node);
  }
  doc->root = NULL;
}
