// Which parameters, and where they are widened.

#include "passes/StoreWeights/StoreWeights.h"

#include "ir/Build.h"
#include "ir/Classes.h"
#include "passes/support/Stages.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

namespace kiln {

#define GEN_PASS_DEF_STOREWEIGHTS
#include "passes/StoreWeights/StoreWeights.h.inc"

using llvm::SmallVector;
using llvm::StringRef;
using mlir::DictionaryAttr;
using mlir::NamedAttrList;
using mlir::Operation;
using mlir::RankedTensorType;
using mlir::StringAttr;
using mlir::TypeAttr;
using mlir::Value;
using mlir::func::FuncOp;

namespace {

/// Weights of so many neighbours along a row share a scale.
constexpr int64_t blockSize = 32;

bool isStored(mlir::Type type, bool inBlocks) {
  auto tensor = llvm::dyn_cast<RankedTensorType>(type);
  bool matrix = tensor && tensor.getElementType().isF32() && tensor.getRank() >= 2;
  if (!inBlocks)
    return matrix;
  return matrix && tensor.getRank() == 2 && tensor.hasStaticShape() && tensor.getDimSize(1) % blockSize == 0 &&
         tensor.getDimSize(1) > 0;
}

/// Whether an op's elements are some of its first operand's, unchanged.
bool movesElements(Operation *op) { return isReindexing(op) || llvm::isa<GatherOp, DynamicSliceOp>(op); }

/// The users of `narrow` read it widened to `wide`'s element type; those that move elements do so before.
void widenBehind(Value narrow, mlir::Type wide) {
  Value widened;
  for (mlir::OpOperand &use : llvm::make_early_inc_range(narrow.getUses())) {
    Operation *user = use.getOwner();
    auto type = llvm::cast<RankedTensorType>(narrow.getType());
    if (movesElements(user) && use.getOperandNumber() == 0) {
      Value moved = user->getResult(0);
      moved.setType(llvm::cast<RankedTensorType>(moved.getType()).clone(type.getElementType()));
      widenBehind(moved, wide);
      continue;
    }
    if (!widened) {
      mlir::OpBuilder builder(user->getContext());
      builder.setInsertionPointAfterValue(narrow);
      widened = builder.create<ConvertOp>(narrow.getLoc(), type.clone(wide), narrow);
    }
    use.set(widened);
  }
}

/// bytes[..., K / 32, 32] times scales[..., K / 32].
Value widened(Emit &e, Value bytes, Value scales) {
  mlir::Type f32 = e.b.getF32Type();
  llvm::SmallVector<Dim> dims = dimsOf(bytes);
  auto axes = llvm::to_vector(llvm::seq<int64_t>(0, static_cast<int64_t>(dims.size()) - 1));
  return e.mul(e.convertTo(bytes, f32), e.broadcastTo(scales, axes, dims));
}

/// The same as rows [..., K].
Value widenedRows(Emit &e, Value bytes, Value scales) {
  llvm::SmallVector<Dim> dims = dimsOf(bytes);
  Dim last = dims.pop_back_val();
  dims.back() = dims.back() * last;
  return e.reshapeTo(widened(e, bytes, scales), dims);
}

/// Of a product's right operand: the axis that is summed, where it is the only one and there are no batches; else -1.
int64_t summedAxis(DotGeneralOp product, Value operand) {
  bool right = product.getRhs() == operand && product.getLhs() != operand && product.getRhsBatch().empty() &&
               product.getRhsContract().size() == 1;
  return right ? product.getRhsContract()[0] : -1;
}

/// The product x W^T with W's blocks as they lie: x's rows are cut likewise, and both halves of K are summed.
void multiplyBlocks(DotGeneralOp product, Value bytes, Value scales) {
  mlir::OpBuilder builder(product);
  Emit e(builder, product.getLoc());
  int64_t axis = product.getLhsContract()[0];
  llvm::SmallVector<Dim> dims = dimsOf(product.getLhs());
  dims[static_cast<size_t>(axis)] = dimsOf(bytes)[1];
  dims.insert(dims.begin() + axis + 1, Dim(blockSize));
  DotAxes axes;
  axes.lhsContract = {axis, axis + 1};
  axes.rhsContract = {1, 2};
  Value made = e.dot(e.reshapeTo(product.getLhs(), dims), widened(e, bytes, scales), axes);
  product.getResult().replaceAllUsesWith(made);
  product.erase();
}

/// The users of `matrix`, an argument that has become bytes, read its blocks: rows picked from it, products with it;
/// whatever else there is reads all of it, widened there.
void readBlocks(Value matrix, Value bytes, Value scales) {
  for (mlir::OpOperand &use : llvm::make_early_inc_range(matrix.getUses())) {
    Operation *user = use.getOwner();
    mlir::OpBuilder builder(user);
    Emit e(builder, user->getLoc());
    if (auto gather = llvm::dyn_cast<GatherOp>(user);
        gather && use.getOperandNumber() == 0 && gather.getAxis() == 0 && gather.getBatchDims() == 0) {
      Value rows = e.gather(bytes, gather.getIndices(), 0), of = e.gather(scales, gather.getIndices(), 0);
      gather.getResult().replaceAllUsesWith(widenedRows(e, rows, of));
      gather.erase();
      continue;
    }
    if (auto product = llvm::dyn_cast<DotGeneralOp>(user); product && summedAxis(product, matrix) == 1) {
      multiplyBlocks(product, bytes, scales);
      continue;
    }
    if (auto turned = llvm::dyn_cast<TransposeOp>(user)) {
      for (mlir::OpOperand &of : llvm::make_early_inc_range(turned.getResult().getUses()))
        if (auto product = llvm::dyn_cast<DotGeneralOp>(of.getOwner());
            product && summedAxis(product, turned.getResult()) == 0)
          multiplyBlocks(product, bytes, scales);
      if (turned.getResult().use_empty()) {
        turned.erase();
        continue;
      }
    }
    use.set(widenedRows(e, bytes, scales));
  }
}

class StoreWeights : public impl::StoreWeightsBase<StoreWeights> {
public:
  using StoreWeightsBase::StoreWeightsBase;

  void runOnOperation() override {
    if (as.empty())
      return;
    if (as != "bf16" && as != "q8") {
      getOperation().emitError("weights are stored as bf16, as q8 or as they are declared, not as '" + as + "'");
      return signalPassFailure();
    }
    dropTraining();
    llvm::StringSet<> stored = declare();
    for (auto function : getOperation().getOps<FuncOp>())
      if (!function.isExternal())
        store(function, stored);
  }

private:
  bool inBlocks() const { return as == "q8"; }

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
  llvm::StringSet<> declare() {
    mlir::ModuleOp module = getOperation();
    mlir::Builder builder(&getContext());
    llvm::StringSet<> stored;
    SmallVector<mlir::Attribute> all;
    auto declared = module->getAttrOfType<mlir::ArrayAttr>("kiln.parameters");
    for (mlir::Attribute one : declared ? declared.getValue() : llvm::ArrayRef<mlir::Attribute>()) {
      NamedAttrList parameter(llvm::cast<DictionaryAttr>(one));
      auto type = llvm::cast<TypeAttr>(parameter.get("type")).getValue();
      bool changes = isStored(type, inBlocks());
      StringRef name = llvm::cast<StringAttr>(parameter.get("name")).getValue();
      if (changes) {
        stored.insert(name);
        parameter.set("type", TypeAttr::get(typeOf(llvm::cast<RankedTensorType>(type))));
      }
      if (changes && inBlocks()) // what is drawn for a matrix is no block
        parameter.set("init", builder.getDictionaryAttr(builder.getNamedAttr("kind", builder.getStringAttr("zeros"))));
      all.push_back(parameter.getDictionary(&getContext()));
      if (changes && inBlocks()) {
        parameter.set("name", builder.getStringAttr(name + ".scales"));
        parameter.set("type", TypeAttr::get(scalesOf(llvm::cast<RankedTensorType>(type))));
        all.push_back(parameter.getDictionary(&getContext()));
      }
    }
    if (declared)
      module->setAttr("kiln.parameters", builder.getArrayAttr(all));
    return stored;
  }

  RankedTensorType typeOf(RankedTensorType matrix) {
    mlir::Builder builder(&getContext());
    if (!inBlocks())
      return matrix.clone(builder.getBF16Type());
    return RankedTensorType::get({matrix.getDimSize(0), matrix.getDimSize(1) / blockSize, blockSize},
                                 builder.getI8Type());
  }
  RankedTensorType scalesOf(RankedTensorType matrix) {
    return RankedTensorType::get({matrix.getDimSize(0), matrix.getDimSize(1) / blockSize},
                                 mlir::FloatType::getF32(&getContext()));
  }

  void store(FuncOp function, const llvm::StringSet<> &stored) {
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      auto name = function.getArgAttrOfType<StringAttr>(i, "kiln.parameter");
      if (!name || !stored.contains(name.getValue()))
        continue;
      inBlocks() ? storeBlocks(function, i, name.getValue()) : storeNarrow(function, i);
    }
    function.setFunctionType(mlir::FunctionType::get(&getContext(), function.getBody().front().getArgumentTypes(),
                                                     function.getFunctionType().getResults()));
  }

  void storeNarrow(FuncOp function, unsigned number) {
    mlir::BlockArgument argument = function.getArgument(number);
    argument.setType(typeOf(llvm::cast<RankedTensorType>(argument.getType())));
    widenBehind(argument, mlir::FloatType::getF32(&getContext()));
  }

  /// The argument goes, and its blocks and their scales come in its place.
  void storeBlocks(FuncOp function, unsigned number, StringRef name) {
    mlir::BlockArgument matrix = function.getArgument(number);
    auto type = llvm::cast<RankedTensorType>(matrix.getType());
    mlir::Builder builder(&getContext());
    auto named = [&](const llvm::Twine &of) {
      return builder.getDictionaryAttr(builder.getNamedAttr("kiln.parameter", builder.getStringAttr(of)));
    };
    function.insertArgument(number + 1, typeOf(type), named(name), matrix.getLoc());
    function.insertArgument(number + 2, scalesOf(type), named(name + ".scales"), matrix.getLoc());
    readBlocks(function.getArgument(number), function.getArgument(number + 1), function.getArgument(number + 2));
    function.eraseArgument(number);
  }
};

} // namespace

} // namespace kiln
