// The Vulkan backend, both sides, that notes what each execution did.
#pragma once

#include "backends/api/kiln_backend.h"

#include <cstdint>
#include <string>

namespace kiln::test {

/// What the last execution counted, and what it is measured against.
struct Counted {
  kiln_counters counters = {};
  uint64_t operandBytes = 0; ///< of all launches, and of what copies read and write
  uint32_t depth = 0;        ///< of the graph of dependences, memory that is used again included
  std::string list;          ///< a line for each command: its level, its kernel
};
Counted &lastExecution();

const kiln_backend *countedVulkan(const kiln_offer *offer, kiln_error *error);

} // namespace kiln::test
