// Small models run through the reference interpreter.
#pragma once

#include "frontend/language/Load.h"
#include "ir/interpreter/Interpreter.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

namespace kiln::testing {

/// Runs a function of a model on tensors given by the order of its inputs.
inline std::vector<HostTensor> run(const std::string &text, const std::vector<HostTensor> &arguments,
                                   const std::string &function = "forward") {
  mlir::MLIRContext context;
  kiln::Diagnostics diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module = kiln::loadModelText(context, text, "test.kiln", {}, diagnostics);
  EXPECT_TRUE(module) << text << diagnostics.render();
  if (!module)
    return {};
  auto func = module->lookupSymbol<mlir::func::FuncOp>(function);
  EXPECT_TRUE(func) << text;
  // The tensors' types belong to this context.
  std::vector<HostTensor> own;
  for (auto [tensor, type] : llvm::zip(arguments, func.getArgumentTypes())) {
    mlir::Type element = llvm::cast<mlir::RankedTensorType>(type).getElementType();
    own.push_back(tensor.floats.empty() ? HostTensor::ofIntegers(element, tensor.shape, tensor.integers)
                                        : HostTensor::ofFloats(element, tensor.shape, tensor.floats));
  }
  auto outcome = kiln::interpret(func, own);
  EXPECT_TRUE(outcome.ok()) << outcome.status().message();
  return outcome.ok() ? outcome->results : std::vector<HostTensor>();
}

inline HostTensor floats(std::vector<int64_t> shape, std::vector<double> values) {
  HostTensor tensor;
  tensor.shape = std::move(shape);
  tensor.floats = std::move(values);
  return tensor;
}

inline HostTensor integers(std::vector<int64_t> shape, std::vector<int64_t> values) {
  HostTensor tensor;
  tensor.shape = std::move(shape);
  tensor.integers.assign(values.begin(), values.end());
  return tensor;
}

inline void expectNear(const HostTensor &found, const std::vector<int64_t> &shape, const std::vector<double> &values) {
  EXPECT_EQ(std::vector<int64_t>(found.shape.begin(), found.shape.end()), shape);
  std::vector<double> numbers(found.floats.begin(), found.floats.end());
  if (numbers.empty())
    numbers.assign(found.integers.begin(), found.integers.end());
  ASSERT_EQ(numbers.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(numbers[i], values[i], 2e-6 * std::max(1.0, std::abs(values[i]))) << "element " << i;
}

} // namespace kiln::testing
