// The loss rewritten for a shard: rows counted from its first, its rows of the batch's draws, shares, totals as inputs,
// new states as results that are put together.

#include "passes/TrainStep/Shards.h"

#include "ir/Symbols.h"
#include "passes/TrainStep/BatchRows.h"

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
  LogicalResult takeStates(const BatchRows &rows);
  LogicalResult nameStates(const BatchRows &rows);
  void shareOut(const BatchRows &rows);
  void offsetRows(const BatchRows &rows);
  void drawRows(const BatchRows &rows);
  Value firstRow(const Dim &rows, mlir::Type element);
  void fixExtents();
  void addTotals(const std::string &name, llvm::ArrayRef<Value> totals, llvm::ArrayRef<unsigned> numbers);
  void takeTotals(const BatchRows &rows);
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
    auto least = loss->getAttrOfType<mlir::DictionaryAttr>("kiln.least");
    auto lowest = least ? least.getAs<mlir::IntegerAttr>(symbols.back()) : mlir::IntegerAttr();
    if (lowest && size->second / shards < lowest.getInt())
      return loss.emitError() << "--shards " << shards << " leaves each shard " << size->second / shards
                              << " of the batch's rows, and the model asks for at least " << lowest.getInt()
                              << ": cut into fewer, or make the batch larger";
  }
  std::map<std::string, Dim> rows;
  for (const auto &[symbol, size] : sizes)
    rows.emplace(symbol, Dim(size / shards));
  SmallVector<Dim> asked;
  if (auto dims = loss->getAttrOfType<DimsAttr>("kiln.nonempty"))
    llvm::append_range(asked, dims.dims());
  for (const Dim &dim : asked)
    if (std::optional<int64_t> number = dim.substitute(rows).constant(); number && *number < 1)
      return loss.emitError() << "--shards " << shards
                              << " leaves each shard too few of the batch's rows: the model asks "
                              << "that " << dim.str() << " be at least 1: cut into fewer, or make the batch larger";
  return success();
}

static unsigned inputsOf(FuncOp function) {
  unsigned count = 0;
  while (count < function.getNumArguments() && function.getArgAttr(count, "kiln.input"))
    ++count;
  return count;
}

/// A state that has rows of the batch is given by the rows of the shard: an input `rows.NAME`.
LogicalResult ShardBuilder::takeStates(const BatchRows &rows) {
  for (unsigned i = 0; i < loss.getNumArguments(); ++i) {
    auto state = loss.getArgAttrOfType<mlir::StringAttr>(i, "kiln.state");
    if (!state || !rows.mentions(dimsOf(loss.getArgument(i))))
      continue;
    if (rows.rowAxisOf(loss.getArgument(i)) < 0)
      return loss.emitError() << "--shards: the state " << state << " has the number of the batch's rows in it, and no "
                              << "axis of them that could be cut: build without --shards";
    Value own = inputAt(inputsOf(loss), loss.getArgument(i).getType(), "rows." + state.str());
    loss.getArgument(i + 1).replaceAllUsesWith(own);
    loss.eraseArgument(i + 1);
  }
  return success();
}

/// What becomes of a new state, by the name of the result: `sum.NAME` adds up over the shards, `rows.NAME` are its rows
/// of it, and `same.NAME` is any shard's.
LogicalResult ShardBuilder::nameStates(const BatchRows &rows) {
  mlir::Operation *end = loss.front().getTerminator();
  for (unsigned i = 0; i < loss.getNumResults(); ++i) {
    if (auto name = loss.getResultAttrOfType<mlir::StringAttr>(i, "kiln.parameter"))
      return loss.emitError() << "--shards: the loss changes the parameter " << name
                              << ", and each shard would change it in its own way: build without --shards";
    auto name = loss.getResultAttrOfType<mlir::StringAttr>(i, "kiln.state");
    if (!name)
      continue;
    Value value = end->getOperand(i);
    bool own = rows.isOwn(value);
    if (own && !isFloatTensor(value.getType()))
      return loss.emitError() << "--shards: the state " << name
                              << " is made of what is each shard's own (per_shard), of "
                              << "which the mean is kept, and whole numbers have none: let it be of floats";
    llvm::StringRef how = rows.hasRows(value) ? "rows." : own || rows.isSum(value) ? "sum." : "same.";
    loss.removeResultAttr(i, b.getStringAttr("kiln.state"));
    loss.setResultAttr(i, "kiln.output", b.getStringAttr(how + name.getValue()));
  }
  return success();
}

Value ShardBuilder::inputAt(unsigned position, mlir::Type type, const std::string &name) {
  loss.insertArgument(position, type, b.getDictionaryAttr(b.getNamedAttr("kiln.input", b.getStringAttr(name))),
                      loss.getLoc());
  return loss.getArgument(position);
}

Value ShardBuilder::shard() {
  if (!number)
    number = inputAt(inputsOf(loss), tensorType({}, b.getIntegerType(32, /*isSigned=*/false)), "shard");
  return number;
}

/// What is the same in all shards and is added to a sum over them: of floats each has an equal share, whole numbers are
/// the first one's.
void ShardBuilder::shareOut(const BatchRows &rows) {
  for (mlir::OpOperand *operand : rows.shares()) {
    Emit e = before(operand->getOwner());
    Value given = operand->get();
    if (isFloatTensor(given.getType())) {
      operand->set(e.mul(given, 1 / static_cast<double>(shards)));
      continue;
    }
    Value first = e.compare(Predicate::eq, shard(), e.splatInt(shard().getType(), 0));
    operand->set(e.mul(given, e.broadcastScalar(e.convertTo(first, elementOf(given)), dimsOf(given))));
  }
}

/// The number of a shard's first row, where it has so many.
Value ShardBuilder::firstRow(const Dim &rows, mlir::Type element) {
  Dim length = rows;
  for (const auto &[symbol, size] : sizes)
    length = length.substitute({{symbol, Dim(size / shards)}});
  Emit e(b, loss.getLoc());
  return e.mul(e.convertTo(shard(), element), e.extent(length, element));
}

/// Rows are counted from the batch's first.
void ShardBuilder::offsetRows(const BatchRows &rows) {
  SmallVector<IotaOp> counts;
  loss.walk([&](IotaOp iota) {
    if (rows.mentions(dimsOf(iota.getResult())[static_cast<size_t>(iota.getAxis())]))
      counts.push_back(iota);
  });
  for (IotaOp iota : counts) {
    b.setInsertionPointAfter(iota);
    Emit e(b, iota.getLoc());
    SmallVector<Dim> dims = dimsOf(iota.getResult());
    Value first = firstRow(dims[static_cast<size_t>(iota.getAxis())], elementOf(iota));
    Value moved = e.add(iota.getResult(), e.broadcastScalar(first, dims));
    iota.getResult().replaceAllUsesExcept(moved, moved.getDefiningOp());
  }
}

// A draw for rows is that of the whole batch, of which the shard has its rows: the element of a draw is a number of its
// own, so that fusion computes no others. What is made of draws is made of primitives here.
void ShardBuilder::drawRows(const BatchRows &rows) {
  SmallVector<DecomposableOpInterface> composites;
  loss.walk([&](DecomposableOpInterface op) {
    if (seedOf(op) && rows.hasRows(op->getResult(0)))
      composites.push_back(op);
  });
  for (DecomposableOpInterface op : composites) {
    b.setInsertionPoint(op);
    op->replaceAllUsesWith(op.decompose(b));
    op->erase();
  }
  SmallVector<RandomBitsOp> draws;
  loss.walk([&](RandomBitsOp op) {
    if (rows.hasRows(op.getResult()))
      draws.push_back(op);
  });
  std::map<std::string, Dim> whole;
  for (const auto &[symbol, size] : sizes)
    whole.emplace(symbol, Dim(size));
  for (RandomBitsOp op : draws) {
    Emit e = before(op);
    SmallVector<Dim> dims = dimsOf(op.getResult()), all;
    for (const Dim &dim : dims)
      all.push_back(dim.substitute(whole));
    auto axis = static_cast<size_t>(rows.rowAxisOf(op.getResult()));
    SmallVector<Value> starts(dims.size(), e.splatInt(tensorType({}, b.getI32Type()), 0));
    starts[axis] = firstRow(dims[axis], b.getI32Type());
    Value drawn = e.create<RandomBitsOp>(tensorType(all, elementOf(op.getResult())), op.getSeed(), op.getCounters(),
                                         op.getStream());
    op.getResult().replaceAllUsesWith(e.create<DynamicSliceOp>(op.getType(), drawn, starts));
    op.erase();
  }
}

/// How many rows there are, where a number is computed from it, is the whole batch's: a mean is over all of it, but
/// where it is asked of each shard by itself.
void ShardBuilder::fixExtents() {
  std::map<std::string, Dim> whole, own;
  for (const auto &[symbol, size] : sizes) {
    whole.emplace(symbol, Dim(size));
    own.emplace(symbol, Dim(size / shards));
  }
  SmallVector<ExtentOp> extents;
  loss.walk([&](ExtentOp op) { extents.push_back(op); });
  for (ExtentOp op : extents) {
    Dim dim = op.getExpr().dims()[0].substitute(op->hasAttr(perShard) ? own : whole);
    op.getResult().replaceAllUsesWith(before(op).extent(dim, elementOf(op)));
    op.erase();
  }
}

/// Rows of types become a shard's, and the symbols leave the function's lists.
void ShardBuilder::fixBatch(FuncOp function) {
  for (const auto &[symbol, size] : sizes)
    fixSymbol(function, symbol, size / shards);
  for (llvm::StringRef list : {"kiln.bounds", "kiln.limits", "kiln.limit_names", "kiln.least"})
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

/// @shard.totals gives those of a level (of higher ones @shard.totals1, …), and takes the ones below.
void ShardBuilder::addTotals(const std::string &name, llvm::ArrayRef<Value> totals, llvm::ArrayRef<unsigned> numbers) {
  mlir::IRMapping map;
  auto first = llvm::cast<FuncOp>(loss->clone(map));
  first.setName(name);
  loss->getParentOfType<mlir::ModuleOp>().push_back(first);
  SmallVector<Value> results;
  SmallVector<mlir::DictionaryAttr> attributes;
  for (unsigned number : numbers) {
    results.push_back(map.lookup(totals[number]));
    attributes.push_back(b.getDictionaryAttr(b.getNamedAttr("kiln.output", b.getStringAttr(std::to_string(number)))));
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
}

/// Totals become inputs of the loss.
void ShardBuilder::takeTotals(const BatchRows &rows) {
  llvm::ArrayRef<Value> totals = rows.totals();
  SmallVector<unsigned> levels = llvm::map_to_vector(totals, [&](Value total) { return rows.levelOf(total); });
  for (unsigned level = 0; llvm::is_contained(levels, level); ++level) {
    SmallVector<unsigned> numbers;
    for (unsigned i = 0; i < totals.size(); ++i)
      if (levels[i] == level)
        numbers.push_back(i);
    addTotals("shard.totals" + (level ? std::to_string(level) : "") + suffix, totals, numbers);
    for (unsigned i : numbers) {
      Value total = totals[i];
      total.replaceAllUsesWith(inputAt(inputsOf(loss), total.getType(), "total." + std::to_string(i)));
    }
  }
  eraseUnread(loss.front(), {});
}

FailureOr<LossGradients> ShardBuilder::build() {
  if (failed(readBatches()))
    return failure();
  BatchRows rows(loss, symbols);
  if (failed(takeStates(rows)) || failed(rows.run()) || failed(nameStates(rows)))
    return failure();
  shareOut(rows);
  offsetRows(rows);
  drawRows(rows);
  fixExtents();
  loss.walk([](mlir::Operation *op) { op->removeAttr(perShard); }); // equal ops are one again
  takeTotals(rows);
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
