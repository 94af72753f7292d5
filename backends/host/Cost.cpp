#include "backends/host/Cost.h"

#include "runtime/backend/Placement.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace kiln::host {

namespace {

/// A launch's kernel, with the extents' values.
class Launch {
public:
  Launch(const kiln_kernel &kernel, const kiln_node &node) : kernel(kernel), node(node) {}

  Cost cost() const {
    Cost cost;
    cost.launches = 1;
    for (size_t i = 0; i < kernel.input_count; ++i)
      cost.bytes += bytes(kernel.inputs[i]);
    for (size_t i = 0; i < kernel.output_count; ++i)
      cost.bytes += bytes(kernel.outputs[i]);
    for (size_t i = 0; i < kernel.op_count; ++i)
      cost.flops += flops(kernel.ops[i]);
    return cost;
  }

private:
  double extent(const kiln_extent &dim) const {
    return static_cast<double>(dim.slot < 0 ? dim.value : node.extents[dim.slot].value);
  }
  double dim(uint32_t value, uint32_t axis) const { return extent(kernel.values[value].dims[axis]); }
  double elements(uint32_t value) const {
    double count = 1;
    for (uint32_t axis = 0; axis < kernel.values[value].rank; ++axis)
      count *= dim(value, axis);
    return count;
  }
  double bytes(uint32_t value) const {
    return elements(value) * static_cast<double>(elementBytes(kernel.values[value].dtype));
  }

  double flops(const OpRow &op) const {
    std::string_view name(op.name.data, op.name.size);
    if (name == "dot_general") {
      double contracted = 1;
      for (size_t i = 0; i < op.attr_count; ++i)
        if (std::string_view(op.attrs[i].name.data, op.attrs[i].name.size) == "lhs_contract")
          for (size_t axis = 0; axis < op.attrs[i].count; ++axis)
            contracted *= dim(op.operands[0], static_cast<uint32_t>(op.attrs[i].ints[axis]));
      return 2 * elements(op.results[0]) * contracted;
    }
    if (name == "convolution") // a filter's elements for each output channel
      return 2 * elements(op.results[0]) * elements(op.operands[1]) / std::max(1.0, dim(op.operands[1], 0));
    if (name == "attention" || name == "attention_grad") {
      // q [B, H, T, D] against the S rows of k: two products forward, five backward.
      double one = 2 * elements(op.operands[0]) * dim(op.operands[1], 2);
      return name == "attention" ? 2 * one : 5 * one;
    }
    return 0;
  }

  const kiln_kernel &kernel;
  const kiln_node &node;
};

Cost costOf(const kiln_program &program, const kiln_node &node) {
  if (node.kind == KILN_NODE_LAUNCH)
    return Launch(program.kernels[node.kernel], node).cost();
  Cost sum, dearest;
  if (node.kind == KILN_NODE_COPY)
    sum.bytes = 2 * static_cast<double>(node.count.value);
  for (size_t i = 0; i < node.child_count; ++i) {
    Cost child = costOf(program, node.children[i]);
    sum.flops += child.flops;
    sum.bytes += child.bytes;
    sum.launches += child.launches;
    if (child.launches > dearest.launches)
      dearest = child;
  }
  if (node.kind == KILN_NODE_IF)
    return dearest;
  double times = node.kind == KILN_NODE_REPEAT ? static_cast<double>(node.count.value) : 1;
  return {sum.flops * times, sum.bytes * times, sum.launches * times};
}

} // namespace

double bytesOf(const kiln_kernel &kernel, uint32_t value, const std::vector<int64_t> &extents) {
  double bytes = static_cast<double>(elementBytes(kernel.values[value].dtype));
  for (uint32_t axis = 0; axis < kernel.values[value].rank; ++axis) {
    const kiln_extent &dim = kernel.values[value].dims[axis];
    bytes *= static_cast<double>(dim.slot < 0 ? dim.value : extents[static_cast<size_t>(dim.slot)]);
  }
  return bytes;
}

Cost costOf(const kiln_kernel &kernel, const std::vector<int64_t> &extents) {
  std::vector<kiln_extent> given;
  for (int64_t extent : extents)
    given.push_back({extent, -1});
  kiln_node node = {};
  node.extents = given.data();
  return Launch(kernel, node).cost();
}

Cost costOf(const kiln_program &program, const EntryRow &entry) { return costOf(program, entry.root); }

} // namespace kiln::host
