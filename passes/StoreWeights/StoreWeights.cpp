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

/// The form of a matrix whose rows are of whole blocks: halves of bytes where they are asked for and two blocks can
/// share their bytes.
std::optional<BlockForm> formOf(RankedTensorType type, bool inHalves, bool columns) {
  if (type.getRank() != 2 || !type.hasStaticShape())
    return std::nullopt;
  int64_t length = type.getDimSize(columns ? 0 : 1);
  BlockForm form;
  form.size = blockSize;
  form.halves = form.minimums = inHalves && length % (2 * blockSize) == 0;
  form.columns = columns;
  return form.fits(length) ? std::optional(form) : std::nullopt;
}

int64_t rowsOf(RankedTensorType matrix, const BlockForm &form) { return matrix.getDimSize(form.columns ? 1 : 0); }
int64_t widthOf(RankedTensorType matrix, const BlockForm &form) { return matrix.getDimSize(form.columns ? 0 : 1); }

/// Whether a matrix that is in blocks already can be read so.
bool fits(RankedTensorType type, const BlockForm &kept) {
  return formOf(type, false, kept.columns) && kept.fits(widthOf(type, kept));
}

/// Whether all that reads the matrix are products that sum over axis `axis` of it, and nothing else.
bool isSummedOver(Value matrix, int64_t axis) {
  return llvm::all_of(matrix.getUses(), [&](mlir::OpOperand &use) {
    if (auto product = llvm::dyn_cast<DotGeneralOp>(use.getOwner())) {
      bool left = use.getOperandNumber() == 0;
      return product.getLhs() != product.getRhs() &&
             (left ? product.getLhsContract() : product.getRhsContract()) == llvm::ArrayRef<int64_t>{axis};
    }
    auto turned = llvm::dyn_cast<TransposeOp>(use.getOwner());
    return turned && turned.getPermutation() == llvm::ArrayRef<int64_t>{1, 0} &&
           isSummedOver(turned.getResult(), 1 - axis);
  });
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

bool picksRows(mlir::OpOperand &use) {
  auto gather = llvm::dyn_cast<GatherOp>(use.getOwner());
  return gather && use.getOperandNumber() == 0 && gather.getAxis() == 0 && gather.getBatchDims() == 0;
}

/// Arguments that a matrix has become.
struct Stored {
  Value blocks, scales, minimums, order; // null: none
  bool columns = false;
  Coding coding = Coding::None;

  Value widened(Emit &e) const {
    Value rows =
        coding == Coding::None ? e.dequantize(blocks, scales, minimums) : e.decode(codingName(coding), blocks, scales);
    return columns ? e.transposed(rows, {1, 0}) : rows;
  }
  /// The rows that `indices` pick, widened alone.
  Value rows(Emit &e, Value indices) const {
    auto picked = [&](Value of) { return of ? e.gather(of, indices, 0) : Value(); };
    return Stored{picked(blocks), picked(scales), picked(minimums), {}, false, coding}.widened(e);
  }
};

/// Products that sum over axis `axis` of `matrix` read `stored` in its place, along which elements stand in the order
/// `order`; so does what they multiply with. Other users are left.
void readInOrder(Value matrix, Value stored, int64_t axis, Value order) {
  for (mlir::OpOperand &use : llvm::make_early_inc_range(matrix.getUses())) {
    Operation *user = use.getOwner();
    mlir::OpBuilder builder(user);
    Emit e(builder, user->getLoc());
    if (auto turned = llvm::dyn_cast<TransposeOp>(user);
        turned && turned.getPermutation() == llvm::ArrayRef<int64_t>{1, 0}) {
      readInOrder(turned.getResult(), e.transposed(stored, {1, 0}), 1 - axis, order);
      if (turned->use_empty())
        turned.erase();
      continue;
    }
    auto product = llvm::dyn_cast<DotGeneralOp>(user);
    if (!product || product.getLhs() == product.getRhs())
      continue;
    bool left = use.getOperandNumber() == 0;
    llvm::ArrayRef<int64_t> its = left ? product.getLhsContract() : product.getRhsContract(),
                            others = left ? product.getRhsContract() : product.getLhsContract();
    if (its != llvm::ArrayRef<int64_t>{axis})
      continue;
    unsigned other = left ? 1 : 0;
    user->setOperand(other, e.gather(user->getOperand(other), order, others[0]));
    use.set(stored);
  }
}

/// The same of all users: those that are no such products read the matrix in its own order.
void readOrdered(Value matrix, const Stored &stored) {
  mlir::OpBuilder builder(matrix.getContext());
  builder.setInsertionPointToStart(matrix.getParentBlock());
  Emit e(builder, matrix.getLoc());
  Value all = stored.widened(e);
  int64_t axis = stored.columns ? 0 : 1;
  readInOrder(matrix, all, axis, stored.order);
  if (matrix.use_empty())
    return;
  builder.setInsertionPointAfterValue(all);
  auto sorted = builder.create<SortOp>(matrix.getLoc(), stored.order.getType(), stored.order.getType(), stored.order,
                                       builder.getI64IntegerAttr(0), builder.getBoolAttr(false));
  matrix.replaceAllUsesWith(e.gather(all, sorted.getIndices(), axis)); // each column's place is where it came from
}

/// The users of `matrix`, an argument that has become blocks, read it widened; rows are picked before.
void readBlocks(Value matrix, const Stored &stored) {
  if (stored.order)
    return readOrdered(matrix, stored);
  Value all;
  for (mlir::OpOperand &use : llvm::make_early_inc_range(matrix.getUses())) {
    mlir::OpBuilder builder(use.getOwner());
    Emit e(builder, use.getOwner()->getLoc());
    if (!stored.columns && picksRows(use)) {
      auto gather = llvm::cast<GatherOp>(use.getOwner());
      gather.getResult().replaceAllUsesWith(stored.rows(e, gather.getIndices()));
      gather.erase();
      continue;
    }
    if (!all) {
      builder.setInsertionPointToStart(matrix.getParentBlock());
      all = stored.widened(e);
    }
    use.set(all);
  }
}

class StoreWeights : public impl::StoreWeightsBase<StoreWeights> {
public:
  using StoreWeightsBase::StoreWeightsBase;

  StoredForms kept;

  void runOnOperation() override {
    if (as.empty() && kept.empty())
      return;
    if (!as.empty() && as != "f32" && as != "bf16" && as != "q8" && as != "q4") {
      getOperation().emitError("weights are stored as f32, bf16, q8, q4 or as they are declared, not as '" + as + "'");
      return signalPassFailure();
    }
    if (as == "f32")
      return;
    findGiven();
    frozenAlone = freezes();
    if (!frozenAlone)
      dropTraining();
    findReaders();
    if (as == "q4")
      findSmall();
    declare();
    for (auto function : getOperation().getOps<FuncOp>())
      if (!function.isExternal())
        store(function);
  }

private:
  bool frozenAlone = false; // a recipe trains others: these stay as they are, and so does what trains them
  std::map<std::string, BlockForm, std::less<>> blocks;
  llvm::StringSet<> narrow;
  llvm::StringSet<> columns; // of matrices that products sum over the columns of
  llvm::StringSet<> tables;  // that rows are picked from
  llvm::StringSet<> small;   // beside the other matrices
  llvm::StringSet<> given;   // that a recipe sets as a whole, between its stages

  llvm::ArrayRef<mlir::Attribute> declared() {
    auto all = getOperation()->getAttrOfType<mlir::ArrayAttr>("kiln.parameters");
    return all ? all.getValue() : llvm::ArrayRef<mlir::Attribute>();
  }

  /// Whether the recipe changes it.
  bool isTrained(DictionaryAttr parameter) const {
    auto trainable = parameter.getAs<mlir::BoolAttr>("trainable");
    return !trainable || trainable.getValue() || given.contains(parameter.getAs<StringAttr>("name").getValue());
  }

  void findGiven() {
    for (auto function : getOperation().getOps<FuncOp>())
      for (unsigned i = 0; i < function.getNumResults(); ++i)
        if (auto name = function.getResultAttrOfType<StringAttr>(i, "kiln.parameter"))
          given.insert(name.getValue());
  }

  /// Whether the form asks for another type of a parameter; then it is noted.
  bool choose(StringRef name, mlir::Type type) {
    auto tensor = llvm::dyn_cast<RankedTensorType>(type);
    if (!tensor || !tensor.getElementType().isF32() || tensor.getRank() < 2)
      return false;
    if (auto found = kept.find(name.str()); found != kept.end() && fits(tensor, found->second))
      return blocks[name.str()] = found->second, true;
    if (as == "bf16")
      return narrow.insert(name).second;
    std::optional<BlockForm> form = as.empty() ? std::nullopt : formOf(tensor, isHalved(name), columns.contains(name));
    if (form)
      blocks[name.str()] = *form;
    return form.has_value();
  }

  bool isHalved(StringRef name) { return as == "q4" && !tables.contains(name) && !small.contains(name); }

  /// What four bits cost a model does not grow with a matrix's size, and what they save does: matrices that hold a
  /// quarter at most of what those in halves do on average (keys' and values' of few heads) stay bytes, which is of all
  /// their elements a quarter at most.
  void findSmall() {
    std::map<StringRef, int64_t> sizes;
    int64_t all = 0;
    for (mlir::Attribute one : declared()) {
      auto parameter = llvm::cast<DictionaryAttr>(one);
      auto type = llvm::dyn_cast<RankedTensorType>(parameter.getAs<TypeAttr>("type").getValue());
      StringRef name = parameter.getAs<StringAttr>("name").getValue();
      if (!type || !type.getElementType().isF32() || !isHalved(name) || (frozenAlone && isTrained(parameter)))
        continue;
      if (auto form = formOf(type, true, columns.contains(name)); form && form->halves)
        all += sizes[name] = type.getNumElements();
    }
    for (auto [name, size] : sizes)
      if (size * 4 <= all / static_cast<int64_t>(sizes.size()))
        small.insert(name);
  }

  void findReaders() {
    llvm::StringSet<> others;
    for (auto function : getOperation().getOps<FuncOp>())
      for (unsigned i = 0; !function.isExternal() && i < function.getNumArguments(); ++i) {
        auto name = function.getArgAttrOfType<StringAttr>(i, "kiln.parameter");
        Value argument = function.getArgument(i);
        if (!name || argument.use_empty() || llvm::cast<RankedTensorType>(argument.getType()).getRank() != 2)
          continue;
        (isSummedOver(argument, 0) ? columns : others).insert(name.getValue());
        if (llvm::any_of(argument.getUses(), [](mlir::OpOperand &use) { return picksRows(use); }))
          tables.insert(name.getValue());
      }
    for (const auto &other : others)
      columns.erase(other.getKey());
  }

  /// Whether there is a recipe, and a matrix that none trains.
  bool freezes() {
    return getOperation()->hasAttr("kiln.train") && llvm::any_of(declared(), [this](mlir::Attribute one) {
             auto parameter = llvm::cast<DictionaryAttr>(one);
             auto type = llvm::dyn_cast<RankedTensorType>(parameter.getAs<TypeAttr>("type").getValue());
             return !isTrained(parameter) && type && type.getRank() >= 2;
           });
  }

  void dropTraining() {
    mlir::ModuleOp module = getOperation();
    for (const Stage &stage : stagesOf(module))
      for (const char *role : {"loss.train", "loss.eval", "eval.pool", "stage.begin", "stage.end"})
        if (auto function = module.lookupSymbol<FuncOp>(role + stage.suffix))
          function.erase();
    for (auto function : llvm::make_early_inc_range(module.getOps<FuncOp>()))
      if (function.isPrivate()) // of optimizers, and of blocks between the stages
        function.erase();
    module->removeAttr("kiln.train");
    module->removeAttr("kiln.stages");
  }

  /// The declarations, as they are stored.
  void declare() {
    mlir::Builder builder(&getContext());
    SmallVector<mlir::Attribute> all;
    for (mlir::Attribute one : declared()) {
      NamedAttrList parameter(llvm::cast<DictionaryAttr>(one));
      auto type = llvm::cast<TypeAttr>(parameter.get("type")).getValue();
      std::string name = llvm::cast<StringAttr>(parameter.get("name")).str();
      bool changes = !(frozenAlone && isTrained(llvm::cast<DictionaryAttr>(one))) && choose(name, type);
      auto add = [&](const std::string &as, RankedTensorType type) {
        parameter.set("name", builder.getStringAttr(as));
        parameter.set("type", TypeAttr::get(type));
        all.push_back(parameter.getDictionary(&getContext()));
      };
      if (!changes) {
        all.push_back(one);
        continue;
      }
      auto matrix = llvm::cast<RankedTensorType>(type);
      if (narrow.contains(name)) {
        add(name, matrix.clone(builder.getBF16Type()));
        continue;
      }
      // What is drawn for a matrix is no block.
      parameter.set("init", builder.getDictionaryAttr(builder.getNamedAttr("kind", builder.getStringAttr("zeros"))));
      const BlockForm &form = blocks.find(name)->second;
      add(name, blocksOf(matrix, form));
      add(name + form.scalesEnd(), scalesOf(matrix, form));
      if (form.minimums)
        add(name + BlockForm::minimumsEnd, scalesOf(matrix, form));
      if (form.ordered)
        add(name + BlockForm::orderEnd, orderOf(matrix, form));
    }
    if (!all.empty())
      getOperation()->setAttr("kiln.parameters", builder.getArrayAttr(all));
  }

  RankedTensorType blocksOf(RankedTensorType matrix, const BlockForm &form) {
    auto number = mlir::IntegerType::get(
        &getContext(), 8, form.numbersType() == KILN_U8 ? mlir::IntegerType::Unsigned : mlir::IntegerType::Signless);
    return RankedTensorType::get(form.numbersShape(rowsOf(matrix, form), widthOf(matrix, form)), number);
  }
  RankedTensorType scalesOf(RankedTensorType matrix, const BlockForm &form) {
    mlir::Builder builder(&getContext());
    mlir::Type element = form.wideScales ? mlir::Type(builder.getF32Type()) : builder.getF16Type();
    return RankedTensorType::get(form.scalesShape(rowsOf(matrix, form), widthOf(matrix, form)), element);
  }

  static RankedTensorType orderOf(RankedTensorType matrix, const BlockForm &form) {
    return RankedTensorType::get({widthOf(matrix, form)}, mlir::IntegerType::get(matrix.getContext(), 32));
  }

  void store(FuncOp function) {
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      auto name = function.getArgAttrOfType<StringAttr>(i, "kiln.parameter");
      if (name && narrow.contains(name.getValue()))
        storeNarrow(function, i);
      if (auto found = blocks.find(name ? name.str() : ""); found != blocks.end())
        i += storeBlocks(function, i, name.getValue(), found->second);
    }
    function.setFunctionType(mlir::FunctionType::get(&getContext(), function.getBody().front().getArgumentTypes(),
                                                     function.getFunctionType().getResults()));
  }

  void storeNarrow(FuncOp function, unsigned number) {
    mlir::BlockArgument argument = function.getArgument(number);
    argument.setType(llvm::cast<RankedTensorType>(argument.getType()).clone(mlir::FloatType::getBF16(&getContext())));
    widenBehind(argument, mlir::FloatType::getF32(&getContext()));
  }

  /// The argument goes, and its blocks, their scales and minimums come in its place: so many more.
  unsigned storeBlocks(FuncOp function, unsigned number, StringRef name, const BlockForm &form) {
    mlir::BlockArgument matrix = function.getArgument(number);
    auto type = llvm::cast<RankedTensorType>(matrix.getType());
    mlir::Builder builder(&getContext());
    unsigned last = number;
    auto insert = [&](const std::string &end, RankedTensorType its) {
      mlir::NamedAttribute named = builder.getNamedAttr("kiln.parameter", builder.getStringAttr(name.str() + end));
      function.insertArgument(++last, its, builder.getDictionaryAttr(named), matrix.getLoc());
    };
    insert("", blocksOf(type, form));
    insert(form.scalesEnd(), scalesOf(type, form));
    if (form.minimums)
      insert(BlockForm::minimumsEnd, scalesOf(type, form));
    if (form.ordered)
      insert(BlockForm::orderEnd, orderOf(type, form));
    auto argument = [&](unsigned i, bool exists) { return exists ? Value(function.getArgument(i)) : Value(); };
    readBlocks(matrix, {argument(number + 1, true), argument(number + 2, true), argument(number + 3, form.minimums),
                        argument(last, form.ordered), form.columns, form.coding});
    function.eraseArgument(number);
    return last - number - 1;
  }
};

} // namespace

std::unique_ptr<mlir::Pass> createStoreWeights(StoreWeightsOptions options, StoredForms kept) {
  auto pass = std::make_unique<StoreWeights>(std::move(options));
  pass->kept = std::move(kept);
  return pass;
}

} // namespace kiln
