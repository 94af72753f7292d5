// while: a kiln.while; with a bound on its steps a kiln.scan whose body is a branch, which has a gradient and may stack
// what it yields. Where nothing is stacked, a pass makes a loop of it that ends early.
#include "frontend/language/ElaborateScan.h"
#include "frontend/language/Structure.h"

namespace kiln::language {

/// Evaluates the condition into `body.block`.
bool Elaborator::runCondition(const Stmt &statement, Frame &frame, ScanBody &body) {
  mlir::OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToEnd(body.block);
  scanBodies_.push_back(&body);
  regions_.push_back(body.block);
  entry_->loops.push_back(body.index);
  auto states = entry_->values;
  Range range = statement.value->range;
  Value value = eval(*statement.value, frame);
  entry_->loops.pop_back();
  regions_.pop_back();
  scanBodies_.pop_back();
  for (const auto &[variable, now] : entry_->values)
    if (auto before = states.find(variable); before != states.end() && before->second.tensor != now.tensor) {
      error(range, "the condition of a `while` assigns a state").withHelp("assign it in the loop's body");
      return false;
    }
  if (value.isError())
    return false;
  if (!value.isTensor()) {
    error(range, "the condition of a `while` is a bool that the loop computes; this is " + describe(value))
        .withHelp("for a known number of steps, write scan t in N, or for i in range(N)");
    return false;
  }
  std::optional<mlir::Value> condition = decision(value, range, "a `while`");
  body.condition = condition.value_or(mlir::Value());
  auto isRead = [&](mlir::BlockArgument argument) {
    return argument != body.index && (!argument.use_empty() || argument == body.condition);
  };
  body.decided = llvm::any_of(body.block->getArguments(), isRead);
  return condition.has_value();
}

/// Both are arguments of one block: the index, what is carried. The statements stand in a block without arguments.
bool Elaborator::runBoundedWhile(const Stmt &statement, Frame &frame, ScanBody &body) {
  body.block = new mlir::Block();
  body.index = body.block->addArgument(tensorType({}, builder_.getI32Type()), location(statement.range));
  addCarried(*body.block, frame, body);
  body.before = builder_.saveInsertionPoint();
  if (!runCondition(statement, frame, body))
    return false;
  body.inner = new mlir::Block();
  regions_.push_back(body.block);
  bool ok = runStatements(statement, frame, body, *body.inner);
  regions_.pop_back();
  return ok;
}

/// The condition's block and the statements' have the same arguments: the index, what is carried.
bool Elaborator::runWhile(const Stmt &statement, Frame &frame, ScanBody &body) {
  for (mlir::Block **block : {&body.block, &body.inner}) {
    *block = new mlir::Block();
    body.index = (*block)->addArgument(tensorType({}, builder_.getI32Type()), location(statement.range));
    addCarried(**block, frame, body);
    body.before = builder_.saveInsertionPoint();
    if (block == &body.block ? !runCondition(statement, frame, body)
                             : !runStatements(statement, frame, body, *body.inner))
      return false;
  }
  return true;
}

/// In the scan's block: the statements where the condition holds; else what is carried stays, and zeros are stacked.
void Elaborator::branchOfWhile(ScanBody &body) {
  mlir::Location loc = location(body.range);
  mlir::OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToEnd(body.block);
  std::vector<mlir::Value> taken = body.next, skipped;
  taken.insert(taken.end(), body.yielded.begin(), body.yielded.end());
  auto branch = builder_.create<IfOp>(loc, mlir::TypeRange(mlir::ValueRange(taken)), body.condition);
  branch.getThenRegion().push_back(std::exchange(body.inner, nullptr));
  builder_.setInsertionPointToEnd(&branch.getThenRegion().front());
  builder_.create<YieldOp>(loc, taken);
  builder_.setInsertionPointToEnd(&branch.getElseRegion().emplaceBlock());
  for (size_t i = 0; i < body.next.size(); ++i)
    skipped.push_back(body.block->getArgument(static_cast<unsigned>(1 + i)));
  for (mlir::Value value : body.yielded)
    skipped.push_back(Emit(builder_, loc).splatLike(value, 0));
  builder_.create<YieldOp>(loc, skipped);
  for (auto [i, result] : llvm::enumerate(branch.getResults()))
    (i < body.next.size() ? body.next[i] : body.yielded[i - body.next.size()]) = result;
}

void Elaborator::finishWhile(const Stmt &statement, Frame &frame, ScanBody &body) {
  mlir::Location loc = location(statement.range);
  builder_.restoreInsertionPoint(body.before);
  // Only random numbers read the number of the step: it is counted for them.
  bool counted = !body.block->getArgument(0).use_empty() || !body.inner->getArgument(0).use_empty();
  mlir::Type counter = body.index.getType();
  if (counted)
    body.inits.insert(body.inits.begin(), emit(statement.range).splatInt(counter, 0));
  else
    for (mlir::Block *block : {body.block, body.inner})
      block->eraseArgument(0);
  auto op = builder_.create<WhileOp>(loc, mlir::TypeRange(mlir::ValueRange(body.inits)), body.inits);
  {
    mlir::OpBuilder::InsertionGuard guard(builder_);
    builder_.setInsertionPointToEnd(body.block);
    builder_.create<YieldOp>(loc, body.condition);
    builder_.setInsertionPointToEnd(body.inner);
    if (counted) {
      Emit emit(builder_, loc);
      body.next.insert(body.next.begin(), emit.add(body.inner->getArgument(0), emit.splatInt(counter, 1)));
    }
    builder_.create<YieldOp>(loc, body.next);
  }
  whiles_[op] = userRange(statement.range);
  op.getCondition().push_back(body.block);
  op.getBody().push_back(body.inner);
  std::vector<Value> results;
  for (mlir::Value result : op->getResults().drop_front(counted ? 1 : 0))
    results.push_back(Value::tensorOf(result));
  nameResults(statement, frame, body, results);
}

void Elaborator::executeWhile(const Stmt &statement, Frame &frame) {
  if (!inFunction(statement.range, "a while"))
    return;
  ScanBody body;
  body.range = statement.range;
  bool yields = !statement.body.empty() && statement.body.back()->kind == StmtKind::Yield;
  if (statement.bound) {
    Value bound = eval(*statement.bound, frame);
    if (!bound.isInteger() || (bound.asInteger() && *bound.asInteger() < 0)) {
      if (!bound.isError())
        error(statement.bound->range, "'at most' is followed by a dimension or number; this is " + describe(bound));
      return failLoop(statement, frame, nullptr);
    }
    body.count = bound.integer;
  } else if (yields || statement.axis) {
    error(yields ? statement.body.back()->range : statement.axis->range,
          "a `while` that stacks values needs a bound on the number of its steps")
        .withHelp("write at most N before the colon");
    return failLoop(statement, frame, nullptr);
  }
  auto once = [&](ScanBody &one) {
    return statement.bound ? runBoundedWhile(statement, frame, one) : runWhile(statement, frame, one);
  };
  bool ok = runLoop(statement, frame, body, once);
  if (ok && !body.decided) {
    error(statement.value->range, "nothing that this condition reads is changed by the loop: it would hold for ever")
        .withHelp("carry what decides it (`carrying NAME`), and set it in the body");
    ok = false;
  }
  if (!ok)
    return failLoop(statement, frame, &body);
  if (!statement.bound)
    return finishWhile(statement, frame, body);
  branchOfWhile(body);
  finishScan(statement, frame, body);
}

} // namespace kiln::language
