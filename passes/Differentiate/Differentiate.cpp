// The functions that are made: gradients beside a loss, and vector-Jacobian products.

#include "passes/Differentiate/Differentiate.h"

#include "passes/Differentiate/Backward.h"
#include "passes/Differentiate/Prepare.h"
#include "passes/support/Stages.h"

#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringSet.h"

#include <map>
#include <vector>

namespace kiln {

#define GEN_PASS_DEF_DIFFERENTIATE
#include "passes/Differentiate/Differentiate.h.inc"

using llvm::ArrayRef;
using llvm::SmallVector;
using llvm::StringRef;
using mlir::failure;
using mlir::FailureOr;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::Value;
using mlir::func::FuncOp;

FailureOr<SmallVector<Value>> differentiate(mlir::OpBuilder &builder, ArrayRef<Value> outputs,
                                            ArrayRef<Value> cotangents, ArrayRef<Value> wrt) {
  SmallVector<Operation *> forward;
  for (Operation &op : *builder.getInsertionBlock()) {
    if (builder.getInsertionPoint() == op.getIterator())
      break;
    forward.push_back(&op);
  }
  ValueSet active(wrt.begin(), wrt.end());
  spreadActivity(forward, active);
  Backward backward(builder, std::move(active));
  for (auto [output, cotangent] : llvm::zip_equal(outputs, cotangents))
    backward.give(output, cotangent);
  if (mlir::failed(backward.run(forward)))
    return failure();
  SmallVector<Value> gradients;
  for (Value value : wrt) {
    Value gradient = backward.gradient(value);
    gradients.push_back(gradient ? gradient : Emit(builder, value.getLoc()).splatLike(value, 0));
  }
  return gradients;
}

SmallVector<unsigned> trainableArguments(FuncOp function) {
  llvm::StringSet<> frozen;
  if (auto parameters = function->getParentOfType<mlir::ModuleOp>()->getAttrOfType<mlir::ArrayAttr>("kiln.parameters"))
    for (auto parameter : parameters.getAsRange<mlir::DictionaryAttr>())
      if (auto trainable = parameter.getAs<mlir::BoolAttr>("trainable"); trainable && !trainable.getValue())
        frozen.insert(parameter.getAs<mlir::StringAttr>("name").getValue());
  if (auto here = function->getAttrOfType<mlir::ArrayAttr>("kiln.frozen"))
    for (auto name : here.getAsRange<mlir::StringAttr>())
      frozen.insert(name.getValue());
  SmallVector<unsigned> indices;
  for (unsigned index = 0; index < function.getNumArguments(); ++index) {
    auto name = function.getArgAttrOfType<mlir::StringAttr>(index, "kiln.parameter");
    if (name && !frozen.contains(name.getValue()) && isFloatTensor(function.getArgument(index).getType()))
      indices.push_back(index);
  }
  return indices;
}

namespace {

/// A copy of the function beside it, under another name, ready to be differentiated.
FailureOr<FuncOp> copyOf(FuncOp function, StringRef name) {
  auto module = function->getParentOfType<mlir::ModuleOp>();
  if (module.lookupSymbol(name))
    return function.emitError("cannot add @") << name << ": there is a function of that name";
  FuncOp copy = function.clone();
  copy.setName(name);
  module.push_back(copy);
  if (!llvm::hasSingleElement(copy.getBody()))
    return function.emitError("has to have one block to be differentiated");
  prepare(copy);
  return copy;
}

} // namespace

void setResults(FuncOp function, ArrayRef<Value> results, ArrayRef<mlir::DictionaryAttr> attributes) {
  Operation *terminator = function.getBody().front().getTerminator();
  terminator->setOperands(results);
  SmallVector<mlir::Type> types;
  for (Value result : results)
    types.push_back(result.getType());
  function.setResAttrsAttr(nullptr);
  function.setType(mlir::FunctionType::get(function.getContext(), function.getArgumentTypes(), types));
  for (auto [index, dictionary] : llvm::enumerate(attributes))
    function.setResultAttrs(index, dictionary);
}

FailureOr<FuncOp> createVjp(FuncOp function, StringRef name, ArrayRef<unsigned> wrt) {
  FailureOr<FuncOp> made = copyOf(function, name);
  if (mlir::failed(made))
    return failure();
  FuncOp copy = *made;
  Operation *terminator = copy.getBody().front().getTerminator();
  SmallVector<Value> results(terminator->getOperands()), outputs, cotangents, inputs;
  for (Value result : results)
    if (isFloatTensor(result.getType())) {
      copy.insertArgument(copy.getNumArguments(), result.getType(), {}, result.getLoc());
      outputs.push_back(result);
      cotangents.push_back(copy.getArgument(copy.getNumArguments() - 1));
    }
  for (unsigned index : wrt)
    inputs.push_back(copy.getArgument(index));
  mlir::OpBuilder builder(terminator);
  FailureOr<SmallVector<Value>> gradients = differentiate(builder, outputs, cotangents, inputs);
  if (mlir::failed(gradients))
    return failure();
  // A loop of the forward pass may have been replaced.
  results.assign(terminator->getOperands().begin(), terminator->getOperands().end());
  llvm::append_range(results, *gradients);
  setResults(copy, results, {});
  return copy;
}

bool isLossOf(FuncOp function, unsigned result, mlir::StringAttr parameter) {
  bool anyTerm = false;
  for (unsigned index = 0; index < function.getNumResults(); ++index)
    anyTerm |= static_cast<bool>(function.getResultAttr(index, "kiln.term"));
  if (!anyTerm)
    return static_cast<bool>(function.getResultAttr(result, "kiln.loss"));
  auto term = function.getResultAttrOfType<mlir::ArrayAttr>(result, "kiln.term");
  return term && llvm::is_contained(term, parameter);
}

FailureOr<LossGradients> copyWithGradients(FuncOp loss, StringRef name) {
  std::optional<unsigned> lossIndex;
  for (unsigned index = 0; index < loss.getNumResults(); ++index)
    if (loss.getResultAttr(index, "kiln.loss"))
      lossIndex = index;
  if (!lossIndex)
    return loss.emitError("has no result marked kiln.loss");
  if (auto type = llvm::cast<mlir::RankedTensorType>(loss.getResultTypes()[*lossIndex]);
      type.getRank() != 0 || !isFloatTensor(type))
    return loss.emitError("has a loss of type ") << type << "; a loss is one floating-point number";
  FailureOr<FuncOp> copy = copyOf(loss, name);
  if (mlir::failed(copy))
    return failure();
  Operation *terminator = copy->getBody().front().getTerminator();
  mlir::OpBuilder builder(terminator);
  LossGradients result{*copy, *lossIndex, {}, {}};
  Value output = terminator->getOperand(*lossIndex);
  Value one = Emit(builder, output.getLoc()).splatLike(output, 1);
  // Parameters that the same terms reach share a backward pass. Each pass begins behind the forward ops, before the
  // passes made earlier; what it yields is held by the terminator, since a later one may replace a loop.
  std::map<std::vector<unsigned>, SmallVector<unsigned>> passes;
  for (unsigned index : trainableArguments(*copy)) {
    std::vector<unsigned> terms;
    for (unsigned term = 0; term < loss.getNumResults(); ++term)
      if (isLossOf(*copy, term, copy->getArgAttrOfType<mlir::StringAttr>(index, "kiln.parameter")))
        terms.push_back(term);
    if (!terms.empty())
      passes[terms].push_back(index);
  }
  unsigned results = terminator->getNumOperands();
  for (auto &[terms, indices] : passes) {
    SmallVector<Value> outputs, parameters;
    for (unsigned term : terms)
      outputs.push_back(terminator->getOperand(term));
    for (unsigned index : indices)
      parameters.push_back(copy->getArgument(index));
    builder.setInsertionPointAfterValue(one);
    FailureOr<SmallVector<Value>> gradients =
        differentiate(builder, outputs, SmallVector<Value>(outputs.size(), one), parameters);
    if (mlir::failed(gradients))
      return failure();
    terminator->insertOperands(terminator->getNumOperands(), *gradients);
    llvm::append_range(result.parameters, indices);
  }
  std::map<unsigned, Value> byArgument;
  for (auto [place, index] : llvm::enumerate(result.parameters))
    byArgument[index] = terminator->getOperand(results + place);
  terminator->eraseOperands(results, result.parameters.size());
  result.parameters.clear();
  for (auto [index, gradient] : byArgument) {
    result.parameters.push_back(index);
    result.gradients.push_back(gradient);
  }
  return result;
}

FailureOr<FuncOp> createGrad(FuncOp loss, StringRef name) {
  FailureOr<LossGradients> made = copyWithGradients(loss, name);
  if (mlir::failed(made))
    return failure();
  FuncOp copy = made->function;
  mlir::Builder builder(copy.getContext());
  SmallVector<Value> results = {copy.getBody().front().getTerminator()->getOperand(made->lossResult)};
  SmallVector<mlir::DictionaryAttr> attributes = {loss.getResultAttrDict(made->lossResult)};
  for (auto [index, gradient] : llvm::zip_equal(made->parameters, made->gradients)) {
    results.push_back(gradient);
    attributes.push_back(
        builder.getDictionaryAttr(builder.getNamedAttr("kiln.gradient", copy.getArgAttr(index, "kiln.parameter"))));
  }
  setResults(copy, results, attributes);
  return copy;
}

namespace {

struct Differentiate : impl::DifferentiateBase<Differentiate> {
  using DifferentiateBase::DifferentiateBase;

  LogicalResult differentiateNamed(mlir::ModuleOp module) {
    auto target = module.lookupSymbol<FuncOp>(function);
    if (!target)
      return module.emitError("has no function @") << function;
    SmallVector<unsigned> arguments(wrt.begin(), wrt.end());
    for (unsigned index : arguments)
      if (index >= target.getNumArguments())
        return target.emitError("has no argument ") << index;
    if (arguments.empty())
      for (auto [index, type] : llvm::enumerate(target.getArgumentTypes()))
        if (isFloatTensor(type))
          arguments.push_back(static_cast<unsigned>(index));
    return createVjp(target, function + ".grad", arguments);
  }

  LogicalResult differentiateLoss(mlir::ModuleOp module) {
    for (const Stage &stage : stagesOf(module)) {
      auto name = stage.train.getAs<mlir::StringAttr>("loss");
      auto loss = name ? module.lookupSymbol<FuncOp>(name.getValue()) : FuncOp();
      if (!loss)
        return module.emitError("kiln.train names no loss function that exists");
      if (mlir::failed(createGrad(loss, "grad" + stage.suffix)))
        return failure();
    }
    return mlir::success();
  }

  void runOnOperation() override {
    mlir::ModuleOp module = getOperation();
    if (mlir::failed(function.empty() ? differentiateLoss(module) : differentiateNamed(module)))
      signalPassFailure();
  }
};

} // namespace
} // namespace kiln
