// What a device profile promises.
#pragma once

#include "backends/vulkan/compile/Plan.h"

namespace kiln::vulkan {

struct Target {
  uint32_t alignment = 256; // the largest minStorageBufferOffsetAlignment that a device may have
  uint64_t partBytes = static_cast<uint64_t>(1) << 27; // the smallest maxStorageBufferRange
  bool processor = true, gpu = true;                   // which variants are made
  bool plainMatrices = false;                          // Settings::plainMatrices
  bool fast = false;
  uint32_t jobs = 1;

  Settings settings() const;
  /// False with a sentence for a device profile that is not known.
  static bool read(const kiln_target &target, Target &out, std::string &error);
};

} // namespace kiln::vulkan
