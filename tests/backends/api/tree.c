/* kiln_tree.h as a plugin uses it: a walk over a tree by a reader, and what kinds of nodes have. */
#include "backends/api/kiln_tree.h"

#include <stdio.h>
#include <string.h>

struct kiln_node {
  int32_t kind;
  uint32_t kernel, child_count;
  const struct kiln_node *children;
};

static void read_node(const kiln_node *node, kiln_node_info *info) {
  uint32_t size = info->size;
  memset(info, 0, sizeof *info);
  info->size = size;
  info->kind = node->kind;
  info->kernel = node->kernel;
  info->child_count = node->child_count;
}
static const kiln_node *read_child(const kiln_node *node, uint32_t number) { return &node->children[number]; }

/* Writes each launch as its kernel's number and the loops around it. */
static void write_launch(void *self, const kiln_node *node, const kiln_node_info *info, uint32_t loops) {
  char *text = self;
  (void)node;
  if (info->kind == KILN_NODE_LAUNCH)
    sprintf(text + strlen(text), "%u@%u ", (unsigned)info->kernel, (unsigned)loops);
}

static int expect(int holds, const char *what) {
  if (!holds)
    fprintf(stderr, "kiln_tree.h: %s\n", what);
  return !holds;
}

int main(void) {
  /* launch 0; repeat { launch 1; while { launch 2 } { repeat { launch 3 } } }; a kind from the future around launch 4
   */
  const kiln_node body[] = {{KILN_NODE_LAUNCH, 3, 0, 0}};
  const kiln_node halves[] = {{KILN_NODE_LAUNCH, 2, 0, 0}, {KILN_NODE_REPEAT, 0, 1, body}};
  const kiln_node inner[] = {{KILN_NODE_LAUNCH, 1, 0, 0}, {KILN_NODE_WHILE, 0, 2, halves}};
  const kiln_node last[] = {{KILN_NODE_LAUNCH, 4, 0, 0}};
  const kiln_node all[] = {{KILN_NODE_LAUNCH, 0, 0, 0}, {KILN_NODE_REPEAT, 0, 2, inner}, {1000, 0, 1, last}};
  const kiln_node root = {KILN_NODE_SEQUENCE, 0, 3, all};
  kiln_reader reader;
  char text[100] = "";
  int wrong = 0, kind;
  memset(&reader, 0, sizeof reader);
  reader.node = read_node;
  reader.child = read_child;
  kiln_walk_nodes(&reader, &root, 0, write_launch, text);
  wrong += expect(strcmp(text, "0@0 1@1 2@1 3@2 4@0 ") == 0, text);
  for (kind = KILN_NODE_SEQUENCE; kind <= KILN_NODE_IF; ++kind)
    wrong += expect(kiln_traits_of_node(kind) != 0, "a kind has no form");
  wrong += expect(!kiln_traits_of_node(-1) && !kiln_traits_of_node(1000), "an unknown kind has a form");
  wrong += expect(kiln_traits_of_node(KILN_NODE_COPY)->places == 2 && kiln_traits_of_node(KILN_NODE_COPY)->reads == 1,
                  "a copy reads one place and writes another");
  wrong += expect(kiln_traits_of_node(KILN_NODE_IF)->tests && kiln_traits_of_node(KILN_NODE_WHILE)->tests &&
                      !kiln_traits_of_node(KILN_NODE_REPEAT)->tests,
                  "while and if have conditions");
  wrong += expect(kiln_traits_of_node(KILN_NODE_REPEAT)->loops && !kiln_traits_of_node(KILN_NODE_WHILE)->loops,
                  "a repeat alone has strides");
  return wrong != 0;
}
