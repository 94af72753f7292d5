/* kiln_tree.h: what the nodes of a program's tree consist of, and a walk over them: for those who need not care what a
 * kind of node does (who read, check, count, or look for launches). A new kind is a row of the table here and a case of
 * each executor. C99, inline throughout: nothing of it crosses the interface, which is kiln_backend.h alone. */
#ifndef KILN_TREE_H
#define KILN_TREE_H

#include "kiln_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a kind of node has. */
typedef struct kiln_node_traits {
  const char *name; /* in manifests and messages */
  int32_t children; /* how many; -1: any number */
  int32_t places;   /* how many; -1: its kernel's inputs, then its outputs */
  int32_t reads;    /* how many of the places it reads, the first ones; it writes the others. -1: the kernel's inputs */
  int counts;       /* it has a `count`: of bytes at each place, or of iterations */
  int tests;        /* it has a `condition`, which it reads */
  int loops;        /* its children run `count` times, and a stride of their places belongs to it */
} kiln_node_traits;

/* Null for a kind that is not known here. */
static inline const kiln_node_traits *kiln_traits_of_node(int32_t kind) {
  static const kiln_node_traits traits[] = {
      /* name    children places reads counts tests loops */
      {"sequence", -1, 0, 0, 0, 0, 0}, /* KILN_NODE_SEQUENCE */
      {"launch", 0, -1, -1, 0, 0, 0},  /* KILN_NODE_LAUNCH */
      {"copy", 0, 2, 1, 1, 0, 0},      /* KILN_NODE_COPY */
      {"repeat", -1, 0, 0, 1, 0, 1},   /* KILN_NODE_REPEAT */
      {"while", 2, 0, 0, 0, 1, 0},     /* KILN_NODE_WHILE */
      {"if", 2, 0, 0, 0, 1, 0},        /* KILN_NODE_IF */
  };
  return kind >= 0 && kind < (int32_t)(sizeof traits / sizeof traits[0]) ? &traits[kind] : 0;
}

/* Called with each node of a tree, one before its children. `loops`: how many loops are around it. */
typedef void (*kiln_node_visitor)(void *self, const kiln_node *node, const kiln_node_info *info, uint32_t loops);

static inline void kiln_walk_nodes(const kiln_reader *reader, const kiln_node *node, uint32_t loops,
                                   kiln_node_visitor visit, void *self) {
  kiln_node_info info;
  const kiln_node_traits *traits;
  uint32_t i;
  info.size = sizeof info;
  reader->node(node, &info);
  visit(self, node, &info, loops);
  traits = kiln_traits_of_node(info.kind);
  if (traits && traits->loops)
    ++loops;
  for (i = 0; i < info.child_count; ++i)
    kiln_walk_nodes(reader, reader->child(node, i), loops, visit, self);
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
