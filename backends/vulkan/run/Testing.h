// What only tests reach for.
#pragma once

#include <cstdint>

namespace kiln::vulkan {

struct Hooks {
  bool staged = false; ///< buffers allocated from now on are copied to and from as if the host did not see them
  int64_t leaveOutBarrier = -1; ///< recordings made from now on lack the barrier of this number
  int32_t failSubmit = 0;       ///< the next submission gives this VkResult
  uint32_t wrongKinds = 0;      ///< the self-test takes kinds of these bits for wrong
  uint64_t memoryLimit = 0;     ///< allocations beyond this many bytes on a device fail; 0: none do
};
Hooks &hooks();

} // namespace kiln::vulkan
