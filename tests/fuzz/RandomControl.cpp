// Loops and branches of a random graph.
#include "tests/fuzz/Generator.h"

namespace kiln::test {

void Generator::inRegion(mlir::Block &block, llvm::ArrayRef<mlir::Value> arguments, llvm::function_ref<void()> close) {
  mlir::OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToEnd(&block);
  std::vector<mlir::Value> values = values_, integers = integers_;
  // Twice: what the region is about is drawn more often than what lies around it.
  for (mlir::Value argument : arguments)
    values_.insert(values_.end(), 2, argument);
  ++depth_;
  for (int64_t steps = 1 + below(4); steps > 0; --steps)
    step();
  close();
  --depth_;
  values_ = std::move(values);
  integers_ = std::move(integers);
}

void Generator::control(mlir::Value x) {
  if (depth_ >= 2)
    return;
  switch (below(options_.gradients ? 3 : 5)) {
  case 0:
  case 1:
    return scan(x);
  case 2:
    return branch(x);
  default:
    return loop(x);
  }
}

void Generator::scan(mlir::Value x) {
  llvm::SmallVector<mlir::Value> inits = {x}, sequences;
  if (below(2))
    inits.push_back(pick());
  for (int tries = 0; tries < 3 && sequences.empty(); ++tries)
    if (mlir::Value value = pick(); rank(value) > 0)
      sequences.push_back(value);
  Dim count = sequences.empty() ? Dim(options_.gradients ? 1 + below(3) : below(4)) : dimsOf(sequences[0])[0];
  auto *block = new mlir::Block();
  mlir::Location loc = builder_.getUnknownLoc();
  block->addArgument(tensorType({}, builder_.getI32Type()), loc);
  llvm::SmallVector<mlir::Value> arguments;
  for (mlir::Value init : inits)
    arguments.push_back(block->addArgument(init.getType(), loc));
  for (mlir::Value sequence : sequences)
    arguments.push_back(
        block->addArgument(tensorType(llvm::ArrayRef<Dim>(dimsOf(sequence)).drop_front(), elementOf(sequence)), loc));
  llvm::SmallVector<mlir::Type> outputs;
  inRegion(*block, arguments, [&] {
    llvm::SmallVector<mlir::Value> yields;
    for (mlir::Value init : inits)
      yields.push_back(emit_.tanh(ofType(init.getType())));
    int64_t limit = count.evaluate(symbols_).value_or(1);
    for (int64_t i = below(3); i > 0; --i)
      if (mlir::Value value = pick(); sizeOf(dimsOf(value)) * limit <= 20000) {
        outputs.push_back(value.getType());
        yields.push_back(value);
      }
    emit_.create<YieldOp>(yields);
  });
  auto scan = emit_.create<ScanOp>(count, inits, sequences, outputs, below(2) == 1);
  scan.getBody().front().erase();
  scan.getBody().push_back(block);
  for (mlir::Value result : scan->getResults())
    keep(result);
}

mlir::Value Generator::label() { return emit_.reshapeTo(emit_.sliceAxis(labels_, 0, Dim(below(5)), Dim(1)), {}); }

void Generator::branch(mlir::Value x) {
  mlir::Value which = emit_.compare(Predicate::gt, label(), emit_.splatInt(tensorType({}, builder_.getI32Type()), 0));
  llvm::SmallVector<mlir::Type> types = {x.getType()};
  if (below(2))
    types.push_back(pick().getType());
  auto branch = emit_.create<IfOp>(types, which);
  for (unsigned i = 0; i < 2; ++i)
    inRegion(branch->getRegion(i).emplaceBlock(), {}, [&] {
      llvm::SmallVector<mlir::Value> yields;
      for (mlir::Type type : types)
        yields.push_back(ofType(type));
      emit_.create<YieldOp>(yields);
    });
  for (mlir::Value result : branch->getResults())
    keep(result);
}

/// A while that counts to a label.
void Generator::loop(mlir::Value x) {
  mlir::Type counter = tensorType({}, builder_.getI32Type());
  mlir::Value limit = label();
  llvm::SmallVector<mlir::Value> inits = {emit_.splatInt(counter, 0), x};
  auto loop = emit_.create<WhileOp>(mlir::TypeRange(mlir::ValueRange(inits)), inits);
  mlir::Location loc = builder_.getUnknownLoc();
  {
    mlir::OpBuilder::InsertionGuard guard(builder_);
    mlir::Block &condition = loop.getCondition().emplaceBlock();
    condition.addArguments({counter, x.getType()}, {loc, loc});
    builder_.setInsertionPointToEnd(&condition);
    emit_.create<YieldOp>(mlir::ValueRange{emit_.compare(Predicate::lt, condition.getArgument(0), limit)});
  }
  mlir::Block &body = loop.getBody().emplaceBlock();
  body.addArguments({counter, x.getType()}, {loc, loc});
  inRegion(body, {body.getArgument(1)}, [&] {
    emit_.create<YieldOp>(
        mlir::ValueRange{emit_.add(body.getArgument(0), emit_.splatInt(counter, 1)), emit_.tanh(ofType(x.getType()))});
  });
  keep(loop->getResult(1));
}

} // namespace kiln::test
