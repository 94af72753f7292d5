// What a device and its driver are found to do, by trying, at their first run.
#pragma once

#include "backends/vulkan/run/Failure.h"
#include <cstdint>
#include <string>

namespace kiln::vulkan {

struct Device;

/// Kept in the cache folder beside the driver's pipeline cache, under the same name: the device's and the driver's.
struct Findings {
  /// After so many passes of its loops in all the driver ends an invocation's (llvmpipe: 65,535), without a word; 0: no
  /// such limit up to some millions.
  uint64_t loopPasses = 0;
  /// Whether loops in strips (EmitterOptions::mostPasses) count as fewer.
  bool strips = true;
};

/// Reads what was found before, or tries: some milliseconds, on a processor a second.
Failure findOut(Device &device, Findings &findings);

} // namespace kiln::vulkan
