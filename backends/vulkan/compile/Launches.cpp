// The launches of a program walked, and what all of a kernel's agree on kept.

#include "backends/vulkan/compile/Launches.h"
#include "backends/api/kiln_tree.h"

#include <algorithm>

namespace kiln::vulkan {

static bool isAligned(const kiln_place &place, uint32_t alignment) {
  if (place.offset % alignment != 0)
    return false;
  return std::all_of(std::begin(place.stride), std::end(place.stride),
                     [&](const kiln_extent &stride) { return stride.slot < 0 && stride.value % alignment == 0; });
}

static bool samePlace(const kiln_place &a, const kiln_place &b) {
  bool same =
      a.space == b.space && (a.space != KILN_SPACE_ARGUMENT || a.argument == b.argument) && a.offset == b.offset;
  for (int level = 0; level < KILN_MAX_LOOPS; ++level)
    same &= sdk::sameExtent(a.stride[level], b.stride[level]);
  return same;
}

/// Keeps of the homes those that this launch has too.
static void findHomes(const kiln_kernel_info &kernel, const kiln_node_info &launch, LaunchFacts &facts) {
  if (facts.launches++ == 0)
    facts.home.assign(launch.place_count, -1);
  if (!kernel.alias || launch.place_count != kernel.input_count + kernel.output_count)
    return;
  for (uint32_t i = 0; i < kernel.output_count; ++i) {
    int32_t input = kernel.alias[i];
    int32_t &home = facts.home[kernel.input_count + i];
    bool there = input >= 0 && samePlace(launch.places[input], launch.places[kernel.input_count + i]);
    home = there && (facts.launches == 1 || home == input) ? input : -1;
  }
}

namespace {
/// What is being read: an entry's launches, into the facts of their kernels.
struct Reading {
  const kiln_reader &reader;
  const kiln_program *program;
  uint32_t alignment;
  std::vector<LaunchFacts> facts;
  kiln_entry_info entry;

  void launch(const kiln_node_info &info);
};
} // namespace

void Reading::launch(const kiln_node_info &info) {
  LaunchFacts &kernel = facts[info.kernel];
  kiln_kernel_info its{};
  its.size = sizeof its;
  reader.kernel(reader.program_kernel(program, info.kernel), &its);
  findHomes(its, info, kernel);
  kernel.aligned.resize(info.place_count, true);
  for (uint32_t i = 0; i < info.place_count; ++i)
    kernel.aligned[i] = kernel.aligned[i] && isAligned(info.places[i], alignment);
  kernel.extentBounds.resize(info.extent_count, 0);
  for (uint32_t i = 0; i < info.extent_count; ++i) {
    const kiln_extent &extent = info.extents[i];
    int64_t bound = extent.value;
    if (extent.slot >= 0 && entry.extent_bounds && static_cast<uint32_t>(extent.slot) < entry.extent_count)
      bound = std::max(bound, entry.extent_bounds[extent.slot]);
    kernel.extentBounds[i] = std::max(kernel.extentBounds[i], bound);
  }
}

std::vector<LaunchFacts> readLaunches(const kiln_reader &reader, const kiln_program *program, uint32_t alignment) {
  kiln_program_info info{};
  info.size = sizeof info;
  reader.program(program, &info);
  Reading reading{reader, program, alignment, std::vector<LaunchFacts>(info.kernel_count), {}};
  auto visit = [](void *self, const kiln_node *, const kiln_node_info *node, uint32_t) {
    auto &reading = *static_cast<Reading *>(self);
    if (node->kind == KILN_NODE_LAUNCH && node->kernel < reading.facts.size())
      reading.launch(*node);
  };
  for (uint32_t i = 0; i < info.entry_count; ++i) {
    reading.entry = {};
    reading.entry.size = sizeof reading.entry;
    reader.entry(program, i, &reading.entry);
    if (reading.entry.root)
      kiln_walk_nodes(&reader, reading.entry.root, 0, visit, &reading);
  }
  return std::move(reading.facts);
}

void boundSweeps(sdk::Graph &graph, const LaunchFacts *facts) {
  constexpr int64_t most = (static_cast<int64_t>(1) << 31) - 1;
  for (size_t i = 0; i < graph.extentBounds.size(); ++i) {
    if (graph.extentBounds[i] <= most)
      continue;
    bool known = facts && i < facts->extentBounds.size() && facts->extentBounds[i] < graph.extentBounds[i];
    int64_t bound = known ? std::max<int64_t>(facts->extentBounds[i], 1) : most; // of no element: as of one
    for (sdk::Type &type : graph.values)
      for (kiln_extent &dim : type.dims)
        if (dim.slot == static_cast<int32_t>(i))
          dim.value = bound;
    graph.extentBounds[i] = bound;
  }
}

} // namespace kiln::vulkan
