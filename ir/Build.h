// Short ways to build ops: an Emit holds a builder and a location, and infers
// each op's result type. A shape that does not fit is a mistake of the caller
// and stops the process; for a user's shapes ask ir/Infer.h first.
#pragma once

#include "ir/Infer.h"

namespace kiln {

/// For the shapes and layout: which axes pair up in a dot_general.
struct DotAxes {
  llvm::SmallVector<int64_t, 4> lhsBatch, rhsBatch, lhsContract, rhsContract;
};

class Emit {
public:
  Emit(mlir::OpBuilder &builder, mlir::Location loc) : b(builder), loc(loc) {}

  mlir::OpBuilder &b;
  mlir::Location loc;

  template <typename Op, typename... Args> Op create(Args &&...args) {
    return b.create<Op>(loc, std::forward<Args>(args)...);
  }
  /// An elementwise op whose result has its first operand's type.
  template <typename Op, typename... Values> mlir::Value op(mlir::Value first, Values... rest) {
    return b.create<Op>(loc, first.getType(), first, rest...);
  }

  // Constants. A splat of a float, integer or bool type; `value` must be
  // representable in an integer type.
  mlir::Value splat(mlir::Type type, double value);
  mlir::Value splatInt(mlir::Type type, int64_t value);
  mlir::Value splatLike(mlir::Value value, double number) { return splat(value.getType(), number); }
  mlir::Value scalar(mlir::Type element, double value) { return splat(tensorType({}, element), value); }
  mlir::Value iota(llvm::ArrayRef<Dim> dims, int64_t axis, mlir::Type element);
  /// The expression's value as a scalar: a constant where it is one.
  mlir::Value extent(const Dim &dim, mlir::Type element);

  // Elementwise.
  mlir::Value neg(mlir::Value x) { return op<NegOp>(x); }
  mlir::Value exp(mlir::Value x) { return op<ExpOp>(x); }
  mlir::Value log(mlir::Value x) { return op<LogOp>(x); }
  mlir::Value sqrt(mlir::Value x) { return op<SqrtOp>(x); }
  mlir::Value rsqrt(mlir::Value x) { return op<RsqrtOp>(x); }
  mlir::Value tanh(mlir::Value x) { return op<TanhOp>(x); }
  mlir::Value sigmoid(mlir::Value x) { return op<SigmoidOp>(x); }
  mlir::Value add(mlir::Value x, mlir::Value y) { return op<AddOp>(x, y); }
  mlir::Value sub(mlir::Value x, mlir::Value y) { return op<SubOp>(x, y); }
  mlir::Value mul(mlir::Value x, mlir::Value y) { return op<MulOp>(x, y); }
  mlir::Value div(mlir::Value x, mlir::Value y) { return op<DivOp>(x, y); }
  mlir::Value max(mlir::Value x, mlir::Value y) { return op<MaxOp>(x, y); }
  mlir::Value min(mlir::Value x, mlir::Value y) { return op<MinOp>(x, y); }
  mlir::Value add(mlir::Value x, double y) { return add(x, splatLike(x, y)); }
  mlir::Value sub(mlir::Value x, double y) { return sub(x, splatLike(x, y)); }
  mlir::Value mul(mlir::Value x, double y) { return mul(x, splatLike(x, y)); }
  mlir::Value div(mlir::Value x, double y) { return div(x, splatLike(x, y)); }
  mlir::Value compare(Predicate predicate, mlir::Value x, mlir::Value y);
  mlir::Value compare(Predicate predicate, mlir::Value x, double y) { return compare(predicate, x, splatLike(x, y)); }
  mlir::Value select(mlir::Value condition, mlir::Value onTrue, mlir::Value onFalse) {
    return create<SelectOp>(onTrue.getType(), condition, onTrue, onFalse);
  }
  mlir::Value stopGradient(mlir::Value x) { return op<StopGradientOp>(x); }
  /// `x` itself where it has the element type already.
  mlir::Value convertTo(mlir::Value x, mlir::Type element);

  // Layout. Each gives `x` itself where nothing would change.
  mlir::Value reshapeTo(mlir::Value x, llvm::ArrayRef<Dim> dims);
  mlir::Value transposed(mlir::Value x, llvm::ArrayRef<int64_t> permutation);
  /// Axis d of x becomes axis axes[d] of the result, which has these dimensions
  /// and x's element type.
  mlir::Value broadcastTo(mlir::Value x, llvm::ArrayRef<int64_t> axes, llvm::ArrayRef<Dim> dims);
  /// A scalar everywhere.
  mlir::Value broadcastScalar(mlir::Value x, llvm::ArrayRef<Dim> dims) { return broadcastTo(x, {}, dims); }
  /// As numpy: trailing axes line up.
  mlir::Value broadcastTrailing(mlir::Value x, llvm::ArrayRef<Dim> dims);
  /// Undoes a reduction over `axes`: x repeated along them to these dimensions.
  mlir::Value broadcastBack(mlir::Value x, llvm::ArrayRef<int64_t> axes, llvm::ArrayRef<Dim> dims);
  mlir::Value slice(mlir::Value x, llvm::ArrayRef<Dim> starts, llvm::ArrayRef<Dim> sizes,
                    llvm::ArrayRef<int64_t> strides = {});
  /// The whole of x except along one axis, where it is [start, start + size).
  mlir::Value sliceAxis(mlir::Value x, int64_t axis, const Dim &start, const Dim &size);
  mlir::Value pad(mlir::Value x, mlir::Value value, llvm::ArrayRef<Dim> low, llvm::ArrayRef<Dim> high,
                  llvm::ArrayRef<int64_t> interior = {});
  mlir::Value concat(mlir::ValueRange inputs, int64_t axis);

  // Reductions over axes that vanish.
  mlir::Value reduce(ReduceKind kind, mlir::Value x, llvm::ArrayRef<int64_t> axes);
  mlir::Value reduceSum(mlir::Value x, llvm::ArrayRef<int64_t> axes) { return reduce(ReduceKind::sum, x, axes); }
  mlir::Value reduceMax(mlir::Value x, llvm::ArrayRef<int64_t> axes) { return reduce(ReduceKind::max, x, axes); }
  /// Sum times the reciprocal of the number of elements (kiln.extent where it
  /// is symbolic).
  mlir::Value meanOver(mlir::Value x, llvm::ArrayRef<int64_t> axes);
  mlir::Value argReduce(ArgKind kind, mlir::Value x, int64_t axis, mlir::Type element = {});

  // Products and indexed access. `element`: the result's, where it is wider.
  mlir::Value dot(mlir::Value lhs, mlir::Value rhs, const DotAxes &axes, mlir::Type element = {});
  mlir::Value gather(mlir::Value operand, mlir::Value indices, int64_t axis, int64_t batchDims = 0);
  /// `minimums` may be null.
  mlir::Value dequantize(mlir::Value blocks, mlir::Value scales, mlir::Value minimums = {});
  mlir::Value decode(llvm::StringRef coding, mlir::Value codes, mlir::Value scales);
  mlir::Value scatter(ScatterKind kind, mlir::Value operand, mlir::Value indices, mlir::Value updates, int64_t axis,
                      int64_t batchDims = 0) {
    return create<ScatterOp>(operand.getType(), kind, operand, indices, updates, axis, batchDims);
  }
};

} // namespace kiln
