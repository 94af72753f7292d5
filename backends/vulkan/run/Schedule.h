// In what order a segment's commands are recorded.
#pragma once

#include "backends/vulkan/run/Trace.h"

namespace kiln::vulkan {

/// Commands that are recorded as one: launches of one dispatch of the artifact, or a single command of any kind.
struct Batch {
  uint32_t first, count; ///< of Schedule::order
};

struct Schedule {
  uint32_t levels = 0;           ///< as many as the longest chain of commands that wait for each other
  std::vector<uint32_t> levelOf; ///< of each command
  std::vector<uint32_t> order;   ///< commands by levels; those of a batch beside each other
  std::vector<Batch> batches;
};

/// Commands of one level do not touch the same bytes, unless both only read: they may run at once. A command stands at
/// its lowest level, except that one which may be part of a batch waits for others of its kind where nothing waits for
/// it until then: the number of levels stays. `most`, by the artifact's dispatches, says how many launches a batch may
/// have.
Schedule schedule(std::span<const Command> commands, std::span<const Range> ranges, std::span<const uint32_t> most);

} // namespace kiln::vulkan
