// One launch at a time: what is not finite is looked for after each.

#include "runtime/program/Walk.h"

#include "runtime/backend/Cancel.h"
#include "runtime/backend/Tree.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln {

Walk::Walk(const kiln_program &program, const EntryRow &entry, int64_t *table, const std::vector<int64_t> *scratch)
    : table_(table), arenaBytes_(entry.arena_bytes), program_(program) {
  std::vector<std::pair<int32_t, int64_t>> loops;
  std::vector<int64_t> indices;
  flatten(entry.root, loops, indices);
  constexpr int64_t alignment = 4096; // of whatever a backend may ask for
  int64_t behind = (entry.arena_bytes + alignment - 1) / alignment * alignment;
  for (Leaf &leaf : leaves_) {
    EntryRow one = entry;
    if (scratch && isLaunch(leaf.node)) {
      int64_t bytes = (*scratch)[leaf.node.kernel];
      leaf.node.scratch = {KILN_SPACE_ARENA, 0, bytes ? behind : -1, {{0, -1}, {0, -1}, {0, -1}}};
      one.arena_bytes = std::max(entry.arena_bytes, bytes ? behind + bytes : 0);
      arenaBytes_ = std::max(arenaBytes_, one.arena_bytes);
    }
    one.root = leaf.node;
    entries_.push_back(one);
  }
  program_.entries = entries_.data();
  program_.entry_count = entries_.size();
}

void Walk::flatten(const kiln_node &node, std::vector<std::pair<int32_t, int64_t>> &loops,
                   std::vector<int64_t> &indices) {
  if (isSequence(node)) {
    for (size_t i = 0; i < node.child_count; ++i)
      flatten(node.children[i], loops, indices);
    return;
  }
  if (traitsOf(node).loops) {
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
  leaves_.push_back({settled(node, indices), loops});
}

kiln_node Walk::settled(kiln_node node, const std::vector<int64_t> &indices) {
  auto settle = [&](kiln_place &place) {
    for (size_t level = 0; level < indices.size(); ++level)
      place.offset += value(place.stride[level]) * indices[level];
    for (size_t level = 0; level < KILN_MAX_LOOPS; ++level)
      place.stride[level] =
          level + indices.size() < KILN_MAX_LOOPS ? place.stride[level + indices.size()] : kiln_extent{0, -1};
  };
  std::vector<kiln_place> &places = places_.emplace_back(node.places, node.places + node.place_count);
  for (kiln_place &place : places)
    settle(place);
  node.places = places.data();
  settle(node.scratch);
  settle(node.condition);
  std::vector<kiln_node> &children = children_.emplace_back();
  for (size_t i = 0; i < node.child_count; ++i)
    children.push_back(settled(node.children[i], indices));
  node.children = children.data();
  return node;
}

void Walk::prepare(const Leaf &leaf) {
  for (const auto &[slot, index] : leaf.loops)
    if (slot >= 0)
      table_[slot] = index;
}

double costOf(const KernelSpec &kernel, const std::vector<KernelSpec::Term> &terms, const kiln_node &node,
              const int64_t *table) {
  double sum = 0;
  for (const KernelSpec::Term &term : terms) {
    double product = term.factor;
    for (size_t slot : term.slots) {
      if (slot >= node.extent_count)
        fail("the program's manifest is damaged: the cost of kernel '%s' has an extent that it lacks",
             kernel.name.c_str());
      const kiln_extent &extent = node.extents[slot];
      product *= static_cast<double>(extent.slot < 0 ? extent.value : table[extent.slot]);
    }
    sum += product;
  }
  return sum;
}

Work Call::workOf(const kiln_node &node) const {
  const int64_t *table = extents_.table();
  auto value = [&](const kiln_extent &extent) {
    return static_cast<double>(extent.slot < 0 ? extent.value : table[extent.slot]);
  };
  if (isLaunch(node)) {
    const KernelSpec &kernel = program_.manifest_.kernels[node.kernel];
    return {costOf(kernel, kernel.flops, node, table), costOf(kernel, kernel.bytes, node, table), 1};
  }
  Work sum, dearest;
  const kiln_node_traits &traits = traitsOf(node);
  if (traits.places > 0) // it moves that many bytes at each
    sum.bytes = traits.places * value(node.count);
  for (size_t i = 0; i < node.child_count; ++i) {
    Work child = workOf(node.children[i]);
    sum.flops += child.flops;
    sum.bytes += child.bytes;
    sum.launches += child.launches;
    if (child.launches > dearest.launches)
      dearest = child;
  }
  if (node.kind == KILN_NODE_IF)
    return dearest;
  double times = traits.loops ? value(node.count) : 1;
  return {sum.flops * times, sum.bytes * times, sum.launches * times};
}

Work Call::work() const { return workOf(program_.plan_.program().entries[index_].root); }

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

/// A place's bytes; on a device with memory of its own they are fetched into `scratch`.
const uint8_t *Call::look(uint32_t backend, const kiln_place &place, size_t bytes, std::vector<uint8_t> &scratch) {
  const Device &device = *opened(backend).device;
  if (place.space == KILN_SPACE_CONSTANT)
    return program_.image_.constants + place.offset;
  program_.inFlight_.settle();
  bool arena = place.space == KILN_SPACE_ARENA;
  if (device.hostMemory())
    return (arena ? program_.arena_.data() : static_cast<const uint8_t *>(buffers_[place.argument].host)) +
           place.offset;
  scratch.resize(bytes);
  device.read(arena ? opened(backend).arena.handle() : handles_[backend][place.argument],
              static_cast<uint64_t>(place.offset), scratch.data(), bytes);
  return scratch.data();
}

/// What is not finite among the results of one launch: in `text` a NaN or +infinity, in `negative` the first -infinity.
void Call::inspect(Walk &walk, uint32_t backend, const kiln_node &node, std::string &text, std::string &negative) {
  const KernelSpec &kernel = program_.manifest_.kernels[program_.plan_.placement().wholeKernel(backend, node.kernel)];
  std::vector<uint8_t> scratch;
  for (size_t o = 0; o < kernel.outputs.size() && kernel.inputs + o < node.place_count && text.empty(); ++o) {
    const KernelSpec::Output &output = kernel.outputs[o];
    int64_t count = 1;
    for (const kiln_extent &dim : output.dims)
      count *= dim.slot < 0 ? dim.value : walk.value(node.extents[dim.slot]);
    if (!isFloat(output.dtype))
      continue;
    const uint8_t *data =
        look(backend, node.places[kernel.inputs + o], static_cast<size_t>(count) * dtypeSize(output.dtype), scratch);
    for (bool alsoNegative : {false, true}) {
      Found found = kiln::findNotFinite(output.dtype, data, count, alsoNegative);
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

kiln_status Call::executeLeaf(const Placement::Part &part, Walk &walk, size_t number, kiln_executable *executable,
                              const char *what) {
  const Program::OpenBackend &opened = this->opened(part.backend);
  const Walk::Leaf &leaf = walk.leaves()[number];
  walk.prepare(leaf);
  kiln_status status = {};
  kiln_execution execution = {};
  execution.size = sizeof execution;
  execution.entry = static_cast<uint32_t>(number);
  execution.buffers = handles_[part.backend].data();
  execution.arena = opened.arena.handle();
  execution.extents = extents_.table();
  execution.status = &status;
  execution.cancel = cancelAddress();
  std::string_view kernel;
  if (isLaunch(leaf.node))
    kernel = program_.manifest_.kernels[program_.plan_.placement().wholeKernel(part.backend, leaf.node.kernel)].name;
  noteWrites(part);
  program_.inFlight_.settle();
  kiln_error error = emptyError();
  const Device &device = *opened.device;
  device.check(device.execute(executable, execution, spec_.name, error, kernel), error, what);
  return status;
}

void Call::walkPart(const Placement::Part &part, const After &after) {
  const kiln_program &program = program_.plan_.placement().program(part.backend);
  const Program::OpenBackend &opened = this->opened(part.backend);
  const kiln_image_backend &backend = program_.image_.backends[part.backend];
  Walk walk(program, program.entries[part.entry], extents_.table());
  const Device &device = *opened.device;
  auto unload = [&](kiln_executable *executable) { device.unload(executable); };
  std::unique_ptr<kiln_executable, decltype(unload)> executable(
      device.load(walk.program(), backend.artifact, backend.artifact_size, "the step cannot be run launch by launch"),
      unload);
  for (size_t i = 0; i < walk.leaves().size(); ++i) {
    kiln_status status = executeLeaf(part, walk, i, executable.get(), "a launch failed");
    if (!after(walk, walk.leaves()[i].node, status))
      return;
  }
}

std::string Call::findNotFinite(uint32_t seed, int64_t step) {
  program_.inFlight_.settle();
  bind(seed, step);
  upload();
  std::string negative, text;
  for (const Placement::Part &part : program_.plan_.placement().parts(index_)) {
    if (part.backend != 0)
      bring(part, false);
    walkPart(part, [&](Walk &walk, const kiln_node &node, const kiln_status &) {
      if (isLaunch(node))
        inspect(walk, part.backend, node, text, negative);
      return text.empty();
    });
    if (!text.empty())
      break;
    if (part.backend != 0)
      bring(part, true);
  }
  finish();
  return text.empty() ? negative : text;
}

} // namespace kiln
