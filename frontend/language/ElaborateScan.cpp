// scan: the body is executed once, into a block of its own, and becomes the region of one kiln.scan.
#include "frontend/language/ElaborateScan.h"
#include "backends/api/kiln_backend.h"
#include "frontend/language/Limits.h"

namespace kiln::language {

static_assert(maxScans == KILN_MAX_LOOPS, "a scan is one loop of the program");

static bool flatten(const Value &value, std::vector<Value> &out) {
  if (value.isTensor()) {
    out.push_back(value);
    return true;
  }
  if (!value.isList())
    return false;
  for (const Value &item : *value.items)
    if (!flatten(item, out))
      return false;
  return true;
}

/// The same structure with other tensors.
static Value rebuild(const Value &shape, std::vector<Value>::const_iterator &next) {
  if (shape.isTensor())
    return *next++;
  std::vector<Value> items;
  for (const Value &item : *shape.items)
    items.push_back(rebuild(item, next));
  Value value = Value::listOf(std::move(items));
  value.names = shape.names;
  return value;
}

static bool numbersToTensors(Elaborator &e, Value &value, Range range) {
  if (value.isNumber()) {
    std::optional<Value> tensor = e.toTensor(value, range);
    if (!tensor)
      return false;
    value = *tensor;
  } else if (value.isList()) {
    std::vector<Value> items = *value.items;
    for (Value &item : items)
      if (!numbersToTensors(e, item, range))
        return false;
    auto names = value.names;
    value = Value::listOf(std::move(items));
    value.names = names;
  }
  return true;
}

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
      else
        diagnostic.withHelp("set it first, as in " + name.text + " = zeros(B, width)");
      return false;
    }
    Value value = found->second.value;
    if (value.isError() || !numbersToTensors(e, value, name.range))
      return false;
    std::vector<Value> parts;
    if (!flatten(value, parts)) {
      e.error(name.range, "a scan carries tensors; '" + name.text + "' is " + describe(value))
          .note(found->second.range, "it is set here");
      return false;
    }
    body.names.push_back({name.text, name.range, value, parts.size()});
    for (Value &part : parts)
      body.inits.push_back(part.tensor);
  }
  return true;
}

/// Executes the body once. The block's arguments: the index, the carried values, the carried states, the sequences.
bool Elaborator::runScanBody(const Stmt &statement, Frame &frame, ScanBody &body) {
  mlir::Location loc = location(statement.range);
  body.block = new mlir::Block();
  body.index = body.block->addArgument(tensorType({}, builder_.getI32Type()), loc);
  std::vector<Value> arguments;
  for (mlir::Value init : body.inits)
    arguments.push_back(Value::tensorOf(body.block->addArgument(init.getType(), loc)));
  auto next = std::vector<Value>::const_iterator(arguments.begin());
  frame.locals[statement.name] = {Value::tensorOf(body.index), statement.nameRange};
  for (const ScanBody::Carry &carry : body.names)
    frame.locals[carry.name] = {rebuild(carry.value, next), carry.range};
  for (const auto &state : body.states)
    entry_->values[state.get()] = *next++;

  mlir::OpBuilder::InsertionGuard guard(builder_);
  body.before = builder_.saveInsertionPoint();
  builder_.setInsertionPointToEnd(body.block);
  scanBodies_.push_back(&body);
  entry_->loops.push_back(body.index);
  ++frame.scanDepth;
  bool ok = true;
  size_t errorsBefore = diagnostics_.size();
  for (const StmtPtr &inner : statement.body) {
    if (inner->kind != StmtKind::Yield || inner != statement.body.back()) {
      executeOne(*inner, frame);
      if (frame.returned)
        break;
      continue;
    }
    for (size_t i = 0; i < inner->value->children.size(); ++i) {
      const Expr &expr = inner->value->child(i);
      Value value = eval(expr, frame);
      const Expr *name = inner->target->children[i]    ? inner->target->children[i].get()
                         : expr.kind == ExprKind::Name ? &expr
                                                       : nullptr;
      if (!name) {
        error(expr.range, "what a scan yields needs a name for after the loop")
            .withHelp("write yield y = " + std::string(expr.range.text()));
        ok = false;
        continue;
      }
      std::vector<Value> parts;
      if (value.isError() || !numbersToTensors(*this, value, expr.range) || !flatten(value, parts)) {
        if (!value.isError())
          error(expr.range, "a scan yields tensors; this is " + describe(value));
        frame.locals[name->text] = {Value::error(), name->range};
        ok = false;
        continue;
      }
      body.outputs.push_back({name->text, name->range, value, parts.size()});
      for (const Value &part : parts)
        body.yielded.push_back(part.tensor);
    }
  }
  --frame.scanDepth;
  entry_->loops.pop_back();
  scanBodies_.pop_back();
  return ok && !frame.returned && diagnostics_.size() == errorsBefore;
}

/// What the carried names hold at the end of a step has to have the types that they began with.
static bool nextCarries(Elaborator &e, Frame &frame, Elaborator::ScanBody &body) {
  bool ok = true;
  size_t at = 0;
  for (const auto &carry : body.names) {
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

/// States that have another value than before the scan and are not carried by the body yet.
static std::vector<std::shared_ptr<Variable>>
assignedStates(const Entry &entry, const std::map<Variable *, Value> &before, const Elaborator::ScanBody &body) {
  std::vector<std::shared_ptr<Variable>> assigned;
  for (const auto &[index, pair] : entry.states) {
    auto now = entry.values.find(pair.first.get());
    auto then = before.find(pair.first.get());
    bool isCarried = std::find(body.states.begin(), body.states.end(), pair.first) != body.states.end();
    if (now != entry.values.end() && !isCarried &&
        now->second.tensor != (then == before.end() ? pair.second : then->second.tensor))
      assigned.push_back(pair.first);
  }
  return assigned;
}

void Elaborator::executeScan(const Stmt &statement, Frame &frame) {
  if (!inFunction(statement.range, "a scan"))
    return;
  Value count = eval(*statement.value, frame);
  auto savedLocals = frame.locals;
  auto fail = [&](ScanBody *body) {
    frame.locals = savedLocals;
    auto poison = [&](const std::string &name, Range range) { frame.locals[name] = {Value::error(), range}; };
    for (const StmtPtr &inner : statement.body) {
      if (inner->kind == StmtKind::Assign)
        markScanNames(*inner->target, poison);
      if (inner->kind == StmtKind::Yield)
        for (const auto *list : {inner->value.get(), inner->target.get()})
          for (const ExprPtr &name : list->children)
            if (name)
              markScanNames(*name, poison);
    }
    if (statement.target)
      markScanNames(*statement.target, poison);
    if (body)
      graveyard_.emplace_back(body->block); // values of it may still be referred to
    entry_->failed = true;
  };
  if (scanBodies_.size() >= maxScans) {
    error(statement.range, "more than " + std::to_string(maxScans) + " scans are nested here")
        .note(scanBodies_.front()->range, "the outermost one is here")
        .withHelp("join two of them: scan t in N * M, with t // M and t % M");
    return fail(nullptr);
  }
  if (!count.isInteger()) {
    if (!count.isError())
      error(statement.value->range, "a scan counts to a dimension or number; this is " + describe(count))
          .withHelp("write scan t in T, and take x[:, t]");
    return fail(nullptr);
  }
  ScanBody body;
  body.range = statement.range;
  body.count = count.integer;
  if (!carried(*this, statement, frame, body))
    return fail(nullptr);
  // States that the body assigns are carried too. Which ones shows only when it has run, so it runs again then.
  auto savedValues = entry_->values;
  int64_t savedStream = entry_->nextStream;
  for (int attempt = 0;; ++attempt) {
    if (!runScanBody(statement, frame, body))
      return fail(&body);
    std::vector<std::shared_ptr<Variable>> assigned = assignedStates(*entry_, savedValues, body);
    if (assigned.empty() || attempt > 3)
      break;
    graveyard_.emplace_back(body.block);
    frame.locals = savedLocals;
    entry_->nextStream = savedStream;
    ScanBody again;
    again.range = body.range;
    again.count = body.count;
    again.states = body.states;
    again.states.insert(again.states.end(), assigned.begin(), assigned.end());
    if (!carried(*this, statement, frame, again))
      return fail(nullptr);
    for (const auto &state : again.states) {
      auto before = savedValues.find(state.get());
      again.inits.push_back(before != savedValues.end() ? before->second.tensor : entry_->states[state->index].second);
    }
    entry_->values = savedValues;
    body = std::move(again);
  }
  if (!nextCarries(*this, frame, body))
    return fail(&body);
  for (const auto &state : body.states)
    body.next.push_back(entry_->values[state.get()].tensor);
  Frame after;
  after.locals = std::move(savedLocals);
  std::swap(after.locals, frame.locals); // after.locals: as they are at the end of the body
  if (!checkLostNames(statement, frame, after.locals, body))
    return fail(&body);
  finishScan(statement, frame, body);
}

void Elaborator::markScanNames(const Expr &expr, const std::function<void(const std::string &, Range)> &mark) {
  if (expr.kind == ExprKind::Name)
    mark(expr.text, expr.range);
  if (expr.kind == ExprKind::Tuple || expr.kind == ExprKind::List)
    for (const ExprPtr &child : expr.children)
      markScanNames(*child, mark);
}

/// Names that the body set: those of its own vanish, and one that was there before has to be carried or yielded.
bool Elaborator::checkLostNames(const Stmt &statement, Frame &frame,
                                const std::map<std::string, Binding, std::less<>> &inner,
                                const Elaborator::ScanBody &body) {
  bool ok = true;
  for (const auto &[name, binding] : inner) {
    bool handedOn = name == statement.name;
    for (const auto &carry : body.names)
      handedOn |= carry.name == name;
    if (handedOn)
      continue;
    auto before = frame.locals.find(name);
    if (before == frame.locals.end()) {
      frame.lost[name] = binding.range;
    } else if (before->second.range != binding.range) {
      error(binding.range, "'" + name + "' has a value from before the scan, and is set in it without being carried")
          .note(before->second.range, "it was set here")
          .withHelp("carry it (`carrying " + name + "`), or use another name");
      ok = false;
    }
  }
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
      return;
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
  auto next = std::vector<Value>::const_iterator(results.begin());
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
    for (size_t inner = level; inner < scanBodies_.size(); ++inner)
      if (tensor.getParentBlock() == scanBodies_[inner]->block)
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
