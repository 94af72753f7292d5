// What one training step gives the device to do, counted and held.
#include "tests/backends/vulkan/counted/Counted.h"

#include "frontend/language/Load.h"
#include "tests/support/Compiled.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/MLIRContext.h"

#include <cstdio>
#include <gtest/gtest.h>

namespace kiln::test {
namespace {

HostTensor tokens(mlir::MLIRContext &context) {
  HostTensor tensor = HostTensor::zeros(mlir::Builder(&context).getI32Type(), {12, 64});
  for (size_t i = 0; i < tensor.integers.size(); ++i)
    tensor.integers[i] = static_cast<int64_t>(i * 7 % 65);
  return tensor;
}

class VulkanStep : public testing::TestWithParam<uint32_t> {};

TEST_P(VulkanStep, Gpt) {
  const uint32_t layers = GetParam();
  mlir::MLIRContext context;
  Diagnostics diagnostics;
  LoadOptions options;
  options.set = {{"layers", std::to_string(layers)}};
  mlir::OwningOpRef<mlir::ModuleOp> module = loadModel(context, KILN_MODELS "/gpt/gpt.kiln", options, diagnostics);
  ASSERT_TRUE(module) << diagnostics.render();
  auto compiled = Compiled::createOn(*module, "vulkan", countedVulkan);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  std::map<std::string, HostTensor> inputs = {{"data.ids", tokens(context)}, {"data.next", tokens(context)}};
  auto results = (*compiled)->run("train_step", inputs);
  ASSERT_TRUE(results.ok()) << results.status();

  const Counted &step = lastExecution();
  uint64_t bytes = step.counters.bytes_read + step.counters.bytes_written;
  std::printf("%u layers: dispatches %llu, barriers %llu, depth %u, submits %llu, round trips %llu, bytes %.3f of the "
              "operands'\n",
              layers, static_cast<unsigned long long>(step.counters.launches),
              static_cast<unsigned long long>(step.counters.barriers), step.depth,
              static_cast<unsigned long long>(step.counters.submits),
              static_cast<unsigned long long>(step.counters.host_round_trips),
              static_cast<double>(bytes) / static_cast<double>(step.operandBytes));
  if (std::getenv("KILN_LIST")) // what there is to look at where a number is too high
    std::printf("%s", step.list.c_str());
  EXPECT_LE(step.counters.launches, 31 * layers + 25);
  EXPECT_LE(step.counters.barriers, step.depth);
  EXPECT_EQ(step.counters.submits, 1u);
  EXPECT_EQ(step.counters.host_round_trips, 0u);
  EXPECT_LE(static_cast<double>(bytes), 1.05 * static_cast<double>(step.operandBytes));
}

INSTANTIATE_TEST_SUITE_P(Layers, VulkanStep, testing::Values(2, 4, 12));

} // namespace
} // namespace kiln::test
