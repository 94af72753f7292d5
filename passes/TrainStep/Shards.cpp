// The loss rewritten for a shard: rows counted from its first, draws of its own, shares, totals as inputs.

#include "passes/TrainStep/Shards.h"

#include "ir/Symbols.h"
#include "passes/TrainStep/Rows.h"

#include "mlir/IR/IRMapping.h"

namespace kiln {

using llvm::SmallVector;
using mlir::failed;
using mlir::failure;
using mlir::FailureOr;
using mlir::LogicalResult;
using mlir::success;
using mlir::Value;
using mlir::func::FuncOp;

int64_t shardsOf(const Stage &stage) {
  auto shards = stage.train.getAs<mlir::IntegerAttr>("shards");
  return shards ? shards.getInt() : 0;
}

namespace {

class ShardBuilder {
public:
  ShardBuilder(FuncOp loss, int64_t shards, std::string suffix)
      : loss(loss), shards(shards), suffix(std::move(suffix)), b(loss.getContext()) {}

  FailureOr<LossGradients> build();

private:
  LogicalResult readBatches();
  LogicalResult checkStates();
  void shareOut(const Rows &rows);
  void offsetRows(const Rows &rows);
  void fixExtents();
  void addTotals(llvm::ArrayRef<Value> totals);
  void fixBatch(FuncOp function);
  Value shard();
  Value inputAt(unsigned position, mlir::Type type, const std::string &name);
  /// In front of an op, at its place.
  Emit before(mlir::Operation *op) {
    b.setInsertionPoint(op);
    return Emit(b, op->getLoc());
  }

  FuncOp loss;
  int64_t shards;
  std::string suffix; // of the stage's functions
  mlir::OpBuilder b;
  SmallVector<std::string> symbols;
  std::map<std::string, int64_t> sizes; // of the whole batches
  Value number;                         // of the shard, where it is asked for
};

// `kiln.batches = ["N"]`, and `kiln.bounds` with their sizes.
LogicalResult ShardBuilder::readBatches() {
  Bounds bounds = boundsOf(loss);
  auto batches = loss->getAttrOfType<mlir::ArrayAttr>("kiln.batches");
  if (!batches || batches.empty())
    return loss.emitError() << "--shards: the recipe's data have no batch that could be cut";
  for (auto name : batches.getAsRange<mlir::StringAttr>()) {
    symbols.push_back(name.str());
    auto size = bounds.find(symbols.back());
    if (size == bounds.end() || size->second % shards != 0)
      return loss.emitError() << "--shards " << shards << " does not divide the batch of "
                              << (size == bounds.end() ? 0 : size->second)
                              << ": each shard has equally many of its rows";
    sizes[symbols.back()] = size->second;
  }
  return success();
}

// A shard changes no state, and goes on from none of its own.
LogicalResult ShardBuilder::checkStates() {
  for (unsigned i = 0; i < loss.getNumResults(); ++i)
    for (llvm::StringRef role : {"kiln.state", "kiln.parameter"})
      if (auto name = loss.getResultAttrOfType<mlir::StringAttr>(i, role))
        return loss.emitError() << "--shards: the loss changes " << name
                                << ", and each shard would change it in its own way (a batch norm's statistics, a "
                                   "session state): use a norm over a row's own values, or build without --shards";
  return success();
}

Value ShardBuilder::inputAt(unsigned position, mlir::Type type, const std::string &name) {
  loss.insertArgument(position, type, b.getDictionaryAttr(b.getNamedAttr("kiln.input", b.getStringAttr(name))),
                      loss.getLoc());
  return loss.getArgument(position);
}

static unsigned inputsOf(FuncOp function) {
  unsigned count = 0;
  while (count < function.getNumArguments() && function.getArgAttr(count, "kiln.input"))
    ++count;
  return count;
}

Value ShardBuilder::shard() {
  if (!number)
    number = inputAt(inputsOf(loss), tensorType({}, b.getIntegerType(32, /*isSigned=*/false)), "shard");
  return number;
}

/// What is the same in all shards and is added to a sum over them.
void ShardBuilder::shareOut(const Rows &rows) {
  for (mlir::OpOperand *operand : rows.shares()) {
    Emit e = before(operand->getOwner());
    operand->set(e.mul(operand->get(), 1 / static_cast<double>(shards)));
  }
}

// Rows are counted from the batch's first. A draw for rows has a seed of the shard's own: the seed plus the shard's
// number times 2^32 over the golden ratio, so that seeds that follow each other do not meet.
void ShardBuilder::offsetRows(const Rows &rows) {
  SmallVector<IotaOp> counts;
  SmallVector<mlir::OpOperand *> seeds;
  loss.walk([&](mlir::Operation *op) {
    if (op->getNumResults() == 0 || !llvm::isa<mlir::RankedTensorType>(op->getResult(0).getType()) ||
        !rows.hasRows(op->getResult(0)))
      return;
    if (mlir::OpOperand *seed = seedOf(op))
      seeds.push_back(seed);
    auto iota = llvm::dyn_cast<IotaOp>(op);
    if (iota && rows.mentions(dimsOf(iota.getResult())[static_cast<size_t>(iota.getAxis())]))
      counts.push_back(iota);
  });
  for (mlir::OpOperand *seed : seeds) {
    Emit e = before(seed->getOwner());
    Value own = e.mul(shard(), e.splatInt(shard().getType(), 0x9E3779B9));
    seed->set(e.add(seed->get(), own));
  }
  for (IotaOp iota : counts) {
    b.setInsertionPointAfter(iota);
    Emit e(b, iota.getLoc());
    SmallVector<Dim> dims = dimsOf(iota.getResult());
    mlir::Type element = elementOf(iota);
    Dim length = dims[static_cast<size_t>(iota.getAxis())];
    for (const std::string &symbol : symbols)
      length = length.substitute({{symbol, Dim(sizes[symbol] / shards)}});
    Value first = e.mul(e.convertTo(shard(), element), e.extent(length, element));
    Value moved = e.add(iota.getResult(), e.broadcastScalar(first, dims));
    iota.getResult().replaceAllUsesExcept(moved, moved.getDefiningOp());
  }
}

/// How many rows there are, where a number is computed from it, is the whole batch's: a mean is over all of it.
void ShardBuilder::fixExtents() {
  std::map<std::string, Dim> whole;
  for (const auto &[symbol, size] : sizes)
    whole.emplace(symbol, Dim(size));
  SmallVector<ExtentOp> extents;
  loss.walk([&](ExtentOp op) { extents.push_back(op); });
  for (ExtentOp op : extents) {
    Dim dim = op.getExpr().dims()[0].substitute(whole);
    op.getResult().replaceAllUsesWith(before(op).extent(dim, elementOf(op)));
    op.erase();
  }
}

/// Rows of types become a shard's, and the symbols leave the function's lists.
void ShardBuilder::fixBatch(FuncOp function) {
  for (const auto &[symbol, size] : sizes)
    fixSymbol(function, symbol, size / shards);
  for (llvm::StringRef list : {"kiln.bounds", "kiln.limits", "kiln.least"})
    if (auto attribute = function->getAttrOfType<mlir::DictionaryAttr>(list)) {
      mlir::NamedAttrList kept(attribute);
      for (const auto &[symbol, size] : sizes)
        kept.erase(symbol);
      if (kept.empty())
        function->removeAttr(list);
      else
        function->setAttr(list, kept.getDictionary(b.getContext()));
    }
  if (auto dims = function->getAttrOfType<DimsAttr>("kiln.nonempty")) {
    SmallVector<Dim> kept;
    for (const Dim &dim : dims.dims())
      if (!dim.constant())
        kept.push_back(dim);
    function->removeAttr("kiln.nonempty");
    if (!kept.empty())
      function->setAttr("kiln.nonempty", DimsAttr::get(b.getContext(), kept));
  }
  function->removeAttr("kiln.batches");
}

// @shard.totals gives them; the loss takes their sums.
void ShardBuilder::addTotals(llvm::ArrayRef<Value> totals) {
  if (totals.empty())
    return;
  mlir::IRMapping map;
  auto first = llvm::cast<FuncOp>(loss->clone(map));
  first.setName("shard.totals" + suffix);
  loss->getParentOfType<mlir::ModuleOp>().push_back(first);
  SmallVector<Value> results;
  SmallVector<mlir::DictionaryAttr> attributes;
  SmallVector<mlir::Attribute> names;
  for (auto [i, total] : llvm::enumerate(totals)) {
    results.push_back(map.lookup(total));
    attributes.push_back(b.getDictionaryAttr(b.getNamedAttr("kiln.output", b.getStringAttr(std::to_string(i)))));
  }
  setResults(first, results, attributes);
  eraseUnread(first.front(), results);
  llvm::BitVector unread(first.getNumArguments());
  for (mlir::BlockArgument argument : first.getArguments())
    if (argument.use_empty())
      unread.set(argument.getArgNumber());
  first.eraseArguments(unread);
  first->removeAttr("kiln.frozen");
  fixBatch(first);
  for (size_t i = 0; i < totals.size(); ++i) {
    Value total = totals[i];
    total.replaceAllUsesWith(inputAt(inputsOf(loss), total.getType(), "total." + std::to_string(i)));
  }
  eraseUnread(loss.front(), {});
}

FailureOr<LossGradients> ShardBuilder::build() {
  if (failed(readBatches()) || failed(checkStates()))
    return failure();
  Rows rows(loss, symbols);
  for (mlir::BlockArgument argument : loss.getArguments()) {
    auto state = loss.getArgAttrOfType<mlir::StringAttr>(argument.getArgNumber(), "kiln.state");
    if (state && rows.mentions(dimsOf(argument)))
      return loss.emitError() << "--shards: the loss reads the session state " << state
                              << ", which goes on from batch to batch with all of its rows: build without --shards";
  }
  if (failed(rows.run()))
    return failure();
  offsetRows(rows);
  shareOut(rows);
  fixExtents();
  addTotals(rows.totals());
  fixBatch(loss);
  return copyWithGradients(loss, "shard.gradients" + suffix);
}

} // namespace

FailureOr<LossGradients> createShard(mlir::ModuleOp module, const Stage &stage) {
  auto loss = module.lookupSymbol<FuncOp>("loss.shard" + stage.suffix);
  if (!loss)
    return module.emitError("kiln.train has shards, and there is no @loss.shard") << stage.suffix;
  FailureOr<LossGradients> made = ShardBuilder(loss, shardsOf(stage), stage.suffix).build();
  loss.erase();
  return made;
}

} // namespace kiln
