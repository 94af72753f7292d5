// Verifiers of the primitives' numbered constraints; the numbers are those of
// the .td files.
#include "ir/Infer.h"
#include "ir/Values.h"
#include "ir/Verify.h"

#include "llvm/ADT/STLExtras.h"

using llvm::ArrayRef;
using llvm::SmallVector;
using llvm::StringRef;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::RankedTensorType;
using mlir::Value;

namespace kiln {

namespace {

bool isIndexType(mlir::Type type) { return type.isSignlessInteger(32) || type.isSignlessInteger(64); }
/// Of an integer type that can hold an index.
bool isInteger(mlir::Type type) { return llvm::isa<mlir::IntegerType>(type) && !type.isInteger(1); }

/// The inferred type is the result's; `number` is the constraint that says so.
LogicalResult expectType(Operation *op, const Inferred &expected, mlir::Type found, StringRef number) {
  if (!expected)
    return op->emitOpError(expected.error);
  if (expected.type != found)
    return op->emitOpError() << number << " expected the result " << describe(expected.type) << ", found "
                             << describe(found);
  return mlir::success();
}

LogicalResult expectAxis(Operation *op, int64_t axis, int64_t rank) {
  if (axis < 0 || axis >= rank)
    return op->emitOpError() << "(C1) axis " << axis << " is outside [0, " << rank << ")";
  return mlir::success();
}

LogicalResult expectStarts(Operation *op, mlir::ValueRange starts, int64_t rank) {
  if (static_cast<int64_t>(starts.size()) != rank)
    return op->emitOpError() << "(C1) expected " << rank << " starts, found " << starts.size();
  for (Value start : starts)
    if (!isInteger(elementOf(start)))
      return op->emitOpError() << "(C1) a start must be an integer, found " << describe(start.getType());
  return mlir::success();
}

LogicalResult expectRankAndElement(Operation *op, Value operand, Value other, StringRef name) {
  if (rankOf(operand) != rankOf(other) || elementOf(operand) != elementOf(other))
    return op->emitOpError() << "(C2) " << name << " must have the operand's rank and element type, found "
                             << describe(operand.getType()) << " and " << describe(other.getType());
  return mlir::success();
}

LogicalResult expectTypes(Operation *op, StringRef what, mlir::TypeRange expected, mlir::TypeRange found) {
  if (llvm::equal(expected, found))
    return mlir::success();
  std::string text;
  auto list = [&](mlir::TypeRange types) {
    text += "(";
    for (auto [index, type] : llvm::enumerate(types))
      text += (index ? ", " : "") + describe(type);
    text += ")";
  };
  list(expected);
  text += ", found ";
  list(found);
  return op->emitOpError() << what << " must have the types " << text;
}

mlir::TypeRange yielded(mlir::Region &region) { return region.front().getTerminator()->getOperandTypes(); }

} // namespace

LogicalResult detail::verifyOneType(Operation *op, bool withResults) {
  mlir::Type first = op->getOperand(0).getType();
  SmallVector<mlir::Type> types(op->getOperandTypes());
  if (withResults)
    llvm::append_range(types, op->getResultTypes());
  for (mlir::Type type : types)
    if (type != first)
      return op->emitOpError() << "(C1) expected one type, found " << describe(first) << " and " << describe(type);
  return mlir::success();
}

LogicalResult detail::verifyAxis(Operation *op, int64_t axis) { return expectAxis(op, axis, rankOf(op->getResult(0))); }

LogicalResult detail::verifyElements(Operation *op, Elements elements) {
  mlir::Type element = elementOf(op->getOperand(0));
  bool real = llvm::isa<mlir::FloatType>(element), boolean = element.isInteger(1);
  auto fail = [&](StringRef what) {
    return op->emitOpError() << "(C2) expected " << what << ", found " << describe(op->getOperand(0).getType());
  };
  switch (elements) {
  case Elements::floats:
    return real ? mlir::success() : fail("floats");
  case Elements::numbers:
    return !boolean ? mlir::success() : fail("floats or integers");
  case Elements::integers:
    return !real && !boolean ? mlir::success() : fail("integers");
  case Elements::bits:
    return !real ? mlir::success() : fail("integers or bool");
  }
  return mlir::failure();
}

LogicalResult verifyRandomOperands(Operation *op, Value seed, mlir::ValueRange counters, StringRef seedNumber,
                                   StringRef countersNumber) {
  if (!elementOf(seed).isUnsignedInteger(32))
    return op->emitOpError() << seedNumber << " seed must be ui32[], found " << describe(seed.getType());
  if (counters.size() > 3)
    return op->emitOpError() << countersNumber << " expected at most 3 counters, found " << counters.size();
  for (Value counter : counters)
    if (!elementOf(counter).isSignlessInteger(32))
      return op->emitOpError() << countersNumber << " a counter must be i32[], found " << describe(counter.getType());
  return mlir::success();
}

//===-- Elementwise and sources ----------------------------------------------------------------------------------===//

LogicalResult CompareOp::verify() {
  return expectType(*this, inferCompare(tensorOf(getLhs()), tensorOf(getRhs())), getType(), "(C2)");
}

LogicalResult SelectOp::verify() {
  mlir::Type expected = withElement(getType(), mlir::IntegerType::get(getContext(), 1));
  if (getCondition().getType() != expected)
    return emitOpError() << "(C2) expected the condition " << describe(expected) << ", found "
                         << describe(getCondition().getType());
  return mlir::success();
}

LogicalResult ConvertOp::verify() {
  return expectType(*this, {withElement(getOperand().getType(), elementOf(getResult())), ""}, getType(), "(C1)");
}

LogicalResult BitcastOp::verify() {
  mlir::Type from = elementOf(getOperand()), to = elementOf(getResult());
  auto fits = [](mlir::Type real, mlir::Type whole) {
    return (real.isF32() && whole.isInteger(32)) || (real.isF64() && whole.isInteger(64));
  };
  if (!fits(from, to) && !fits(to, from))
    return emitOpError() << "(C1) f32 and an integer of 32 bits, or f64 and i64, were expected, found "
                         << describe(getOperand().getType()) << " and " << describe(getType());
  return expectType(*this, {withElement(getOperand().getType(), to), ""}, getType(), "(C2)");
}

LogicalResult ConstantOp::verify() {
  auto value = llvm::dyn_cast<RankedTensorType>(getValue().getType());
  if (!value || value.getElementType() != getType().getElementType())
    return emitOpError() << "(C1) expected elements of type " << getType().getElementType() << ", found "
                         << describe(getValue().getType());
  if (value.getRank() != 0 && value != getType())
    return emitOpError() << "(C2) the value's shape must be the result's or rank 0, found " << describe(value)
                         << " and " << describe(getType());
  return mlir::success();
}

LogicalResult IotaOp::verify() {
  if (getType().getElementType().isInteger(1))
    return emitOpError() << "(C2) the element type must not be bool, found " << describe(getType());
  return mlir::success();
}

LogicalResult ExtentOp::verify() {
  if (getExpr().size() != 1)
    return emitOpError() << "(C1) expected one expression, found " << getExpr().size();
  if (getType().getElementType().isInteger(1))
    return emitOpError() << "(C2) the result must be a float or an integer, found " << describe(getType());
  return mlir::success();
}

LogicalResult RandomBitsOp::verify() {
  if (mlir::failed(verifyRandomOperands(*this, getSeed(), getCounters(), "(C1)", "(C2)")))
    return mlir::failure();
  if (!elementOf(getResult()).isUnsignedInteger(32))
    return emitOpError() << "(C3) the result's element type must be ui32, found " << describe(getType());
  return mlir::success();
}

//===-- Layout ---------------------------------------------------------------------------------------------------===//

LogicalResult ReshapeOp::verify() {
  if (elementOf(getOperand()) != elementOf(getResult()))
    return emitOpError() << "(C1) element types differ: " << describe(getOperand().getType()) << " and "
                         << describe(getType());
  return expectType(*this, inferReshape(tensorOf(getOperand()), dimsOf(getType())), getType(), "(C2)");
}

LogicalResult TransposeOp::verify() {
  return expectType(*this, inferTranspose(tensorOf(getOperand()), getPermutation()), getType(), "(C2)");
}

LogicalResult BroadcastOp::verify() {
  return expectType(*this, inferBroadcast(tensorOf(getOperand()), getAxes(), dimsOf(getType())), getType(), "(C2)");
}

LogicalResult SliceOp::verify() {
  return expectType(*this, inferSlice(tensorOf(getOperand()), getStarts().dims(), dimsOf(getType()), getStrides()),
                    getType(), "(C2)");
}

LogicalResult PadOp::verify() {
  if (elementOf(getValue()) != elementOf(getOperand()))
    return emitOpError() << "(C2) the value must be a scalar of the operand's "
                            "element type, found "
                         << describe(getValue().getType()) << " for " << describe(getOperand().getType());
  return expectType(*this, inferPad(tensorOf(getOperand()), getLow().dims(), getHigh().dims(), getInterior()),
                    getType(), "(C3)");
}

LogicalResult ConcatOp::verify() {
  SmallVector<RankedTensorType> types;
  for (Value input : getInputs())
    types.push_back(tensorOf(input));
  return expectType(*this, inferConcat(types, getAxis()), getType(), "(C3)");
}

LogicalResult ReverseOp::verify() {
  SmallVector<int64_t> sorted(getAxes());
  llvm::sort(sorted);
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    return emitOpError() << "(C1) axes must be distinct";
  for (int64_t axis : sorted)
    if (mlir::failed(expectAxis(*this, axis, getType().getRank())))
      return mlir::failure();
  return mlir::success();
}

LogicalResult DynamicSliceOp::verify() {
  if (mlir::failed(expectStarts(*this, getStarts(), rankOf(getOperand()))))
    return mlir::failure();
  return expectRankAndElement(*this, getOperand(), getResult(), "the result");
}

LogicalResult DynamicUpdateSliceOp::verify() {
  if (mlir::failed(expectStarts(*this, getStarts(), rankOf(getOperand()))))
    return mlir::failure();
  return expectRankAndElement(*this, getOperand(), getUpdate(), "update");
}

//===-- Reductions and products ----------------------------------------------------------------------------------===//

LogicalResult ReduceOp::verify() {
  return expectType(*this, inferReduce(getKind(), tensorOf(getOperand()), getAxes()), getType(), "(C2)");
}

LogicalResult ArgReduceOp::verify() {
  return expectType(*this, inferArgReduce(tensorOf(getOperand()), getAxis(), elementOf(getResult())), getType(),
                    "(C2)");
}

LogicalResult ReduceWindowOp::verify() {
  return expectType(
      *this, inferReduceWindow(getKind(), tensorOf(getOperand()), getWindow(), getStrides(), getLow(), getHigh()),
      getType(), "(C3)");
}

LogicalResult ReduceWindowGradOp::verify() {
  if (getKind() != ReduceKind::max && getKind() != ReduceKind::min)
    return emitOpError() << "(C1) kind must be max or min, found " << stringifyReduceKind(getKind());
  Inferred window =
      inferReduceWindow(getKind(), tensorOf(getOperand()), getWindow(), getStrides(), getLow(), getHigh());
  if (!window)
    return emitOpError(window.error);
  if (window.type != getGradient().getType())
    return emitOpError() << "(C2) expected the gradient " << describe(window.type) << ", found "
                         << describe(getGradient().getType());
  return expectType(*this, {tensorOf(getOperand()), ""}, getType(), "(C2)");
}

LogicalResult DotGeneralOp::verify() {
  return expectType(*this,
                    inferDotGeneral(tensorOf(getLhs()), tensorOf(getRhs()), getLhsBatch(), getRhsBatch(),
                                    getLhsContract(), getRhsContract(), elementOf(getResult())),
                    getType(), "(C4)");
}

LogicalResult ConvolutionOp::verify() {
  return expectType(*this,
                    inferConvolution(tensorOf(getInput()), tensorOf(getFilter()), getStrides(), getLow(), getHigh(),
                                     getInputDilation(), getFilterDilation(), getGroups(), elementOf(getResult())),
                    getType(), "(C4)");
}

//===-- Indexed access -------------------------------------------------------------------------------------------===//

LogicalResult GatherOp::verify() {
  return expectType(*this, inferGather(tensorOf(getOperand()), tensorOf(getIndices()), getAxis(), getBatchDims()),
                    getType(), "(C4)");
}

LogicalResult DequantizeOp::verify() {
  return expectType(*this,
                    inferDequantize(tensorOf(getBlocks()), tensorOf(getScales()),
                                    getMinimums() ? tensorOf(getMinimums()) : RankedTensorType()),
                    getType(), "(C4)");
}

LogicalResult DecodeOp::verify() {
  return expectType(*this, inferDecode(getCoding(), tensorOf(getCodes()), tensorOf(getScales())), getType(), "(C3)");
}

LogicalResult ScatterOp::verify() {
  Inferred updates = inferGather(tensorOf(getOperand()), tensorOf(getIndices()), getAxis(), getBatchDims());
  if (!updates)
    return emitOpError(updates.error);
  if (updates.type != getUpdates().getType())
    return emitOpError() << "(C1) expected the updates " << describe(updates.type) << ", found "
                         << describe(getUpdates().getType());
  return mlir::success();
}

LogicalResult SortOp::verify() {
  mlir::Type index = elementOf(getIndices());
  if (getValues().getType() != getOperand().getType() || !isIndexType(index) ||
      withElement(getOperand().getType(), index) != getIndices().getType())
    return emitOpError() << "(C2) expected values " << describe(getOperand().getType())
                         << " and indices of its shape with i32 or i64, found " << describe(getValues().getType())
                         << " and " << describe(getIndices().getType());
  return mlir::success();
}

LogicalResult TopKOp::verify() {
  Inferred values = inferTopK(tensorOf(getOperand()), getK());
  if (!values)
    return emitOpError(values.error);
  mlir::Type index = elementOf(getIndices());
  if (getValues().getType() != values.type || !isIndexType(index) ||
      withElement(values.type, index) != getIndices().getType())
    return emitOpError() << "(C2) expected values " << describe(values.type)
                         << " and indices of its shape with i32 or i64, found " << describe(getValues().getType())
                         << " and " << describe(getIndices().getType());
  return mlir::success();
}

//===-- Control --------------------------------------------------------------------------------------------------===//

LogicalResult ScanOp::verify() {
  if (getCount().size() != 1)
    return emitOpError() << "(C1) count must be one expression, found " << getCount().size();
  Dim count = getCount().dims().front();
  SmallVector<mlir::Type> arguments = {tensorType({}, mlir::IntegerType::get(getContext(), 32))};
  llvm::append_range(arguments, getInits().getTypes());
  for (Value sequence : getSequences()) {
    SmallVector<Dim> dims = dimsOf(sequence);
    if (dims.empty() || dims.front() != count)
      return emitOpError() << "(C1) a sequence's leading dimension must be " << count.str() << ", found "
                           << describe(sequence.getType());
    arguments.push_back(tensorType(ArrayRef<Dim>(dims).drop_front(), elementOf(sequence)));
  }
  if (mlir::failed(expectTypes(*this, "(C2) block arguments", arguments, getBody().getArgumentTypes())))
    return mlir::failure();
  SmallVector<mlir::Type> yields(getInits().getTypes()), results(getInits().getTypes());
  if (getNumResults() < numCarries() || yielded(getBody()).size() != getNumResults())
    return emitOpError() << "(C2) expected one yielded value for each of the " << getNumResults()
                         << " results, carries first, found " << yielded(getBody()).size();
  for (mlir::Type result : mlir::TypeRange(getResultTypes()).drop_front(numCarries())) {
    SmallVector<Dim> dims = dimsOf(result);
    if (dims.empty() || dims.front() != count)
      return emitOpError() << "(C2) an output's leading dimension must be " << count.str() << ", found "
                           << describe(result);
    yields.push_back(
        tensorType(ArrayRef<Dim>(dims).drop_front(), llvm::cast<RankedTensorType>(result).getElementType()));
    results.push_back(result);
  }
  if (mlir::failed(expectTypes(*this, "(C2) yielded values", yields, yielded(getBody()))))
    return mlir::failure();
  return expectTypes(*this, "(C2) results", results, getResultTypes());
}

LogicalResult IfOp::verify() {
  if (!elementOf(getCondition()).isInteger(1))
    return emitOpError() << "(C2) expected the condition i1[], found " << describe(getCondition().getType());
  if (mlir::failed(expectTypes(*this, "(C1) the first region's values", getResultTypes(), yielded(getThenRegion()))))
    return mlir::failure();
  return expectTypes(*this, "(C1) the second region's values", getResultTypes(), yielded(getElseRegion()));
}

LogicalResult WhileOp::verify() {
  mlir::TypeRange types = getInits().getTypes();
  mlir::Type condition = tensorType({}, mlir::IntegerType::get(getContext(), 1));
  if (mlir::failed(expectTypes(*this, "(C1) the condition's arguments", types, getCondition().getArgumentTypes())) ||
      mlir::failed(expectTypes(*this, "(C1) the body's arguments", types, getBody().getArgumentTypes())) ||
      mlir::failed(expectTypes(*this, "(C1) the body's values", types, yielded(getBody()))) ||
      mlir::failed(expectTypes(*this, "(C1) results", types, getResultTypes())))
    return mlir::failure();
  return expectTypes(*this, "(C2) the condition's value", condition, yielded(getCondition()));
}

LogicalResult CustomOp::verify() {
  SmallVector<mlir::Type> inputs(getInputs().getTypes()), backward = inputs, gradients;
  llvm::append_range(backward, getResultTypes());
  for (mlir::Type type : inputs)
    if (llvm::isa<mlir::FloatType>(llvm::cast<RankedTensorType>(type).getElementType()))
      gradients.push_back(type);
  if (mlir::failed(expectTypes(*this, "(C1) forward's arguments", inputs, getForward().getArgumentTypes())) ||
      mlir::failed(expectTypes(*this, "(C1) forward's values", getResultTypes(), yielded(getForward()))))
    return mlir::failure();
  for (mlir::NamedAttribute attribute : getFields().value_or(mlir::DictionaryAttr::get(getContext())))
    if (!llvm::isa<mlir::IntegerAttr, mlir::FloatAttr, mlir::StringAttr>(attribute.getValue()))
      return emitOpError() << "(C2) field '" << attribute.getName().getValue()
                           << "' is no number, boolean or string: " << attribute.getValue();
  if (getBackward().empty())
    return mlir::success();
  if (mlir::failed(expectTypes(*this, "(C1) backward's arguments", backward, getBackward().getArgumentTypes())))
    return mlir::failure();
  return expectTypes(*this, "(C1) backward's values", gradients, yielded(getBackward()));
}

LogicalResult GradientOp::verify() {
  for (mlir::Type type : getOperandTypes())
    if (!llvm::isa<mlir::FloatType>(mlir::getElementTypeOrSelf(type)))
      return emitOpError() << "(C3) the elements are floats, not those of " << type;
  return expectTypes(*this, "(C2) the results", getWrt().getTypes(), getResultTypes());
}

LogicalResult GroupOp::verify() {
  if (mlir::failed(
          expectTypes(*this, "(C1) the body's arguments", getInputs().getTypes(), getBody().getArgumentTypes())))
    return mlir::failure();
  return expectTypes(*this, "(C1) the body's values", getResultTypes(), yielded(getBody()));
}

} // namespace kiln
