// What the interpreter's kernels share: one function for each primitive, found once for each execution of an op.
#pragma once

#include "ir/interpreter/Interpreter.h"
#include "runtime/support/Walk.h"

#include "llvm/ADT/DenseMap.h"

namespace kiln::interpreter {

/// One execution of an op. `out` has element types and shapes; its storage is zero.
struct Call {
  mlir::Operation *op;
  llvm::ArrayRef<const HostTensor *> in;
  llvm::MutableArrayRef<HostTensor> out;
  const std::map<std::string, int64_t> &symbols;
  std::optional<DataError> &error;

  /// Records the first mistake in the data.
  void record(DataError::Kind kind, int64_t value, int64_t limit = 0);
  /// The value of each expression; an error names the symbol that is missing.
  absl::StatusOr<std::vector<int64_t>> values(DimsAttr dims) const;
};

using Kernel = absl::Status (*)(Call &);
using KernelTable = llvm::DenseMap<mlir::TypeID, Kernel>;

template <typename Op> void add(KernelTable &table, Kernel kernel) { table[mlir::TypeID::get<Op>()] = kernel; }

void addElementwiseKernels(KernelTable &table);
void addLayoutKernels(KernelTable &table);
void addReduceKernels(KernelTable &table);
void addWindowKernels(KernelTable &table);
void addProductKernels(KernelTable &table);
void addIndexKernels(KernelTable &table);

bool hasKernel(mlir::Operation *op);
/// Runs one op; with `scalars`, an elementwise one, on operands and results of rank 0 whatever its types say.
absl::StatusOr<Interpreted> evaluateIn(mlir::Operation *op, llvm::ArrayRef<const HostTensor *> operands,
                                       const InterpreterOptions &options, bool scalars);

/// "kiln.slice at gpt.kiln:3:4: ..."
absl::Status failure(mlir::Operation *op, const std::string &message);

/// Calls f<T>(...) with the storage type of the tensor's elements.
template <typename F> auto onStorage(const HostTensor &tensor, F f) {
  return tensor.isFloat() ? f(double{}) : f(int64_t{});
}

} // namespace kiln::interpreter
