// What one training step gives the device to do, counted and held.
#include "tests/backends/vulkan/step/Counted.h"

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

TEST(VulkanStep, Gpt) {
  mlir::MLIRContext context;
  Diagnostics diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module = loadModel(context, KILN_MODELS "/gpt/gpt.kiln", {}, diagnostics);
  ASSERT_TRUE(module) << diagnostics.render();
  auto compiled = Compiled::createOn(*module, "vulkan", countedVulkan);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  std::map<std::string, HostTensor> inputs = {{"data.ids", tokens(context)}, {"data.next", tokens(context)}};
  auto results = (*compiled)->run("train_step", inputs);
  ASSERT_TRUE(results.ok()) << results.status();

  const Counted &step = lastExecution();
  uint64_t bytes = step.counters.bytes_read + step.counters.bytes_written;
  std::printf(
      "dispatches %llu, barriers %llu, depth %u, submits %llu, round trips %llu, bytes %.3f of the operands'\n",
      static_cast<unsigned long long>(step.counters.launches), static_cast<unsigned long long>(step.counters.barriers),
      step.depth, static_cast<unsigned long long>(step.counters.submits),
      static_cast<unsigned long long>(step.counters.host_round_trips), double(bytes) / double(step.operandBytes));
  if (std::getenv("KILN_LIST"))
    std::printf("%s", step.list.c_str());
  // The goal is 30 a layer and 25 beside them.
  EXPECT_LE(step.counters.launches, 150u);
  EXPECT_LE(step.counters.barriers, step.depth);
  EXPECT_EQ(step.counters.submits, 1u);
  EXPECT_EQ(step.counters.host_round_trips, 0u);
  EXPECT_LE(double(bytes), 1.05 * double(step.operandBytes));
}

} // namespace
} // namespace kiln::test
