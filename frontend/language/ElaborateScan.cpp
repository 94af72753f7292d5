// scan: the body is executed once, into a block of its own, and becomes the region of one kiln.scan. What is common to
// scan and while.
#include "frontend/language/ElaborateScan.h"
#include "backends/api/kiln_backend.h"
#include "frontend/language/Limits.h"
#include "frontend/language/Structure.h"

#include <utility>

namespace kiln::language {

static_assert(maxScans == KILN_MAX_LOOPS, "a scan is one loop of the program");

static const char *wordOf(const Stmt &loop) { return loop.kind == StmtKind::While ? "while" : "scan"; }

/// The carried names with their values before the loop.
static bool carried(Elaborator &e, const Stmt &statement, Frame &frame, Elaborator::ScanBody &body) {
  if (!statement.target)
    return true;
  bool tuple = statement.target->kind == ExprKind::Tuple;
  for (size_t i = 0; i < (tuple ? statement.target->children.size() : 1); ++i) {
    const Expr &name = tuple ? statement.target->child(i) : *statement.target;
    if (name.kind != ExprKind::Name) {
      e.error(name.range, "'carrying' is followed by names");
      return false;
    }
    auto found = frame.locals.find(name.text);
    if (found == frame.locals.end()) {
      Diagnostic &diagnostic = e.error(name.range, "the carried '" + name.text + "' has no value before the loop");
      if (frame.self && frame.self->find(name.text) && frame.self->find(name.text)->kind == Value::Kind::Variable)
        diagnostic.withHelp("states that the body assigns are carried without being named");
      else if (e.lookupOuter(name, frame))
        diagnostic.withHelp("it is one of the function around this one: " + name.text + " = " + name.text +
                            " before the loop makes one of its own");
      else
        diagnostic.withHelp("set it first, as in " + name.text + " = zeros(B, width)");
      return false;
    }
    Value value = found->second.value;
    if (value.isError() || !numbersToTensors(e, value, name.range))
      return false;
    std::vector<Value> parts;
    if (!flatten(value, parts)) {
      e.error(name.range, "a loop carries tensors; '" + name.text + "' is " + describe(value))
          .note(found->second.range, "it is set here");
      return false;
    }
    body.names.push_back({name.text, name.range, value, parts.size()});
    for (Value &part : parts)
      body.inits.push_back(part.tensor);
  }
  return true;
}

/// The carried values and states become arguments of the block, and what their names hold from here on.
void Elaborator::addCarried(mlir::Block &block, Frame &frame, const ScanBody &body) {
  std::vector<Value> arguments;
  for (mlir::Value init : body.inits)
    arguments.push_back(Value::tensorOf(block.addArgument(init.getType(), location(body.range))));
  auto next = std::vector<Value>::const_iterator(arguments.begin());
  for (const ScanBody::Carry &carry : body.names)
    frame.locals[carry.name] = {rebuild(carry.value, next), carry.range};
  for (const auto &state : body.states)
    entry_->values[state.get()] = *next++;
}

/// Executes the body once. The block's arguments: the index, the carried values, the carried states, the sequences.
bool Elaborator::runScanBody(const Stmt &statement, Frame &frame, ScanBody &body) {
  body.block = new mlir::Block();
  body.index = body.block->addArgument(tensorType({}, builder_.getI32Type()), location(statement.range));
  frame.locals[statement.name] = {Value::tensorOf(body.index), statement.nameRange};
  addCarried(*body.block, frame, body);
  body.before = builder_.saveInsertionPoint();
  return runStatements(statement, frame, body, *body.block);
}

/// The statements of a loop's body, into the block; the last one may be a yield.
bool Elaborator::runStatements(const Stmt &statement, Frame &frame, ScanBody &body, mlir::Block &block) {
  mlir::OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToEnd(&block);
  scanBodies_.push_back(&body);
  regions_.push_back(&block);
  entry_->loops.push_back(body.index);
  ++frame.loopDepth;
  bool ok = true;
  size_t errorsBefore = diagnostics_.size();
  for (const StmtPtr &inner : statement.body)
    if (inner->kind == StmtKind::Yield && inner == statement.body.back())
      ok = runYield(*inner, frame, body);
    else
      executeOne(*inner, frame);
  --frame.loopDepth;
  entry_->loops.pop_back();
  regions_.pop_back();
  scanBodies_.pop_back();
  return ok && diagnostics_.size() == errorsBefore;
}

bool Elaborator::runYield(const Stmt &yield, Frame &frame, ScanBody &body) {
  bool ok = true;
  for (size_t i = 0; i < yield.value->children.size(); ++i) {
    const Expr &expr = yield.value->child(i);
    Value value = eval(expr, frame);
    const Expr *name = yield.target->children[i]     ? yield.target->children[i].get()
                       : expr.kind == ExprKind::Name ? &expr
                                                     : nullptr;
    if (!name) {
      error(expr.range, "what a loop yields needs a name for after the loop")
          .withHelp("write yield y = " + std::string(expr.range.text()));
      ok = false;
      continue;
    }
    std::vector<Value> parts;
    if (value.isError() || !numbersToTensors(*this, value, expr.range) || !flatten(value, parts)) {
      if (!value.isError())
        error(expr.range, "a loop yields tensors; this is " + describe(value));
      frame.locals[name->text] = {Value::error(), name->range};
      ok = false;
      continue;
    }
    body.outputs.push_back({name->text, name->range, value, parts.size()});
    for (const Value &part : parts)
      body.yielded.push_back(part.tensor);
  }
  return ok;
}

/// What the carried names hold at the end of a step has to have the types that they began with.
static bool nextCarries(Elaborator &e, Frame &frame, Elaborator::ScanBody &body) {
  bool ok = true;
  size_t at = 0;
  for (const auto &carry : body.names) {
    if (auto lost = frame.lost.find(carry.name); lost != frame.lost.end() && !frame.locals.contains(carry.name)) {
      e.reportLost(carry.name, lost->second, carry.range);
      return false;
    }
    Binding &binding = frame.locals[carry.name];
    std::vector<Value> parts;
    if (binding.value.isError())
      return false;
    if (!numbersToTensors(e, binding.value, binding.range) || !flatten(binding.value, parts) ||
        parts.size() != carry.parts) {
      e.error(binding.range, "the carried '" + carry.name + "' ends the step as " + describe(binding.value) +
                                 "; it began as " + describe(carry.value))
          .note(carry.range, "it is carried here");
      return false;
    }
    for (Value &part : parts) {
      if (part.tensor.getType() != body.inits[at].getType()) {
        e.error(binding.range, "the carried '" + carry.name + "' ends the step as " + describe(part) +
                                   "; it began as " + describe(Value::tensorOf(body.inits[at])))
            .note(carry.range, "it is carried here");
        ok = false;
      }
      body.next.push_back(part.tensor);
      ++at;
    }
  }
  return ok;
}

/// What a state holds among `values`; what it came with where it has none.
static mlir::Value valueOf(const Entry &entry, const std::map<Variable *, Value> &values, Variable &variable) {
  auto found = values.find(&variable);
  return found != values.end() ? found->second.tensor : argumentOf(entry, variable);
}

/// States that have another value than before the loop and are not carried by the body yet; in a recipe's blocks,
/// parameters too, in an optimizer what it keeps.
static std::vector<std::shared_ptr<Variable>>
assignedStates(const Entry &entry, const std::map<Variable *, Value> &before, const Elaborator::ScanBody &body) {
  std::vector<std::shared_ptr<Variable>> assigned;
  auto look = [&](const std::shared_ptr<Variable> &variable) {
    if (!llvm::is_contained(body.states, variable) &&
        valueOf(entry, entry.values, *variable) != valueOf(entry, before, *variable))
      assigned.push_back(variable);
  };
  for (const auto *table : {&entry.parameters, &entry.states})
    for (const auto &[index, pair] : *table)
      look(pair.first);
  for (const std::shared_ptr<Variable> &variable : entry.kept)
    look(variable);
  return assigned;
}

void markTarget(const Expr &target, const Mark &mark) {
  if (target.kind == ExprKind::Name)
    mark(target.text, target.range);
  if (target.kind == ExprKind::Tuple || target.kind == ExprKind::List)
    for (const ExprPtr &child : target.children)
      if (child)
        markTarget(*child, mark);
}

void markNames(const std::vector<StmtPtr> &body, const Mark &mark) {
  for (const StmtPtr &inner : body) {
    if (inner->target && inner->kind != StmtKind::Assert)
      markTarget(*inner->target, mark);
    if (inner->kind == StmtKind::Yield)
      markTarget(*inner->value, mark);
    markNames(inner->body, mark);
    markNames(inner->otherwise, mark);
  }
}

/// After an error: what the loop would have set is unknown from here on.
void Elaborator::failLoop(const Stmt &statement, Frame &frame, ScanBody *body) {
  auto poison = [&](const std::string &name, Range range) { frame.locals[name] = {Value::error(), range}; };
  markNames(statement.body, poison);
  if (statement.target)
    markTarget(*statement.target, poison);
  if (body)
    bury(*body);
  entry_->failed = true;
}

/// Values of the loop's blocks may still be referred to.
void Elaborator::bury(ScanBody &body) {
  for (mlir::Block **block : {&body.block, &body.inner})
    if (*block)
      graveyard_.emplace_back(std::exchange(*block, nullptr));
}

/// Executes the body by `once` until all states that it assigns are carried: which ones shows only when it has run. The
/// frame is then as it was before the loop. False after an error.
bool Elaborator::runLoop(const Stmt &statement, Frame &frame, ScanBody &body,
                         const std::function<bool(ScanBody &)> &once) {
  if (scanBodies_.size() >= maxScans) {
    error(statement.range, "more than " + std::to_string(maxScans) + " scans or whiles are nested here")
        .note(scanBodies_.front()->range, "the outermost one is here")
        .withHelp("join two of them: scan t in N * M, with t // M and t % M");
    return false;
  }
  auto savedLocals = frame.locals;
  auto savedLost = frame.lost;
  auto savedValues = entry_->values;
  int64_t savedStream = entry_->nextStream;
  bool ok = false;
  for (int attempt = 0;; ++attempt) {
    if (!carried(*this, statement, frame, body))
      break;
    for (const auto &state : body.states)
      body.inits.push_back(valueOf(*entry_, savedValues, *state));
    if (!once(body))
      break;
    std::vector<std::shared_ptr<Variable>> assigned = assignedStates(*entry_, savedValues, body);
    if (assigned.empty() || attempt > 3) {
      ok = nextCarries(*this, frame, body);
      break;
    }
    bury(body);
    frame.locals = savedLocals;
    frame.lost = savedLost;
    entry_->nextStream = savedStream;
    entry_->values = savedValues;
    ScanBody again;
    again.range = body.range;
    again.count = body.count;
    again.states = body.states;
    again.states.insert(again.states.end(), assigned.begin(), assigned.end());
    body = std::move(again);
  }
  for (const auto &state : body.states)
    if (ok)
      body.next.push_back(valueOf(*entry_, entry_->values, *state));
  std::swap(savedLocals, frame.locals); // savedLocals: as they are at the end of the body
  return ok && checkLostNames(statement, frame, savedLocals, body);
}

void Elaborator::executeScan(const Stmt &statement, Frame &frame) {
  if (!inFunction(statement.range, "a scan"))
    return;
  Value count = eval(*statement.value, frame);
  ScanBody body;
  body.range = statement.range;
  if (!count.isInteger()) {
    if (!count.isError())
      error(statement.value->range, "a scan counts to a dimension or number; this is " + describe(count))
          .withHelp("write scan t in T, and take x[:, t]");
    return failLoop(statement, frame, nullptr);
  }
  body.count = count.integer;
  if (!runLoop(statement, frame, body, [&](ScanBody &one) { return runScanBody(statement, frame, one); }))
    return failLoop(statement, frame, &body);
  finishScan(statement, frame, body);
}

/// Names that the body set: those of its own vanish, and one that was there before has to be carried or yielded.
bool Elaborator::checkLostNames(const Stmt &statement, Frame &frame,
                                const std::map<std::string, Binding, std::less<>> &inner,
                                const Elaborator::ScanBody &body) {
  bool ok = true;
  std::string word = wordOf(statement);
  auto check = [&](const std::string &name, Range range) {
    bool handedOn = name == statement.name || name == "_"; // `_`: what is not used
    for (const auto &carry : body.names)
      handedOn |= carry.name == name;
    if (handedOn)
      return;
    auto before = frame.locals.find(name);
    if (before == frame.locals.end()) {
      auto set = inner.find(name);
      bool function = set != inner.end() && set->second.value.kind == Value::Kind::Function;
      frame.lost[name] = {range, "is set inside of a " + word + ", and not known after it",
                          function ? "a function that is called after the " + word + " is declared before it"
                                   : "carry it (`carrying " + name + "`) or yield it"};
    } else if (before->second.range != range) {
      error(range, "'" + name + "' has a value from before the " + word + ", and is set in it without being carried")
          .note(before->second.range, "it was set here")
          .withHelp("carry it (`carrying " + name + "`), or use another name");
      ok = false;
    }
  };
  for (const auto &[name, binding] : inner)
    check(name, binding.range);
  std::map<std::string, Lost> lost = frame.lost;
  for (const auto &[name, why] : lost)
    if (!inner.contains(name) && frame.locals.contains(name))
      check(name, why.range);
  return ok;
}

void Elaborator::finishScan(const Stmt &statement, Frame &frame, ScanBody &body) {
  mlir::Location loc = location(statement.range);
  builder_.restoreInsertionPoint(body.before);
  int64_t axis = 1;
  if (statement.axis) {
    Value value = eval(*statement.axis, frame);
    std::optional<int64_t> constant = value.asInteger();
    if (!constant || *constant < 0 || *constant > 1) {
      error(statement.axis->range, "'along' is followed by 0 or 1, the axis that the steps are stacked along");
      return failLoop(statement, frame, &body);
    }
    axis = *constant;
  }
  std::vector<mlir::Type> types;
  std::vector<mlir::Value> sequences, yields = body.next;
  for (const ScanBody::Sequence &sequence : body.sequences)
    sequences.push_back(sequence.source);
  for (mlir::Value value : body.yielded) {
    types.push_back(value.getType());
    yields.push_back(value);
  }
  auto op = builder_.create<ScanOp>(loc, body.count, body.inits, sequences, types, statement.reversed);
  mlir::Region &region = op->getRegion(0);
  region.front().erase();
  region.push_back(body.block);
  {
    mlir::OpBuilder::InsertionGuard guard(builder_);
    builder_.setInsertionPointToEnd(body.block);
    builder_.create<YieldOp>(loc, yields);
  }
  Emit emit(builder_, loc);
  std::vector<Value> results;
  for (size_t i = 0; i < op->getNumResults(); ++i) {
    mlir::Value result = op->getResult(i);
    int64_t rank = llvm::cast<mlir::RankedTensorType>(result.getType()).getRank();
    if (!rankFits(rank, statement.range)) {
      entry_->failed = true;
      for (const ScanBody::Carry &output : body.outputs)
        frame.locals[output.name] = {Value::error(), output.range};
      return;
    }
    if (i >= body.inits.size() && axis == 1 && rank > 1) {
      std::vector<int64_t> permutation(rank);
      for (int64_t d = 0; d < rank; ++d)
        permutation[d] = d == 0 ? 1 : d == 1 ? 0 : d;
      result = emit.transposed(result, permutation);
    }
    results.push_back(Value::tensorOf(result));
  }
  nameResults(statement, frame, body, results);
}

/// Behind the loop: the carried values, the states, the stacked values.
void Elaborator::nameResults(const Stmt &statement, Frame &frame, const ScanBody &body,
                             const std::vector<Value> &results) {
  auto next = results.begin();
  for (const ScanBody::Carry &carry : body.names)
    frame.locals[carry.name] = {rebuild(carry.value, next), carry.range};
  for (const auto &state : body.states)
    write(state, *next++, statement.range);
  for (const ScanBody::Carry &output : body.outputs)
    frame.locals[output.name] = {rebuild(output.value, next), output.range};
}

/// x[:, t] of a value from outside of the loop, t being its index: a sequence of the scan, sliced by it.
std::optional<Value> Elaborator::scanSlice(const Value &base, size_t axis, const Value &index, Range range) {
  for (size_t level = scanBodies_.size(); level-- > 0;) {
    ScanBody &body = *scanBodies_[level];
    if (body.index != index.tensor)
      continue;
    llvm::SmallVector<Dim> dims = dimsOf(base.tensor);
    if (dims[axis] != body.count)
      return std::nullopt;
    mlir::Value tensor = base.tensor;
    for (auto region = llvm::find(regions_, body.block); region != regions_.end(); ++region)
      if (tensor.getParentBlock() == *region)
        return std::nullopt;
    ScanBody::Sequence *known = nullptr;
    for (ScanBody::Sequence &sequence : body.sequences)
      if (sequence.base == base.tensor && sequence.axis == axis)
        known = &sequence;
    if (!known) {
      mlir::OpBuilder::InsertionGuard guard(builder_);
      builder_.restoreInsertionPoint(body.before);
      std::vector<int64_t> permutation = {static_cast<int64_t>(axis)};
      for (size_t d = 0; d < dims.size(); ++d)
        if (d != axis)
          permutation.push_back(static_cast<int64_t>(d));
      mlir::Location loc = location(range);
      mlir::Value source = Emit(builder_, loc).transposed(base.tensor, permutation);
      llvm::SmallVector<Dim> rest(dims);
      rest.erase(rest.begin() + axis);
      mlir::Type type = tensorType(rest, base.tensorType().getElementType());
      body.sequences.push_back({base.tensor, axis, source, body.block->addArgument(type, loc)});
      known = &body.sequences.back();
    }
    Origins origins;
    for (size_t d = 0; d < dims.size(); ++d)
      if (d != axis)
        origins.push_back({base.originOf(d)});
    return Value::tensorOf(known->argument, std::make_shared<Origins>(std::move(origins)));
  }
  return std::nullopt;
}

} // namespace kiln::language
