// Parts of an entry found, renumbered and put in order.

#include "runtime/backend/Placement.h"

#include "runtime/backend/Tree.h"
#include "runtime/support/Tensor.h"

namespace kiln {

Placement::Placement(const kiln_program &whole, std::vector<uint32_t> backendOf, uint32_t backends)
    : whole_(whole), backendOf_(std::move(backendOf)), localNumber_(backendOf_.size()), backends_(backends) {
  for (uint32_t kernel = 0; kernel < backendOf_.size(); ++kernel) {
    OneBackend &backend = backends_[backendOf_[kernel]];
    localNumber_[kernel] = static_cast<uint32_t>(backend.kernels.size());
    backend.kernels.push_back(whole.kernels[kernel]);
    backend.kernelNumbers.push_back(kernel);
  }
  for (size_t i = 0; i < whole.entry_count; ++i)
    placeEntry(whole.entries[i]);
  for (OneBackend &backend : backends_)
    backend.program = {backend.kernels.size(), backend.kernels.data(), backend.entries.size(),
                       backend.entries.data(), whole.constants,        whole.constant_bytes};
}

/// The backend of the first launch below; -1 where nothing is launched.
int64_t Placement::homeOf(const kiln_node &node) const {
  int64_t home = -1;
  forEachNode(node, [&](const kiln_node &one) {
    if (isLaunch(one))
      home = backendOf_[one.kernel];
    return home < 0;
  });
  return home;
}

void Placement::flatten(const kiln_node &node, std::vector<const kiln_node *> &leaves) const {
  if (!isSequence(node)) {
    leaves.push_back(&node);
    return;
  }
  for (size_t i = 0; i < node.child_count; ++i)
    flatten(node.children[i], leaves);
}

kiln_node Placement::renumbered(const kiln_node &node) {
  kiln_node copy = node;
  if (isLaunch(node))
    copy.kernel = localNumber_[node.kernel];
  if (node.child_count) {
    std::vector<kiln_node> children;
    for (size_t i = 0; i < node.child_count; ++i)
      children.push_back(renumbered(node.children[i]));
    copy.children = nodes_.emplace_back(std::move(children)).data();
  }
  return copy;
}

void Placement::collect(const kiln_node &node, std::vector<kiln_extent> &loops, Part &part) const {
  const kiln_node_traits &traits = traitsOf(node);
  if (traits.tests)
    part.reads.push_back({node.condition, 1, {}, loops});
  for (size_t i = 0; i < node.place_count; ++i) {
    bool reads = i < readsOf(node, whole_.kernels);
    Access access{node.places[i], 1, {node.count}, loops};
    if (isLaunch(node)) {
      const ValueRow &value = valueAt(whole_.kernels[node.kernel], i);
      access.elementBytes = static_cast<int64_t>(dtypeSize(value.dtype));
      access.dims.clear();
      for (uint32_t d = 0; d < value.rank; ++d)
        access.dims.push_back(value.dims[d].slot < 0 ? value.dims[d] : node.extents[value.dims[d].slot]);
      // What a loop writes may leave gaps, which must hold on the way back what they held before.
      if (!reads && !loops.empty())
        part.reads.push_back(access);
    }
    (reads ? part.reads : part.writes).push_back(std::move(access));
  }
  if (traits.loops)
    loops.push_back(node.count);
  for (size_t i = 0; i < node.child_count; ++i)
    collect(node.children[i], loops, part);
  if (traits.loops)
    loops.pop_back();
}

void Placement::placeEntry(const EntryRow &entry) {
  std::vector<const kiln_node *> leaves;
  flatten(entry.root, leaves);
  std::vector<Part> &parts = parts_.emplace_back();
  for (size_t begin = 0; begin < leaves.size() || parts.empty();) {
    // As far as one backend goes; what launches nothing stays with what is before it.
    int64_t home = -1;
    size_t end = begin;
    for (; end < leaves.size(); ++end) {
      int64_t next = homeOf(*leaves[end]);
      if (home >= 0 && next >= 0 && next != home)
        break;
      home = home < 0 ? next : home;
    }
    Part part{home < 0 ? 0 : static_cast<uint32_t>(home), 0, {}, {}, true};
    OneBackend &backend = backends_[part.backend];
    part.entry = static_cast<uint32_t>(backend.entries.size());
    EntryRow row = entry;
    std::vector<kiln_node> children;
    std::vector<kiln_extent> loops;
    for (size_t i = begin; i < end; ++i) {
      children.push_back(renumbered(*leaves[i]));
      forEachLaunch(*leaves[i],
                    [&](const kiln_node &launch) { part.known = part.known && whole_.kernels[launch.kernel].values; });
      if (backends_.size() > 1 && part.known)
        collect(*leaves[i], loops, part);
    }
    row.root = {};
    row.root.kind = KILN_NODE_SEQUENCE;
    row.root.child_count = children.size();
    row.root.index_slot = -1;
    row.root.children = nodes_.emplace_back(std::move(children)).data();
    backend.entries.push_back(row);
    parts.push_back(std::move(part));
    begin = end;
  }
}

Placement::Span Placement::spanOf(const Access &access, const int64_t *extents) {
  auto value = [&](const kiln_extent &extent) { return extent.slot < 0 ? extent.value : extents[extent.slot]; };
  Span span{access.place.offset, access.elementBytes};
  for (const kiln_extent &dim : access.dims)
    span.bytes *= value(dim);
  for (size_t level = 0; level < access.loops.size() && level < KILN_MAX_LOOPS; ++level) {
    int64_t count = value(access.loops[level]);
    if (count == 0)
      return {span.offset, 0};
    span.bytes += value(access.place.stride[level]) * (count - 1);
  }
  return span;
}

} // namespace kiln
