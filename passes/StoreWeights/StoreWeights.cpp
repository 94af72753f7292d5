// Which parameters, and where they are widened.

#include "passes/StoreWeights/StoreWeights.h"

#include "ir/Classes.h"
#include "passes/support/Stages.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

namespace kiln {

#define GEN_PASS_DEF_STOREWEIGHTS
#include "passes/StoreWeights/StoreWeights.h.inc"

using llvm::SmallVector;
using mlir::DictionaryAttr;
using mlir::NamedAttrList;
using mlir::Operation;
using mlir::RankedTensorType;
using mlir::StringAttr;
using mlir::TypeAttr;
using mlir::Value;
using mlir::func::FuncOp;

namespace {

bool isStored(mlir::Type type) {
  auto tensor = llvm::dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getElementType().isF32() && tensor.getRank() >= 2;
}

/// Whether an op's elements are some of its first operand's, unchanged.
bool movesElements(Operation *op) { return isReindexing(op) || llvm::isa<GatherOp, DynamicSliceOp>(op); }

/// The users of `narrow` read it widened to `wide`'s element type; those that move elements do so before.
void widenBehind(Value narrow, mlir::Type wide, mlir::OpBuilder builder) {
  Value widened;
  for (mlir::OpOperand &use : llvm::make_early_inc_range(narrow.getUses())) {
    Operation *user = use.getOwner();
    if (movesElements(user) && use.getOperandNumber() == 0) {
      Value moved = user->getResult(0);
      auto type = llvm::cast<RankedTensorType>(moved.getType());
      moved.setType(type.clone(llvm::cast<RankedTensorType>(narrow.getType()).getElementType()));
      builder.setInsertionPointAfter(user);
      widenBehind(moved, wide, builder);
      continue;
    }
    if (!widened) {
      auto type = llvm::cast<RankedTensorType>(narrow.getType()).clone(wide);
      mlir::OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointAfterValue(narrow);
      widened = builder.create<ConvertOp>(narrow.getLoc(), type, narrow);
    }
    use.set(widened);
  }
}

class StoreWeights : public impl::StoreWeightsBase<StoreWeights> {
public:
  using StoreWeightsBase::StoreWeightsBase;

  void runOnOperation() override {
    if (as.empty())
      return;
    if (as != "bf16") {
      getOperation().emitError("weights are stored as bf16 or as they are declared, not as '" + as + "'");
      return signalPassFailure();
    }
    dropTraining();
    llvm::StringSet<> stored = declare(mlir::FloatType::getBF16(&getContext()));
    for (auto function : getOperation().getOps<FuncOp>())
      if (!function.isExternal())
        store(function, stored);
  }

private:
  void dropTraining() {
    mlir::ModuleOp module = getOperation();
    for (const Stage &stage : stagesOf(module))
      for (const char *role : {"loss.train", "loss.eval", "eval.pool"})
        if (auto function = module.lookupSymbol<FuncOp>(role + stage.suffix))
          function.erase();
    for (auto function : llvm::make_early_inc_range(module.getOps<FuncOp>()))
      if (function.isPrivate()) // of optimizers, and of blocks between the stages
        function.erase();
    module->removeAttr("kiln.train");
    module->removeAttr("kiln.stages");
  }

  /// The declarations' types; the names of those that have changed.
  llvm::StringSet<> declare(mlir::Type element) {
    mlir::ModuleOp module = getOperation();
    llvm::StringSet<> stored;
    SmallVector<mlir::Attribute> all;
    auto declared = module->getAttrOfType<mlir::ArrayAttr>("kiln.parameters");
    for (mlir::Attribute one : declared ? declared.getValue() : llvm::ArrayRef<mlir::Attribute>()) {
      NamedAttrList parameter(llvm::cast<DictionaryAttr>(one));
      auto type = llvm::cast<TypeAttr>(parameter.get("type")).getValue();
      if (isStored(type)) {
        stored.insert(llvm::cast<StringAttr>(parameter.get("name")).getValue());
        parameter.set("type", TypeAttr::get(llvm::cast<RankedTensorType>(type).clone(element)));
      }
      all.push_back(parameter.getDictionary(&getContext()));
    }
    if (declared)
      module->setAttr("kiln.parameters", mlir::ArrayAttr::get(&getContext(), all));
    return stored;
  }

  void store(FuncOp function, const llvm::StringSet<> &stored) {
    mlir::Type bf16 = mlir::FloatType::getBF16(&getContext()), f32 = mlir::FloatType::getF32(&getContext());
    for (mlir::BlockArgument argument : function.getArguments()) {
      auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "kiln.parameter");
      if (!name || !stored.contains(name.getValue()))
        continue;
      argument.setType(llvm::cast<RankedTensorType>(argument.getType()).clone(bf16));
      widenBehind(argument, f32, mlir::OpBuilder(function.getContext()));
    }
    function.setFunctionType(mlir::FunctionType::get(&getContext(), function.getBody().front().getArgumentTypes(),
                                                     function.getFunctionType().getResults()));
  }
};

} // namespace

} // namespace kiln
