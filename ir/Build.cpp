// Ops built with their types inferred.

#include "ir/Build.h"
#include "ir/Values.h"

#include "runtime/support/Integers.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/ErrorHandling.h"

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::RankedTensorType;
using mlir::Value;

namespace kiln {

namespace {

RankedTensorType require(const Inferred &result, const char *what) {
  if (!result)
    llvm::report_fatal_error(llvm::Twine("building kiln.") + what + ": " + result.error);
  return result.type;
}

/// The splat's elements: in the type's own shape, or of rank 0 where the shape
/// is symbolic.
mlir::DenseElementsAttr splatElements(mlir::Type type, mlir::Attribute value) {
  auto tensor = llvm::cast<RankedTensorType>(type);
  if (!tensor.hasStaticShape())
    tensor = RankedTensorType::get({}, tensor.getElementType());
  return mlir::DenseElementsAttr::get(tensor, value);
}

} // namespace

Value Emit::splat(mlir::Type type, double value) {
  mlir::Type element = llvm::cast<RankedTensorType>(type).getElementType();
  if (!llvm::isa<mlir::FloatType>(element))
    return splatInt(type, toInteger(value));
  return create<ConstantOp>(type, splatElements(type, mlir::FloatAttr::get(element, value)));
}

Value Emit::splatInt(mlir::Type type, int64_t value) {
  mlir::Type element = llvm::cast<RankedTensorType>(type).getElementType();
  if (llvm::isa<mlir::FloatType>(element))
    return splat(type, static_cast<double>(value));
  llvm::APInt bits(64, static_cast<uint64_t>(value), /*isSigned=*/true);
  return create<ConstantOp>(
      type, splatElements(type, mlir::IntegerAttr::get(element, bits.trunc(element.getIntOrFloatBitWidth()))));
}

Value Emit::iota(ArrayRef<Dim> dims, int64_t axis, mlir::Type element) {
  return create<IotaOp>(tensorType(dims, element), axis);
}

Value Emit::extent(const Dim &dim, mlir::Type element) {
  RankedTensorType type = tensorType({}, element);
  if (std::optional<int64_t> value = dim.constant())
    return splatInt(type, *value);
  return create<ExtentOp>(type, DimsAttr::get(b.getContext(), {dim}));
}

Value Emit::compare(Predicate predicate, Value x, Value y) {
  return create<CompareOp>(require(inferCompare(tensorOf(x), tensorOf(y)), "compare"), predicate, x, y);
}

Value Emit::convertTo(Value x, mlir::Type element) {
  RankedTensorType type = withElement(x.getType(), element);
  return type == x.getType() ? x : Value(create<ConvertOp>(type, x));
}

Value Emit::reshapeTo(Value x, ArrayRef<Dim> dims) {
  RankedTensorType type = require(inferReshape(tensorOf(x), dims), "reshape");
  return type == x.getType() ? x : Value(create<ReshapeOp>(type, x));
}

Value Emit::transposed(Value x, ArrayRef<int64_t> permutation) {
  RankedTensorType type = require(inferTranspose(tensorOf(x), permutation), "transpose");
  return llvm::is_sorted(permutation) ? x : Value(create<TransposeOp>(type, x, permutation));
}

Value Emit::broadcastTo(Value x, ArrayRef<int64_t> axes, ArrayRef<Dim> dims) {
  RankedTensorType type = require(inferBroadcast(tensorOf(x), axes, dims), "broadcast");
  return type == x.getType() ? x : Value(create<BroadcastOp>(type, x, axes));
}

Value Emit::broadcastTrailing(Value x, ArrayRef<Dim> dims) {
  int64_t rank = rankOf(x);
  SmallVector<int64_t> axes;
  for (int64_t axis = 0; axis < rank; ++axis)
    axes.push_back(axis + static_cast<int64_t>(dims.size()) - rank);
  return broadcastTo(x, axes, dims);
}

Value Emit::broadcastBack(Value x, ArrayRef<int64_t> axes, ArrayRef<Dim> dims) {
  SmallVector<int64_t> kept;
  for (int64_t axis = 0; axis < static_cast<int64_t>(dims.size()); ++axis)
    if (!llvm::is_contained(axes, axis))
      kept.push_back(axis);
  return broadcastTo(x, kept, dims);
}

Value Emit::slice(Value x, ArrayRef<Dim> starts, ArrayRef<Dim> sizes, ArrayRef<int64_t> strides) {
  SmallVector<int64_t> steps(strides);
  steps.resize(starts.size(), 1);
  RankedTensorType type = require(inferSlice(tensorOf(x), starts, sizes, steps), "slice");
  return type == x.getType() ? x : Value(create<SliceOp>(type, x, DimsAttr::get(b.getContext(), starts), steps));
}

Value Emit::sliceAxis(Value x, int64_t axis, const Dim &start, const Dim &size) {
  SmallVector<Dim> sizes = dimsOf(x), starts(sizes.size(), Dim(0));
  starts[axis] = start;
  sizes[axis] = size;
  return slice(x, starts, sizes);
}

Value Emit::pad(Value x, Value value, ArrayRef<Dim> low, ArrayRef<Dim> high, ArrayRef<int64_t> interior) {
  SmallVector<int64_t> gaps(interior);
  gaps.resize(low.size(), 0);
  RankedTensorType type = require(inferPad(tensorOf(x), low, high, gaps), "pad");
  mlir::MLIRContext *context = b.getContext();
  if (type == x.getType())
    return x;
  return create<PadOp>(type, x, value, DimsAttr::get(context, low), DimsAttr::get(context, high), gaps);
}

Value Emit::concat(mlir::ValueRange inputs, int64_t axis) {
  SmallVector<RankedTensorType> types;
  for (Value input : inputs)
    types.push_back(tensorOf(input));
  RankedTensorType type = require(inferConcat(types, axis), "concat");
  return inputs.size() == 1 ? inputs.front() : Value(create<ConcatOp>(type, inputs, axis));
}

Value Emit::reduce(ReduceKind kind, Value x, ArrayRef<int64_t> axes) {
  RankedTensorType type = require(inferReduce(kind, tensorOf(x), axes), "reduce");
  return axes.empty() ? x : Value(create<ReduceOp>(type, kind, x, axes));
}

Value Emit::meanOver(Value x, ArrayRef<int64_t> axes) {
  Value sum = reduceSum(x, axes);
  SmallVector<Dim> dims = dimsOf(x);
  Dim count(1);
  for (int64_t axis : axes)
    count = count * dims[axis];
  if (std::optional<int64_t> size = count.constant())
    return *size == 1 ? sum : mul(sum, 1.0 / static_cast<double>(*size));
  mlir::Type element = elementOf(x);
  Value reciprocal = div(scalar(element, 1.0), extent(count, element));
  return mul(sum, broadcastScalar(reciprocal, dimsOf(sum)));
}

Value Emit::argReduce(ArgKind kind, Value x, int64_t axis, mlir::Type element) {
  return create<ArgReduceOp>(
      require(inferArgReduce(tensorOf(x), axis, element ? element : b.getI32Type()), "arg_reduce"), kind, x, axis);
}

Value Emit::dot(Value lhs, Value rhs, const DotAxes &axes, mlir::Type element) {
  RankedTensorType type = require(inferDotGeneral(tensorOf(lhs), tensorOf(rhs), axes.lhsBatch, axes.rhsBatch,
                                                  axes.lhsContract, axes.rhsContract, element),
                                  "dot_general");
  return create<DotGeneralOp>(type, lhs, rhs, axes.lhsBatch, axes.rhsBatch, axes.lhsContract, axes.rhsContract);
}

Value Emit::gather(Value operand, Value indices, int64_t axis, int64_t batchDims) {
  return create<GatherOp>(require(inferGather(tensorOf(operand), tensorOf(indices), axis, batchDims), "gather"),
                          operand, indices, axis, batchDims);
}

Value Emit::dequantize(Value blocks, Value scales, Value minimums) {
  Inferred type =
      inferDequantize(tensorOf(blocks), tensorOf(scales), minimums ? tensorOf(minimums) : RankedTensorType());
  return create<DequantizeOp>(require(type, "dequantize"), blocks, scales, minimums);
}

Value Emit::decode(llvm::StringRef coding, Value codes, Value scales) {
  return create<DecodeOp>(require(inferDecode(coding, tensorOf(codes), tensorOf(scales)), "decode"), coding, codes,
                          scales);
}

} // namespace kiln
