// SPDX-License-Identifier: Apache-2.0
// lua_yaml: qlua.core.yaml over yaml_tree.h: one function, text to a tree of plain tables.
//
// The document is a userdata while the tables are made, so that an error for want of memory frees it.
// An aliased node becomes a table of its own at each place: the parser has bounded how many that can be.

#include "task.h"
#include "yaml_tree.h"

#include <lauxlib.h>
#include <lua.h>

#define DOC "qlua.yaml.document"

int ql_open_yaml(lua_State *L);

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

// The fields `type`, `text` and, unless it is null, `value`.
static void set_scalar(lua_State *L, const struct ql_yaml_node *node) {
  static const char *const types[] = {[QL_YAML_NULL] = "null",
                                      [QL_YAML_BOOLEAN] = "boolean",
                                      [QL_YAML_INTEGER] = "integer",
                                      [QL_YAML_FLOAT] = "float",
                                      [QL_YAML_TEXT] = "string"};
  set_string(L, "type", types[node->type]);
  lua_pushlstring(L, node->text, node->len);
  lua_setfield(L, -2, "text");
  switch (node->type) {
  case QL_YAML_NULL:
    return;
  case QL_YAML_BOOLEAN:
    lua_pushboolean(L, node->boolean);
    break;
  case QL_YAML_INTEGER:
    lua_pushinteger(L, node->integer);
    break;
  case QL_YAML_FLOAT:
    lua_pushnumber(L, node->real);
    break;
  case QL_YAML_TEXT:
    lua_pushlstring(L, node->text, node->len);
    break;
  }
  lua_setfield(L, -2, "value");
}

static void push_node(lua_State *L, const struct ql_yaml_node *node);

static void set_children(lua_State *L, const struct ql_yaml_node *node) {
  lua_createtable(L, (int)node->count, 0);
  for (size_t i = 0; i < node->count; i++) {
    if (node->kind == QL_YAML_LIST)
      push_node(L, node->items[i]);
    else {
      const struct ql_yaml_node *key = node->entries[i].key;
      lua_createtable(L, 0, 4);
      lua_pushlstring(L, key->text, key->len);
      lua_setfield(L, -2, "key");
      set_integer(L, "key_line", key->line);
      set_integer(L, "key_column", key->column);
      push_node(L, node->entries[i].node);
      lua_setfield(L, -2, "node");
    }
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, node->kind == QL_YAML_LIST ? "items" : "entries");
}

static void push_node(lua_State *L, const struct ql_yaml_node *node) {
  static const char *const kinds[] = {
      [QL_YAML_SCALAR] = "scalar", [QL_YAML_LIST] = "list", [QL_YAML_MAP] = "map"};
  luaL_checkstack(L, 8, "the document is nested too deeply");
  lua_createtable(L, 0, 6);
  set_string(L, "kind", kinds[node->kind]);
  set_integer(L, "line", node->line);
  set_integer(L, "column", node->column);
  if (node->kind == QL_YAML_SCALAR)
    set_scalar(L, node);
  else
    set_children(L, node);
}

static int doc_gc(lua_State *L) {
  ql_yaml_free(luaL_checkudata(L, 1, DOC));
  return 0;
}

// parse(text, file_name) -> the root node; or nil, err
static int yaml_parse(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  const char *file_name = luaL_checkstring(L, 2);
  struct ql_yaml *doc = lua_newuserdatauv(L, sizeof *doc, 0);
  *doc = (struct ql_yaml){0};
  luaL_setmetatable(L, DOC);
  struct ql_err err;
  if (ql_yaml_parse(doc, text, len, file_name, &err) != 0) {
    ql_yaml_free(doc);
    return ql_push_err(L, &err);
  }
  push_node(L, doc->root);
  ql_yaml_free(doc);
  return 1;
}

int ql_open_yaml(lua_State *L) {
  static const luaL_Reg functions[] = {{"parse", yaml_parse}, {NULL, NULL}};
  luaL_newmetatable(L, DOC);
  lua_pushcfunction(L, doc_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
