// A loss and its gradients, made once for a stage, and copied to each place that evaluates it.
#include "passes/TrainStep/Evaluate.h"

#include "passes/TrainStep/Clip.h"
#include "passes/support/Values.h"

#include "mlir/IR/IRMapping.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::failure;
using mlir::FailureOr;
using mlir::LogicalResult;
using mlir::StringAttr;
using mlir::Value;
using mlir::func::FuncOp;

int64_t elementsOf(Value value) { return llvm::cast<mlir::RankedTensorType>(value.getType()).getNumElements(); }

Value rowOf(Emit &e, ArrayRef<Value> values) {
  SmallVector<Value> rows;
  for (Value value : values)
    rows.push_back(e.reshapeTo(value, {Dim(elementsOf(value))}));
  return rows.size() == 1 ? rows.front() : e.concat(rows, 0);
}

Value partOfRow(Emit &e, Value row, int64_t begin, int64_t count, Value like) {
  return e.reshapeTo(e.sliceAxis(row, 0, Dim(begin), Dim(count)), dimsOf(like));
}

Value lossOf(Emit &e, FuncOp function, unsigned lossResult, ArrayRef<StringAttr> members,
             llvm::function_ref<Value(Value)> there) {
  mlir::Operation *terminator = function.getBody().front().getTerminator();
  auto result = [&](unsigned index) { return there(terminator->getOperand(index)); };
  SmallVector<unsigned> terms;
  unsigned all = 0;
  for (unsigned index = 0; index < function.getNumResults(); ++index) {
    all += static_cast<bool>(function.getResultAttr(index, "kiln.term"));
    if (llvm::any_of(members, [&](StringAttr name) { return isLossOf(function, index, name); }))
      terms.push_back(index);
  }
  Value whole = result(lossResult), sum;
  if (terms.size() >= all)
    return whole;
  for (unsigned term : terms) {
    Value one = e.convertTo(result(term), elementOf(whole));
    sum = sum ? e.add(sum, one) : one;
  }
  return sum;
}

FailureOr<LossEvaluation> LossEvaluation::of(FuncOp loss, mlir::DictionaryAttr train, ArrayRef<StringAttr> trained) {
  FailureOr<LossGradients> made = copyWithGradients(loss, (loss.getName() + ".evaluated").str());
  if (mlir::failed(made))
    return failure();
  LossEvaluation evaluation(std::move(*made));
  if (mlir::failed(evaluation.clip(train, trained)))
    return failure();
  return evaluation;
}

LogicalResult LossEvaluation::clip(mlir::DictionaryAttr train, ArrayRef<StringAttr> trained) {
  for (auto [index, gradient] : llvm::zip_equal(made_.parameters, made_.gradients))
    gradients_[made_.function.getArgAttrOfType<StringAttr>(index, "kiln.parameter")] = gradient;
  SmallVector<Value> clipped;
  for (StringAttr name : trained)
    clipped.push_back(gradients_.lookup(name));
  mlir::OpBuilder builder(made_.function.getBody().front().getTerminator());
  Emit e(builder, made_.function.getLoc());
  Value norm;
  if (mlir::failed(clipGradients(e, train, clipped, norm)))
    return failure();
  for (auto [name, gradient] : llvm::zip_equal(trained, clipped))
    gradients_[name] = gradient;
  return mlir::success();
}

/// The argument of `step` that stands for the same as another function's.
static Value sameArgument(FuncOp step, mlir::DictionaryAttr role) {
  for (unsigned index = 0; index < step.getNumArguments(); ++index)
    if (step.getArgAttrDict(index) == role)
      return step.getArgument(index);
  return {};
}

LogicalResult LossEvaluation::replace(mlir::func::CallOp call, FuncOp step, ArrayRef<StringAttr> members) {
  mlir::OpBuilder builder(call);
  Emit e(builder, call.getLoc());
  mlir::Block &body = made_.function.getBody().front();
  llvm::DenseMap<StringAttr, Value> parts;
  int64_t begin = 0;
  for (StringAttr name : members) {
    Value like = gradients_.lookup(name);
    parts[name] = partOfRow(e, call.getOperand(0), begin, elementsOf(like), like);
    begin += elementsOf(like);
  }
  mlir::IRMapping map;
  for (auto [index, argument] : llvm::enumerate(body.getArguments())) {
    unsigned number = static_cast<unsigned>(index);
    auto parameter = made_.function.getArgAttrOfType<StringAttr>(number, "kiln.parameter");
    Value value = parameter ? parts.lookup(parameter) : Value();
    if (!value)
      value = sameArgument(step, made_.function.getArgAttrDict(number));
    if (!value)
      return call.emitError("evaluates a loss that reads what the step does not have");
    map.map(argument, value);
  }
  for (mlir::Operation &op : body.without_terminator())
    builder.clone(op, map);
  SmallVector<Value> gradients;
  for (StringAttr name : members)
    gradients.push_back(map.lookup(gradients_.lookup(name)));
  Value loss =
      lossOf(e, made_.function, made_.lossResult, members, [&](Value one) { return map.lookupOrDefault(one); });
  call.replaceAllUsesWith(llvm::ArrayRef<Value>{loss, rowOf(e, gradients)});
  call.erase();
  return mlir::success();
}

} // namespace kiln
