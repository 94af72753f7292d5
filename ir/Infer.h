// Result types of ops from their operands: one function for each op whose type
// follows. The verifiers, the builder helpers and the frontend's shape checks
// all ask these, so that a rule about shapes stands in one place.
#pragma once

#include "ir/Kiln.h"

#include <optional>
#include <string>

namespace kiln {

/// A type, or a sentence that says which numbered constraint of the op does not
/// hold, with expected and found.
struct Inferred {
  mlir::RankedTensorType type;
  std::string error;
  explicit operator bool() const { return static_cast<bool>(type); }
};

/// True when the expression is not negative for all symbols >= 1 (sufficient,
/// not necessary).
bool isNonNegative(const Dim &dim);
/// How many elements a tensor of these dimensions has.
Dim productOf(llvm::ArrayRef<Dim> dims);
/// "f32[B, 4*T]", for messages.
std::string describe(mlir::Type type);

Inferred inferReduce(ReduceKind kind, mlir::RankedTensorType operand, llvm::ArrayRef<int64_t> axes);
Inferred inferArgReduce(mlir::RankedTensorType operand, int64_t axis, mlir::Type element);
Inferred inferCompare(mlir::RankedTensorType lhs, mlir::RankedTensorType rhs);
Inferred inferReshape(mlir::RankedTensorType operand, llvm::ArrayRef<Dim> dims);
Inferred inferTranspose(mlir::RankedTensorType operand, llvm::ArrayRef<int64_t> permutation);
Inferred inferBroadcast(mlir::RankedTensorType operand, llvm::ArrayRef<int64_t> axes, llvm::ArrayRef<Dim> dims);
Inferred inferSlice(mlir::RankedTensorType operand, llvm::ArrayRef<Dim> starts, llvm::ArrayRef<Dim> sizes,
                    llvm::ArrayRef<int64_t> strides);
Inferred inferPad(mlir::RankedTensorType operand, llvm::ArrayRef<Dim> low, llvm::ArrayRef<Dim> high,
                  llvm::ArrayRef<int64_t> interior);
Inferred inferConcat(llvm::ArrayRef<mlir::RankedTensorType> inputs, int64_t axis);
Inferred inferReduceWindow(ReduceKind kind, mlir::RankedTensorType operand, llvm::ArrayRef<int64_t> window,
                           llvm::ArrayRef<int64_t> strides, llvm::ArrayRef<int64_t> low, llvm::ArrayRef<int64_t> high);
/// `element` null: the operands' own element type.
Inferred inferDotGeneral(mlir::RankedTensorType lhs, mlir::RankedTensorType rhs, llvm::ArrayRef<int64_t> lhsBatch,
                         llvm::ArrayRef<int64_t> rhsBatch, llvm::ArrayRef<int64_t> lhsContract,
                         llvm::ArrayRef<int64_t> rhsContract, mlir::Type element = {});
Inferred inferConvolution(mlir::RankedTensorType input, mlir::RankedTensorType filter, llvm::ArrayRef<int64_t> strides,
                          llvm::ArrayRef<int64_t> low, llvm::ArrayRef<int64_t> high,
                          llvm::ArrayRef<int64_t> inputDilation, llvm::ArrayRef<int64_t> filterDilation, int64_t groups,
                          mlir::Type element = {});
Inferred inferGather(mlir::RankedTensorType operand, mlir::RankedTensorType indices, int64_t axis, int64_t batchDims);
/// `minimums` may be null.
Inferred inferDequantize(mlir::RankedTensorType blocks, mlir::RankedTensorType scales, mlir::RankedTensorType minimums);
Inferred inferDecode(llvm::StringRef coding, mlir::RankedTensorType codes, mlir::RankedTensorType scales);
/// The type of `values`; that of `indices` is withElement(type, i32 or i64).
Inferred inferTopK(mlir::RankedTensorType operand, int64_t k);
Inferred inferCrossEntropy(mlir::RankedTensorType logits, mlir::RankedTensorType targets);

/// So wide a window may be: places among keys stay within 32 bits.
inline constexpr uint64_t widestWindow = uint64_t{1} << 30;
/// What attention and attention_grad say beside query, key and value; types that are null are not there.
struct AttentionOptions {
  mlir::RankedTensorType mask = {}, start = {}, bias = {};
  bool causal = false;
  int64_t groups = 1;
  std::optional<uint64_t> slidingWindow = {};
};
template <class Op> AttentionOptions attentionOptions(Op op) {
  auto typeOf = [](mlir::Value value) {
    return value ? llvm::cast<mlir::RankedTensorType>(value.getType()) : mlir::RankedTensorType();
  };
  mlir::RankedTensorType bias;
  if constexpr (requires { op.getBias(); })
    bias = typeOf(op.getBias());
  return {typeOf(op.getMask()), typeOf(op.getStart()), bias, op.getCausal(), static_cast<int64_t>(op.getGroups()),
          op.getSlidingWindow()};
}
Inferred inferAttention(mlir::RankedTensorType query, mlir::RankedTensorType key, mlir::RankedTensorType value,
                        const AttentionOptions &options);

} // namespace kiln
