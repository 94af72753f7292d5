// What is multiplied with a model's matrices, told in place of its results.

#include "passes/StoreWeights/StoreWeights.h"

#include "ir/Build.h"
#include "passes/support/Values.h"
#include "runtime/program/BlockForm.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace kiln {

#define GEN_PASS_DEF_OBSERVEINPUTS
#include "passes/StoreWeights/StoreWeights.h.inc"

using llvm::SmallVector;
using llvm::SmallVectorImpl;
using mlir::StringAttr;
using mlir::Value;
using mlir::func::FuncOp;

namespace {

/// An operand that products sum over one axis of.
struct Input {
  Value value;
  int64_t axis;
};

/// What products multiply with the matrix, summed over its axis `axis`, or over the other one where that is turned.
void findInputs(Value matrix, int64_t axis, SmallVectorImpl<Input> &inputs) {
  for (mlir::OpOperand &use : matrix.getUses()) {
    if (use.getOwner()->getParentRegion() != matrix.getParentRegion())
      continue; // within a loop there is no one value that could be told
    if (auto turned = llvm::dyn_cast<TransposeOp>(use.getOwner());
        turned && turned.getPermutation() == llvm::ArrayRef<int64_t>{1, 0})
      findInputs(turned.getResult(), 1 - axis, inputs);
    auto product = llvm::dyn_cast<DotGeneralOp>(use.getOwner());
    if (!product || product.getLhs() == product.getRhs())
      continue;
    bool left = use.getOperandNumber() == 0;
    llvm::ArrayRef<int64_t> its = left ? product.getLhsContract() : product.getRhsContract(),
                            others = left ? product.getRhsContract() : product.getLhsContract();
    if (its == llvm::ArrayRef<int64_t>{axis})
      inputs.push_back({left ? product.getRhs() : product.getLhs(), others[0]});
  }
}

/// Of each number along the axis the sum of its squares.
Value squares(Emit &e, const Input &input) {
  Value wide = e.convertTo(input.value, e.b.getF32Type());
  return e.reduceSum(e.mul(wide, wide), otherAxes(rankOf(input.value), {input.axis}));
}

class ObserveInputs : public impl::ObserveInputsBase<ObserveInputs> {
public:
  using ObserveInputsBase::ObserveInputsBase;

  void runOnOperation() override {
    auto forward = getOperation().lookupSymbol<FuncOp>("forward");
    if (!forward || !observe(forward)) {
      getOperation().emitError("there is no matrix in 'forward' that products read, and that could be observed");
      signalPassFailure();
    }
  }

private:
  /// Whether there is something to tell.
  bool observe(FuncOp function) {
    mlir::Operation *end = function.getBody().front().getTerminator();
    mlir::OpBuilder builder(end);
    unsigned before = function.getNumResults();
    for (mlir::BlockArgument argument : function.getArguments()) {
      auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "kiln.parameter");
      auto type = llvm::cast<mlir::RankedTensorType>(argument.getType());
      if (!name || type.getRank() != 2 || !type.hasStaticShape() || !type.getElementType().isF32())
        continue;
      for (int64_t axis : {1, 0}) { // a matrix that is read both ways counts as it is stored: by its rows
        SmallVector<Input> inputs;
        findInputs(argument, axis, inputs);
        Value all;
        Emit e(builder, argument.getLoc());
        for (const Input &input : inputs) {
          Value its = squares(e, input);
          all = all ? e.add(all, its) : its;
        }
        if (!all)
          continue;
        end->insertOperands(end->getNumOperands(), all);
        auto told = builder.getNamedAttr("kiln.output", builder.getStringAttr(name.str() + BlockForm::importanceEnd));
        function.insertResult(function.getNumResults(), all.getType(), builder.getDictionaryAttr(told));
        break;
      }
    }
    if (function.getNumResults() == before)
      return false;
    llvm::BitVector its(function.getNumResults());
    its.set(0, before);
    end->eraseOperands(its);
    function.eraseResults(its);
    return true;
  }
};

} // namespace

} // namespace kiln
