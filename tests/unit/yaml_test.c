// SPDX-License-Identifier: Apache-2.0
#include "check.h"
#include "yaml_tree.h"

#include <math.h>
#include <stdlib.h>

static struct ql_yaml doc;
static struct ql_err err;

static const struct ql_yaml_node *parse(const char *text) {
  ql_yaml_free(&doc);
  err = (struct ql_err){0};
  int result = ql_yaml_parse(&doc, text, strlen(text), "x.yaml", &err);
  CHECK_INT(result, *err.text ? -1 : 0);
  return result == 0 ? doc.root : NULL;
}

static const struct ql_yaml_node *at(const struct ql_yaml_node *map, const char *key) {
  for (size_t i = 0; map && i < map->count; i++)
    if (strcmp(map->entries[i].key->text, key) == 0)
      return map->entries[i].node;
  return NULL;
}

static void fails(const char *text, const char *want) {
  CHECK(parse(text) == NULL);
  CHECK_INT(err.kind, QL_E_CONFIG);
  CHECK_STR(err.text, want);
}

static void scalars_follow_the_core_schema(void) {
  static const struct {
    const char *text;
    enum ql_yaml_type type;
  } cases[] = {
      {"null", QL_YAML_NULL},      {"~", QL_YAML_NULL},         {"", QL_YAML_NULL},        {"Null", QL_YAML_NULL},
      {"nUll", QL_YAML_TEXT},      {"true", QL_YAML_BOOLEAN},   {"FALSE", QL_YAML_BOOLEAN}, {"yes", QL_YAML_TEXT},
      {"off", QL_YAML_TEXT},       {"0", QL_YAML_INTEGER},      {"-17", QL_YAML_INTEGER},  {"+8", QL_YAML_INTEGER},
      {"007", QL_YAML_INTEGER},    {"0x1F", QL_YAML_INTEGER},   {"0o17", QL_YAML_INTEGER}, {"0x", QL_YAML_TEXT},
      {"0x1G", QL_YAML_TEXT},      {"-0x1F", QL_YAML_TEXT},     {"1_000", QL_YAML_TEXT},   {"12:30", QL_YAML_TEXT},
      {"1.", QL_YAML_FLOAT},       {".5", QL_YAML_FLOAT},       {"1e3", QL_YAML_FLOAT},    {"-1.5E-3", QL_YAML_FLOAT},
      {".", QL_YAML_TEXT},         {"1e", QL_YAML_TEXT},        {"1.2.3", QL_YAML_TEXT},   {".inf", QL_YAML_FLOAT},
      {"-.Inf", QL_YAML_FLOAT},    {".NaN", QL_YAML_FLOAT},     {"-.nan", QL_YAML_TEXT},   {"inf", QL_YAML_TEXT},
      {"'12'", QL_YAML_TEXT},      {"\"true\"", QL_YAML_TEXT},  {"!!str 12", QL_YAML_TEXT}, {"! 12", QL_YAML_TEXT},
      {"!!int \"12\"", QL_YAML_INTEGER}, {"!!float 3", QL_YAML_FLOAT}, {"|\n  12\n", QL_YAML_TEXT},
  };
  for (size_t i = 0; i < QL_LEN(cases); i++) {
    const struct ql_yaml_node *node = parse(cases[i].text);
    CHECK(node && node->kind == QL_YAML_SCALAR);
    if (node && node->type != cases[i].type)
      fprintf(stderr, "case %s\n", cases[i].text);
    CHECK_INT(node ? (int)node->type : -1, cases[i].type);
  }
  CHECK_INT(parse("-0")->integer, 0);
  CHECK_INT(parse("0x1F")->integer, 31);
  CHECK_INT(parse("0o17")->integer, 15);
  CHECK_INT(parse("-9223372036854775808")->integer, INT64_MIN);
  CHECK(parse("1e3")->real == 1000.0);
  CHECK(parse("-.inf")->real == -INFINITY);
  CHECK(isnan(parse(".nan")->real));
  CHECK_STR(parse("1.50")->text, "1.50");
  CHECK(parse("True")->boolean);
}

static void nodes_and_keys_know_where_they_stand(void) {
  const struct ql_yaml_node *root = parse("# head\nserver:\n  port: 8000   # tail\n  hosts: [a, 中文, c]\n");
  CHECK_INT(root->kind, QL_YAML_MAP);
  CHECK_INT(root->entries[0].key->line, 2);
  const struct ql_yaml_node *port = at(at(root, "server"), "port");
  CHECK_INT(port->line, 3);
  CHECK_INT(port->column, 9);
  CHECK_INT(port->integer, 8000);
  const struct ql_yaml_node *hosts = at(at(root, "server"), "hosts");
  CHECK_INT(hosts->count, 3);
  CHECK_INT(hosts->items[2]->column, 18); // characters, not bytes
  CHECK_STR(hosts->items[1]->text, "中文");
}

static void the_classic_configuration_is_read(void) {
  const struct ql_yaml_node *root =
      parse("model:\n  base_name: \"Qwen/Qwen3\"\n  variants:\n"
            "    - { name: original, description: \"a / 原精度 (FP16/BF16)\", quantization: null }\n"
            "    - { name: fp8, quantization: fp8 }\n"
            "generation: { temperature: 0.0, max_tokens: 512 }\n");
  const struct ql_yaml_node *variants = at(at(root, "model"), "variants");
  CHECK_INT(variants->count, 2);
  CHECK_INT(at(variants->items[0], "quantization")->type, QL_YAML_NULL);
  CHECK_STR(at(variants->items[0], "description")->text, "a / 原精度 (FP16/BF16)");
  CHECK_INT(at(at(root, "generation"), "temperature")->type, QL_YAML_FLOAT);
}

static void aliases_and_merge_keys_work(void) {
  const struct ql_yaml_node *root = parse("base: &base { a: 1, b: 2 }\n"
                                          "more: &more { b: 3, c: 4 }\n"
                                          "one: { <<: *base, b: 20 }\n"
                                          "two: { b: 30, <<: [*more, *base] }\n"
                                          "text: { \"<<\": quoted }\n"
                                          "same: *base\n");
  CHECK_STR(err.text, "");
  CHECK_INT(at(at(root, "one"), "a")->integer, 1);
  CHECK_INT(at(at(root, "one"), "b")->integer, 20);
  CHECK_INT(at(root, "one")->count, 2);
  CHECK_INT(at(at(root, "two"), "b")->integer, 30);
  CHECK_INT(at(at(root, "two"), "c")->integer, 4);
  CHECK_INT(at(at(root, "two"), "a")->integer, 1);
  CHECK_STR(at(at(root, "text"), "<<")->text, "quoted");
  CHECK_INT(at(root, "same")->line, 1);
  // An anchor may be given again; the later one counts from there on.
  root = parse("- &a 1\n- *a\n- &a 2\n- *a\n");
  CHECK_INT(root->items[1]->integer, 1);
  CHECK_INT(root->items[3]->integer, 2);
}

static void mistakes_say_where_and_what(void) {
  fails("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: key 'a' is given twice (first on line 1, column 1)");
  fails("a: *nobody\n", "x.yaml:1:4: alias *nobody: there is no anchor &nobody before it");
  fails("a: &a [1, *a]\n", "x.yaml:1:11: alias *a stands inside its own anchor");
  fails("a: 1\n---\nb: 2\n", "x.yaml:2:1: a second document begins here, want only one");
  fails("[1]: 2\n", "x.yaml:1:1: a key must be a plain value, not a list or a map");
  fails("a: { <<: 1 }\n", "x.yaml:1:6: the merge key << wants a map or a list of maps");
  fails("a: !thing 1\n", "x.yaml:1:4: tag '!thing' is not supported");
  fails("a: !!int x\n", "x.yaml:1:4: \"x\" is not of type int, as its tag says");
  fails("id: 12345678901234567890\n",
        "x.yaml:1:5: integer 12345678901234567890 does not fit 64 bits (put quotes around it if it is text)");
  fails("a: [1, 2\nb: 3\n", "x.yaml:2:2: did not find expected ',' or ']' (while parsing a flow sequence that "
                            "began on line 1)");
  fails("a: ok\nb: caf\xe9\n", "x.yaml:2:7: invalid UTF-8 (byte 0xE9)");
  CHECK_STR(err.hint, "save the file as UTF-8");
  fails("a: 1\n\tb: 2\n", "x.yaml:2:1: found a tab character that violates indentation (while scanning a plain "
                          "scalar that began on line 1)");
  CHECK_STR(err.hint, "indent with spaces: YAML takes no tabs");
  CHECK(parse("a: \x01") == NULL);
  CHECK(parse("\"open") == NULL);
}

static void encodings_and_line_ends_do_not_matter(void) {
  const struct ql_yaml_node *root = parse("\xef\xbb\xbf" "a: 1\r\nb: 2\r\n");
  CHECK_INT(at(root, "b")->integer, 2);
  CHECK_INT(at(root, "b")->line, 2);
  static const char utf16[] = "\xff\xfe" "a\0:\0 \0001\0";
  ql_yaml_free(&doc);
  CHECK_INT(ql_yaml_parse(&doc, utf16, sizeof utf16 - 1, "x.yaml", &err), 0);
  CHECK_INT(at(doc.root, "a")->integer, 1);
  CHECK_INT(parse("# only a comment\n")->type, QL_YAML_NULL);
  CHECK_INT(parse("---\n...\n")->type, QL_YAML_NULL);
}

static void trees_that_explode_are_refused(void) {
  char text[4096];
  size_t len = (size_t)snprintf(text, sizeof text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
  for (int i = 1; i < 10; i++)
    len += (size_t)snprintf(text + len, sizeof text - len, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n",
                            i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
  CHECK(parse(text) == NULL);
  CHECK(strstr(err.text, "too many values") != NULL);
  char deep[256] = "";
  memset(deep, '[', 200);
  fails(deep, "x.yaml:1:65: nested too deeply (limit 64)");
  // Depth through aliases counts as well.
  len = (size_t)snprintf(text, sizeof text, "a0: &a0 [x]\n");
  for (int i = 1; i < 70; i++)
    len += (size_t)snprintf(text + len, sizeof text - len, "a%d: &a%d [*a%d]\n", i, i, i - 1);
  CHECK(parse(text) == NULL);
  CHECK(strstr(err.text, "nested too deeply") != NULL);
}

// Every prefix of a document with everything in it: an error or a tree, never a crash or a leak.
static void any_prefix_is_survived(void) {
  static const char whole[] = "a: &x {b: [1, 2.5, \"q\\n\", 'it''s'], <<: {c: d}}\ne: *x\nf: |\n  text\n  more\n"
                              "g: !!str 5\n? h\n: i\nj: 中文\n";
  for (size_t len = 0; len < sizeof whole; len++) {
    char *copy = malloc(len ? len : 1); // so that a read past the end is seen by the sanitizer
    memcpy(copy, whole, len);
    struct ql_yaml part;
    err = (struct ql_err){0};
    int result = ql_yaml_parse(&part, copy, len, "x.yaml", &err);
    CHECK(result == 0 ? part.root != NULL : strncmp(err.text, "x.yaml:", 7) == 0);
    ql_yaml_free(&part);
    free(copy);
  }
}

static void the_last_document_is_freed(void) {
  ql_yaml_free(&doc);
  CHECK(doc.root == NULL);
}

RUN(scalars_follow_the_core_schema, nodes_and_keys_know_where_they_stand, the_classic_configuration_is_read,
    aliases_and_merge_keys_work, mistakes_say_where_and_what, encodings_and_line_ends_do_not_matter,
    trees_that_explode_are_refused, any_prefix_is_survived, the_last_document_is_freed)
