// The arguments that `kiln check --gradients` computes with: what the user gives, and drawn numbers for the rest.
#pragma once

#include "frontend/cli/GivenInputs.h"
#include "ir/interpreter/HostTensor.h"

#include "absl/status/statusor.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <map>
#include <random>
#include <string>
#include <vector>

namespace kiln {

class Draws {
public:
  Draws(mlir::func::FuncOp loss, std::vector<GivenInput> given, uint32_t seed);

  /// One tensor for each argument. An error status where what is given fits no input, or its shape does not fit.
  absl::StatusOr<std::vector<HostTensor>> make();
  /// Of each integer input that was drawn, from which numbers and why; lines for the user.
  const std::vector<std::string> &lines() const { return lines_; }
  std::mt19937_64 &random() { return random_; }

private:
  absl::Status takeGiven();
  absl::Status takeShape(unsigned argument, GivenInput &given);
  std::vector<int64_t> shapeOf(unsigned argument);
  void drawFloats(HostTensor &tensor, mlir::DictionaryAttr init);
  void drawIntegers(HostTensor &tensor, unsigned argument);
  std::string nameOf(unsigned argument);

  mlir::func::FuncOp loss_;
  std::vector<GivenInput> given_;
  std::vector<const GivenInput *> ofArgument_; ///< null: drawn
  uint32_t seed_;
  std::mt19937_64 random_;
  std::map<std::string, int64_t> symbols_;
  std::vector<std::string> lines_;
};

} // namespace kiln
