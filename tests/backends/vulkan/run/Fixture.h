// Programs with hand-written shaders, run on whatever Vulkan device there is.
#pragma once

#include "backends/vulkan/compile/Plan.h"
#include "backends/vulkan/run/Executable.h"
#include "backends/vulkan/run/Run.h"
#include "runtime/backend/Tables.h"

#include <deque>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace kiln::test {

inline constexpr kiln_extent none{0, -1};

/// A kernel over f32 vectors whose length is the launch's extent 0.
struct ShaderKernel {
  std::string name;
  uint32_t inputs = 0, outputs = 1;
  uint32_t extents = 1;
  vulkan::KernelPlan plan;
};

/// One dispatch: `body` sees the buffers b0, b1, ... (float v[]), the words w[] (the bases of all places, then the
/// length) and the invocation's number i, below the length.
ShaderKernel elementwise(const std::string &name, uint32_t inputs, const std::string &body);

class VulkanRun : public testing::Test {
protected:
  void SetUp() override;
  void TearDown() override;

  // Trees.
  static kiln_place argument(uint32_t number, int64_t offset = 0, kiln_extent stride = none) {
    return {KILN_SPACE_ARGUMENT, number, offset, {stride, none, none}};
  }
  static kiln_place arena(int64_t offset) { return {KILN_SPACE_ARENA, 0, offset, {none, none, none}}; }
  static kiln_place constant(int64_t offset) { return {KILN_SPACE_CONSTANT, 0, offset, {none, none, none}}; }
  /// `extents`: those of the kernel; given as the entry's slot 0 where left out.
  kiln_node launch(uint32_t kernel, std::vector<kiln_place> at, std::vector<kiln_extent> extents = {{0, 0}});
  kiln_node with(kiln_node_kind kind, std::vector<kiln_node> inside);
  kiln_node copy(kiln_place from, kiln_place to, int64_t bytes);

  /// Makes the artifact of the kernels and loads the program, whose entries are these trees. Arguments are as many as
  /// there are buffers. The entry's extents: slot 0 is given (1 is a loop's number).
  int32_t load(const std::vector<kiln_node> &roots, uint32_t arguments);
  int32_t loadBlob(const std::vector<uint8_t> &blob);
  std::vector<uint8_t> blob();
  kiln_buffer *buffer(const std::vector<float> &values);
  kiln_buffer *bytes(uint64_t count);
  std::vector<float> read(kiln_buffer *buffer, size_t count, size_t first = 0);
  int32_t run(std::vector<kiln_buffer *> buffers, int64_t length, uint32_t entry = 0, kiln_event **event = nullptr);
  kiln_counters counters();
  void unload();
  void openDevice();
  void closeDevice();
  vulkan::Executable &internals() { return *reinterpret_cast<vulkan::Executable *>(executable); }
  vulkan::Device &internalDevice() { return *reinterpret_cast<vulkan::Device *>(device); }

  uint32_t add = 0, scale = 0, slow = 0, check = 0, below = 0; // kernels that are always there
  std::vector<ShaderKernel> kernels;
  uint64_t alignmentOfArtifact = 256, partBytes = 64 << 20;
  std::vector<float> constants = {100, 200, 300, 400};
  std::string cacheFolder;
  const kiln_run_api *api = kiln_vulkan_run_api();
  static kiln_host host; ///< lives as long as the process: the instance logs to it
  kiln_device *device = nullptr;
  kiln_executable *executable = nullptr;
  kiln_error error = {};
  kiln_status status = {};
  static std::string log;
  uint64_t arenaBytes = 65536;

private:
  std::deque<std::vector<kiln_place>> places;
  std::deque<std::vector<kiln_extent>> extents;
  std::deque<std::vector<kiln_node>> children;
  std::vector<kiln_kernel> rows;
  std::vector<std::vector<int64_t>> bounds;
  std::vector<EntryRow> entries;
  std::vector<int64_t> argumentBytes;
  kiln_program program = {};
  std::vector<uint8_t> artifact;
  std::vector<kiln_buffer *> owned;
  kiln_buffer *arenaBuffer = nullptr;
};

} // namespace kiln::test
