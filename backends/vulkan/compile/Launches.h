// What a program's launches have in common.
#pragma once

#include "backends/sdk/Graph.h"

namespace kiln::vulkan {

/// Of all launches of one kernel.
struct LaunchFacts {
  std::vector<bool> aligned;         // of each place: at a multiple of the alignment, whatever the iteration
  std::vector<int64_t> extentBounds; // the largest that each extent takes
  std::vector<int32_t> home;         // of each place: the input that an output lies upon in every launch, or -1
  uint32_t launches = 0;             // as the program's tree has them: one in a loop counts once
};

/// One for each kernel, in the program's order.
std::vector<LaunchFacts> readLaunches(const kiln_reader &reader, const kiln_program *program, uint32_t alignment);

/// A kernel without a shape of its own (a sweep over a tensor of any length) states a bound that no shader can index:
/// in its place stands the largest of the launches, or, where these are not known yet, the largest that is allowed.
void boundSweeps(sdk::Graph &graph, const LaunchFacts *facts);

} // namespace kiln::vulkan
