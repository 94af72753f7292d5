#include "backends/conformance/Programs.h"

#include "backends/sdk/Graph.h"

namespace kiln::conformance {

KernelProgram::KernelProgram(std::vector<Part> parts) : parts_(std::move(parts)) {
  for (uint32_t i = 0; i < parts_.size(); ++i) {
    kernels_.push_back(parts_[i].made->kernel->table("k" + std::to_string(i)));
    for (bool inPlace : {false, true})
      addEntry(parts_[i], i, inPlace);
  }
  program_ = {kernels_.size(), kernels_.data(), entries_.size(), entries_.data(), nullptr, 0};
}

void KernelProgram::addEntry(const Part &part, uint32_t number, bool inPlace) {
  const Kernel &kernel = *part.made->kernel;
  std::vector<kiln_place> &places = places_.emplace_back();
  std::vector<int64_t> &bytes = bytes_.emplace_back();
  std::vector<ArgumentRow> &arguments = arguments_.emplace_back(); // operands are as weights are
  constexpr int64_t before = guardBytes;
  auto place = [](uint32_t argument) {
    return kiln_place{KILN_SPACE_ARGUMENT, argument, before, {{0, -1}, {0, -1}, {0, -1}}};
  };
  auto add = [&](uint32_t value, kiln_role role, uint32_t flags) {
    arguments.push_back({role, flags, {"x", 1}, kernel.dtype(value), 0, nullptr});
    places.push_back(place(static_cast<uint32_t>(bytes.size())));
    bytes.push_back(before + elements(kernel.shape(value, kernel.bounds())) * sdk::byteSize(kernel.dtype(value)));
  };
  for (uint32_t value : kernel.inputs())
    add(value, KILN_ROLE_PARAMETER, KILN_ARGUMENT_READ);
  for (size_t i = 0; i < kernel.outputs().size(); ++i) {
    if (inPlace && kernel.alias()[i] >= 0) {
      places.push_back(place(static_cast<uint32_t>(kernel.alias()[i])));
      arguments[static_cast<size_t>(kernel.alias()[i])].flags |= KILN_ARGUMENT_WRITTEN;
    } else {
      add(kernel.outputs()[i], KILN_ROLE_OUTPUT, KILN_ARGUMENT_WRITTEN);
    }
  }
  std::vector<kiln_extent> &extents = extents_.emplace_back();
  for (size_t i = 0; i < kernel.bounds().size(); ++i)
    extents.push_back({kernel.bounds()[i], static_cast<int32_t>(i)});
  names_.push_back("k" + std::to_string(number) + (inPlace ? "_in_place" : ""));
  EntryRow entry{};
  entry.name = {names_.back().data(), names_.back().size()};
  entry.argument_count = bytes.size();
  entry.argument_bytes = bytes.data();
  entry.arguments = arguments.data();
  entry.extent_count = extents.size();
  entry.extent_bounds = kernel.bounds().data();
  entry.arena_bytes = part.scratchBytes ? part.scratchBytes + 2 * before : 0;
  entry.root.kind = KILN_NODE_LAUNCH;
  entry.root.kernel = number;
  entry.root.place_count = places.size();
  entry.root.places = places.data();
  entry.root.extent_count = extents.size();
  entry.root.extents = extents.data();
  entry.root.index_slot = -1;
  entry.root.scratch = {KILN_SPACE_ARENA, 0, part.scratchBytes ? before : -1, {{0, -1}, {0, -1}, {0, -1}}};
  entry.root.condition.offset = -1;
  entries_.push_back(entry);
}

} // namespace kiln::conformance
