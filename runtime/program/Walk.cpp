#include "runtime/program/Walk.h"

#include "runtime/support/Error.h"

#include <cmath>

namespace kiln {

Walk::Walk(const kiln_program &program, const kiln_entry &entry, int64_t *table) : table_(table), program_(program) {
  std::vector<std::pair<int32_t, int64_t>> loops;
  std::vector<int64_t> indices;
  flatten(entry.root, loops, indices);
  for (const Leaf &leaf : leaves_) {
    kiln_entry one = entry;
    one.root = leaf.node;
    entries_.push_back(one);
  }
  program_.entries = entries_.data();
  program_.entry_count = entries_.size();
}

void Walk::flatten(const kiln_node &node, std::vector<std::pair<int32_t, int64_t>> &loops,
                   std::vector<int64_t> &indices) {
  if (node.kind == KILN_NODE_SEQUENCE) {
    for (size_t i = 0; i < node.child_count; ++i)
      flatten(node.children[i], loops, indices);
    return;
  }
  if (node.kind == KILN_NODE_REPEAT) {
    int64_t count = value(node.count);
    for (int64_t i = 0; i < count; ++i) {
      int64_t index = node.reverse ? count - 1 - i : i;
      loops.emplace_back(node.index_slot, index);
      indices.push_back(index);
      for (size_t c = 0; c < node.child_count; ++c)
        flatten(node.children[c], loops, indices);
      loops.pop_back();
      indices.pop_back();
    }
    return;
  }
  // What is left runs as a whole, at the places of this iteration.
  Leaf leaf{node, loops};
  std::vector<kiln_place> &places = places_.emplace_back(node.places, node.places + node.place_count);
  for (kiln_place &place : places)
    for (size_t level = 0; level < KILN_MAX_LOOPS; ++level) {
      if (level < indices.size())
        place.offset += value(place.stride[level]) * indices[level];
      place.stride[level] = {0, -1};
    }
  leaf.node.places = places.data();
  leaves_.push_back(std::move(leaf));
}

void Walk::prepare(const Leaf &leaf) {
  for (const auto &[slot, index] : leaf.loops)
    if (slot >= 0)
      table_[slot] = index;
}

namespace {
struct Found {
  int64_t element = -1;
  double value = 0;
};
/// The first NaN or +infinity; -infinity where `negative` is set (a mask holds it rightly).
Found findNotFinite(kiln_dtype dtype, const void *data, int64_t count, bool negative) {
  for (int64_t i = 0; isFloat(dtype) && i < count; ++i)
    if (double value = loadNumber(dtype, data, i); !std::isfinite(value) && (negative || !(value < 0)))
      return {i, value};
  return {};
}
} // namespace

std::string Call::findNotFinite(uint32_t seed, int64_t step) {
  bind(seed, step);
  const Plan &plan = program_.plan_;
  Walk walk(plan.program(), plan.program().entries[index_], extents_.table());
  kiln_executable *executable = nullptr;
  kiln_error error = {};
  if (program_.api_->load(&walk.program(), program_.image_.artifact, program_.image_.artifact_size, &program_.host_,
                          &executable, &error) != 0)
    return "";
  std::string negative, text;
  for (size_t i = 0; i < walk.leaves().size() && text.empty(); ++i) {
    const Walk::Leaf &leaf = walk.leaves()[i];
    walk.prepare(leaf);
    kiln_status status = {};
    if (program_.api_->execute(executable, static_cast<uint32_t>(i), buffers_.data(), program_.arena_.data(),
                               extents_.table(), &status, &error) != 0)
      break;
    if (leaf.node.kind != KILN_NODE_LAUNCH)
      continue;
    const KernelSpec &kernel = program_.manifest_.kernels[leaf.node.kernel];
    for (size_t o = 0; o < kernel.outputs.size() && kernel.inputs + o < leaf.node.place_count && text.empty(); ++o) {
      const KernelSpec::Output &output = kernel.outputs[o];
      int64_t count = 1;
      for (const kiln_extent &dim : output.dims)
        count *= dim.slot < 0 ? dim.value : walk.value(leaf.node.extents[dim.slot]);
      const kiln_place &place = leaf.node.places[kernel.inputs + o];
      const uint8_t *base = place.space == KILN_SPACE_ARENA ? program_.arena_.data()
                            : place.space == KILN_SPACE_CONSTANT
                                ? program_.image_.constants
                                : static_cast<const uint8_t *>(buffers_[place.argument]);
      for (bool alsoNegative : {false, true}) {
        Found found = kiln::findNotFinite(output.dtype, base + place.offset, count, alsoNegative);
        if (found.element < 0)
          continue;
        std::string what = "a result of kernel " + kernel.name;
        if (output.op >= 0 && output.op < static_cast<int64_t>(kernel.ops.size())) {
          const KernelSpec::Op &op = kernel.ops[static_cast<size_t>(output.op)];
          what = "the result of " + op.name + (op.location.empty() ? "" : " at " + op.location);
        }
        what += format(" (%s, element %lld of %lld)", shortest(found.value).c_str(),
                       static_cast<long long>(found.element), static_cast<long long>(count));
        (alsoNegative ? negative : text) = alsoNegative && !negative.empty() ? negative : what;
        break;
      }
    }
  }
  if (program_.api_->unload)
    program_.api_->unload(executable);
  return text.empty() ? negative : text;
}

} // namespace kiln
