// The reference interpreter: says what each op means. Floats are computed in double whatever their type (or rounded
// to it after each op), integers at their own width with wrap-around. It is the judge of everything else.
#pragma once

#include "ir/interpreter/HostTensor.h"

#include "absl/status/statusor.h"

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace kiln {

/// The first mistake in the data, as a program's status record holds it: the run goes on with a stated value.
struct DataError {
  enum Kind { indexOutOfRange, divisionByZero };
  Kind kind = indexOutOfRange;
  std::string op;
  mlir::Location location;
  int64_t value = 0; // the index
  int64_t limit = 0; // the dimension
  std::string str() const;
};

struct InterpreterOptions {
  /// Round each op's float results to their element type; else all floats stay doubles.
  bool roundToDtype = false;
  /// Move each float that an op computes by up to half a unit in the last place of its element type instead, at random:
  /// what results may come to where roundings fall elsewhere (a fused op rounds once, and not where each op ends).
  bool jitter = false;
  /// Values of symbols that no argument's shape gives.
  std::map<std::string, int64_t> symbols;
  /// Called after each op (those inside regions too, those of a composite's decomposition not).
  std::function<void(mlir::Operation *, llvm::ArrayRef<const HostTensor *>)> observer;
  /// What stop_gradient ops gave, in the order they ran. `hold` appends to it; `held` takes their results from it, so
  /// that a loss varies with a parameter as its gradient says. Both belong to the caller; runs of one function only.
  std::vector<HostTensor> *hold = nullptr;
  const std::vector<HostTensor> *held = nullptr;
};

struct Interpreted {
  std::vector<HostTensor> results;
  std::optional<DataError> error;
};

/// Runs a function on its arguments. An error status when the arguments do not fit the signature (naming the argument,
/// what was expected and what was found), or when an op has no meaning here.
absl::StatusOr<Interpreted> interpret(mlir::func::FuncOp function, llvm::ArrayRef<HostTensor> arguments,
                                      const InterpreterOptions &options = {});

/// Runs one op without regions on its operands. Its result types must be static, or one of `symbols` each.
absl::StatusOr<Interpreted> evaluate(mlir::Operation *op, llvm::ArrayRef<const HostTensor *> operands,
                                     const InterpreterOptions &options = {});

} // namespace kiln
