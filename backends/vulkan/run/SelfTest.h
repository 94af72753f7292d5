// What a device and its driver are found to do, by trying, at their first run.
#pragma once

#include "backends/vulkan/artifact.h"
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
  bool loopsTried = false;
  /// Kinds of variants (bits 1 << KILN_VK_KIND_...) and features (KILN_VK_STORAGE16 and so on) that were tried, and
  /// those of them whose results were wrong.
  uint32_t kinds = 0, wrongKinds = 0, features = 0, wrongFeatures = 0;
};

/// The features that can be tried by themselves.
constexpr uint32_t triedFeatures =
    KILN_VK_STORAGE8 | KILN_VK_STORAGE16 | KILN_VK_I64 | KILN_VK_F64 | KILN_VK_MATRIX_BF16;

/// What of a device is known to be right, and what is not. The option self-test: "again" tries all again, "skip" tries
/// and knows nothing but how loops end.
class SelfTest {
public:
  explicit SelfTest(Device &device) : device(device) {}

  /// Tries how the driver ends loops, unless that was done before: some milliseconds.
  Failure tryLoops();
  /// Tries these, as far as that was not done before: a pipeline or two each.
  Failure tryOut(uint32_t kinds, uint32_t features);
  /// What of the variant is known to be wrong, by name; empty: nothing. The first time a kind is asked for, that is
  /// logged.
  std::string wrongIn(const kiln_vk_variant &variant);
  /// Reads and tries nothing: for tests.
  void assume(const Findings &findings) { known = findings, isRead = skips = true; }
  const Findings &findings() const { return known; }

private:
  void read();

  Device &device;
  Findings known;
  uint32_t told = 0; // kinds
  std::string file;
  bool isRead = false, skips = false;
};

} // namespace kiln::vulkan
