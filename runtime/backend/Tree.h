// Walks over the trees of this side's tables, for those who need not care what a kind of node does. What a kind has is
// told in backends/api/kiln_tree.h.
#pragma once

#include "backends/api/kiln_tree.h"
#include "runtime/backend/Tables.h"

#include <string_view>
#include <type_traits>

namespace kiln {

/// Of a kind that is known, as all are that the compiler makes and the plan's reader lets through.
inline const kiln_node_traits &traitsOf(const kiln_node &node) { return *kiln_traits_of_node(node.kind); }

/// The kind of a name in a manifest; -1 where there is none.
inline int32_t nodeKindOf(std::string_view name) {
  for (int32_t kind = 0; const kiln_node_traits *traits = kiln_traits_of_node(kind); ++kind)
    if (name == traits->name)
      return kind;
  return -1;
}

inline bool isLaunch(const kiln_node &node) { return node.kind == KILN_NODE_LAUNCH; }
/// It does nothing by itself: its children, one after another, are all that it is.
inline bool isSequence(const kiln_node &node) { return node.kind == KILN_NODE_SEQUENCE; }

/// Each node of the tree, one before its children. `visit` gets the node; where it returns bool, false ends the walk.
/// Returns whether the walk was not ended.
template <typename Visit> bool forEachNode(const kiln_node &node, const Visit &visit) {
  if constexpr (std::is_same_v<decltype(visit(node)), bool>) {
    if (!visit(node))
      return false;
  } else {
    visit(node);
  }
  for (size_t i = 0; i < node.child_count; ++i)
    if (!forEachNode(node.children[i], visit))
      return false;
  return true;
}

/// Each launch of the tree, in order.
template <typename Visit> void forEachLaunch(const kiln_node &node, const Visit &visit) {
  forEachNode(node, [&](const kiln_node &one) {
    if (isLaunch(one))
      visit(one);
  });
}

/// The value that a launch's place is of.
inline const ValueRow &valueAt(const kiln_kernel &kernel, size_t place) {
  return kernel.values[place < kernel.input_count ? kernel.inputs[place] : kernel.outputs[place - kernel.input_count]];
}

/// How many of the node's places it reads: the first ones.
inline size_t readsOf(const kiln_node &node, const kiln_kernel *kernels) {
  int32_t reads = traitsOf(node).reads;
  return reads < 0 ? kernels[node.kernel].input_count : static_cast<size_t>(reads);
}

} // namespace kiln
