#include "backends/vulkan/compile/Target.h"
#include "backends/api/kiln_text.h"
#include <algorithm>
#include <string_view>

namespace kiln::vulkan {

Settings Target::settings() const {
  Settings settings;
  settings.fast = fast;
  settings.processor = processor;
  settings.gpu = gpu;
  settings.plainMatrices = plainMatrices;
  settings.partBytes = partBytes;
  return settings;
}

bool Target::read(const kiln_target &target, Target &out, std::string &error) {
  std::string_view device, math;
  if (target.size >= offsetof(kiln_target, device) + sizeof target.device)
    device = view(target.device);
  if (target.size >= offsetof(kiln_target, math) + sizeof target.math)
    math = view(target.math);
  out = Target();
  out.jobs = std::max(1u, target.jobs);
  // The artifact of "portable" holds variants for every device; which are used is decided when a program starts. The
  // compiling machine's own device says nothing that the variants do not cover, so "native" is the same.
  if (device == "processor" || device == "lavapipe")
    out.gpu = false;
  else if (device == "gpu")
    out.processor = false;
  else if (device == "plain-matrices")
    out.processor = false, out.plainMatrices = true;
  else if (!device.empty() && device != "portable" && device != "native") {
    error = "the vulkan backend has no device profile '" + std::string(device) +
            "'; it has portable (the default), gpu, processor (lavapipe), and plain-matrices (for tests)";
    return false;
  }
  if (math == "fast")
    out.fast = true;
  else if (!math.empty() && math != "strict") {
    error = "math is 'strict' or 'fast', not '" + std::string(math) + "'";
    return false;
  }
  return true;
}

} // namespace kiln::vulkan
