// The optimizers: each one's state and update, as PyTorch defines them.
#pragma once

#include "ir/Build.h"

namespace kiln {

/// One tensor that an optimizer keeps for each parameter: PyTorch's name for it, and its first value.
struct OptimizerState {
  llvm::StringRef name;
  double initial = 0;
};

/// What the update of a parameter reads. Scalars are tensor<f64>.
struct UpdateInputs {
  mlir::Value parameter, gradient;
  llvm::SmallVector<mlir::Value> states; // in the order of OptimizerState
  mlir::Value rate, step;                // the step counts from 0
  double weightDecay;
};

struct UpdateResult {
  mlir::Value parameter;
  llvm::SmallVector<mlir::Value> states;
};

/// One optimizer of a recipe: `{kind = "adamw", lr = …, beta1 = …}`.
class Optimizer {
public:
  /// Null, with an error at `at`, for what is not known.
  static std::unique_ptr<Optimizer> make(mlir::DictionaryAttr recipe, mlir::Operation *at);
  virtual ~Optimizer() = default;

  virtual llvm::SmallVector<OptimizerState> states() const = 0;
  virtual UpdateResult update(Emit &e, const UpdateInputs &inputs) const = 0;
  double weightDecay() const { return defaultDecay; }

protected:
  double defaultDecay = 0;
};

} // namespace kiln
