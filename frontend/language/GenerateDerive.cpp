// A generate block without a step of its own: the step is derived from the model's forward.
#include "frontend/language/GenerateBuilder.h"
#include "ir/Symbols.h"

namespace kiln::language {

/// The model's forward, where the block says nothing of a step and the model has no function of that name.
const Stmt *GenerateBuilder::derivedFrom() {
  bool stepIsSaid = stepSection || keys.contains("step") || modelFunction(*e.model(), "step");
  return stepIsSaid ? nullptr : modelFunction(*e.model(), "forward");
}

/// Where an op comes from, in the model's file or one that it takes declarations from.
Range GenerateBuilder::rangeOf(mlir::Location location) const {
  auto at = llvm::dyn_cast<mlir::FileLineColLoc>(location);
  const SourceFile *file = nullptr;
  if (at)
    e.declarations_.each([&](const Stmt &each) {
      if (each.range.file && at.getFilename() == each.range.file->name())
        file = each.range.file;
    });
  if (!file)
    return recipe.nameRange;
  uint32_t begin = file->offset(at.getLine(), at.getColumn());
  auto end = static_cast<uint32_t>(std::min(file->text().find('\n', begin), file->text().size()));
  return {file, begin, end};
}

/// Session state of a derived step, declared when it is first asked for.
mlir::Value GenerateBuilder::derivedState(const std::string &name, mlir::RankedTensorType type, Range range) {
  auto [place, isNew] = derived.try_emplace(name);
  if (isNew)
    place->second = declareSession(name, type, range);
  return e.read(place->second, nullptr, range).tensor;
}

/// Ops of one's own that the sequence `axis` goes through give way to what they are made of, of which a step is
/// derived.
static void expandOwnOps(Entry &entry, const std::string &axis) {
  auto isAlong = [&](mlir::Type type) {
    auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type);
    return tensor &&
           llvm::any_of(dimsOf(tensor), [&](const Dim &dim) { return llvm::is_contained(dim.symbols(), axis); });
  };
  llvm::SmallVector<CustomOp> ops; // those within another one first
  entry.block->walk([&](CustomOp op) {
    if (llvm::any_of(op->getOperandTypes(), isAlong) || mentionsWithin(*op, Dim::symbol(axis)))
      ops.push_back(op);
  });
  for (CustomOp op : ops) {
    mlir::OpBuilder at(op);
    llvm::SmallVector<mlir::Value> values = op.decompose(at);
    for (auto [before, after] : llvm::zip(op->getResults(), values)) {
      before.replaceAllUsesWith(after);
      for (auto &[state, value] : entry.values)
        if (value.isTensor() && value.tensor == before)
          value.tensor = after;
    }
    op->erase();
  }
}

/// What forward gave, to draw by, behind a reshape to its own dimensions: what it is made of may be written anew. Null
/// after an error.
mlir::Value GenerateBuilder::forwardResult(Frame &frame, Entry &entry, const std::string &axis) {
  auto result = frame.locals.find("logits");
  if (result == frame.locals.end())
    result = frame.locals.find("");
  if (result != frame.locals.end() && result->second.value.isTensor()) {
    mlir::Value tensor = result->second.value.tensor;
    mlir::Value held = e.emit(recipe.nameRange).create<ReshapeOp>(tensor.getType(), tensor);
    expandOwnOps(entry, axis);
    return held;
  }
  e.error(recipe.nameRange,
          "a generate block without a step draws by forward's result, and " + recipe.name + "'s is no tensor")
      .withHelp("give logits, f32[B, T, V]: a score for each next token; or write prefill and step");
  return {};
}

/// Along `axis`, the extent of `tokens` [B, T]: what is computed of a sequence becomes what is computed of its next
/// tokens, and `result` their logits, null for a sequence that has none yet.
bool GenerateBuilder::deriveAlong(StepDeriver::Part part, const std::string &axis, Entry &entry, mlir::Value tokens,
                                  mlir::Value position, mlir::Value &result) {
  Range range = recipe.nameRange;
  auto bound = entry.bounds.find(axis);
  std::optional<int64_t> capacity;
  if (bound != entry.bounds.end())
    capacity = bound->second.value;
  StepStates states{
      [&](const std::string &name, mlir::RankedTensorType type) { return derivedState(name, type, range); },
      [&](const std::string &name, mlir::Value value) { e.write(derived[name], Value::tensorOf(value), range); }};
  bool several = extension && &entry == &*extension;
  StepDeriver deriver(*entry.block, Dim::symbol(axis), position, capacity, part, several, states);
  if (!deriver.derive(tokens)) {
    const StepDeriver::Failure &failure = deriver.failure();
    Range at = rangeOf(failure.op->getLoc());
    if (failure.unbounded)
      e.error(at, "how long a sequence may be is not said, which the cache of a step is made for")
          .withHelp("state a bound where forward takes it: T <= 256");
    else
      e.error(at, "no step of one token can be derived from " + recipe.name + ".forward: here '" +
                      failure.op->getName().stripDialect().str() + "' mixes " + failure.what)
          .note(range, "this generate block has no step")
          .withHelp("attention(q, k, v, causal=True), convolutions that are padded before the first position, running "
                    "sums, loops over the sequence and what is computed for each position by itself can be; else write "
                    "prefill and step");
    return false;
  }
  b.setInsertionPointToEnd(entry.block);
  mlir::Operation *held = result.getDefiningOp();
  result = part == StepDeriver::Part::Opens ? mlir::Value() : deriver.last(held->getOperand(0));
  if (held->use_empty())
    held->erase();
  return true;
}

/// Makes of what `function` computes of a sequence what the prefill, or the step, computes of the next tokens.
bool GenerateBuilder::derive(const Stmt &function, bool isPrefill, Frame &frame, Entry &entry) {
  Range range = recipe.nameRange;
  size_t errorsBefore = e.diagnostics().size();
  frame.dims["T"] = {Value::integerOf(Dim::symbol("T"), range), range};
  callByNames(function, isPrefill, frame, range);
  if (e.diagnostics().size() != errorsBefore)
    return false;
  mlir::Value result = forwardResult(frame, entry, "T");
  if (!result)
    return false;
  if (!entry.bounds.contains("T")) {
    e.error(function.parameters[0].range, "how long a sequence may be is not said, which a step's cache is made for")
        .withHelp("state a bound: T <= 256");
    return false;
  }
  mlir::Value position = isPrefill ? frame.locals["position"].value.tensor : entry.block->getArgument(1);
  auto part = isPrefill ? StepDeriver::Part::Begins : StepDeriver::Part::GoesOn;
  if (!deriveAlong(part, "T", entry, entry.block->getArgument(0), position, result))
    return false;
  frame.locals["logits"] = {Value::tensorOf(result), range};
  return true;
}

/// Prefill and step of a model that goes on with its prompt, and where it chats the step over a turn's tokens.
bool GenerateBuilder::deriveBoth(const Stmt &function) {
  size_t errorsBefore = e.diagnostics().size();
  Range range = recipe.nameRange;
  prefill = begin(true, nullptr);
  openFrame(true, prefillFrame, *prefill);
  if (!derive(function, true, prefillFrame, *prefill) || !checkLogits(prefillFrame, range, false, prefillLogits))
    return false;
  step = begin(false, nullptr);
  Frame frame;
  openFrame(false, frame, *step);
  Value logits;
  if (!derive(function, false, frame, *step) || !checkLogits(frame, range, true, logits) ||
      e.diagnostics().size() != errorsBefore)
    return false;
  takeOneToken("T");
  e.endEntry(*step, {{logits, "output", "logits"}}, range);
  fixSymbol(step->func, "T", 1);
  return !chatSection || extend(function);
}

/// The derived step's input becomes tokens [B], one of each sequence; `axis` is the symbol that it was over.
void GenerateBuilder::takeOneToken(const std::string &axis) {
  mlir::BlockArgument token = step->block->getArgument(0);
  auto type = llvm::cast<mlir::RankedTensorType>(token.getType());
  token.setType(tensorType({dimsOf(type)[0]}, type.getElementType()));
  b.setInsertionPointToStart(step->block);
  auto rows = b.create<ReshapeOp>(token.getLoc(), type, token);
  token.replaceAllUsesExcept(rows.getResult(), rows);
  b.setInsertionPointToEnd(step->block);
  dropSymbol(*step, axis);
}

/// The symbol is 1 from now on (fixSymbol is to follow).
void GenerateBuilder::dropSymbol(Entry &entry, const std::string &symbol) {
  for (auto *table : {&entry.bounds, &entry.least})
    table->erase(symbol);
  entry.symbols.erase(symbol);
  entry.limits.erase(symbol);
  for (Dim &dim : entry.nonEmpty)
    dim = dim.substitute({{symbol, Dim(1)}});
  llvm::erase_if(entry.nonEmpty, [](const Dim &dim) { return dim.isConstant(); });
}

/// What the derived step computes before it is of one token: of all tokens of a further turn.
bool GenerateBuilder::extend(const Stmt &function) {
  extension = begin(false, nullptr);
  extension->name = "generate.extend";
  extension->func.setName(extension->name);
  Frame frame;
  openFrame(false, frame, *extension);
  Value logits;
  if (!derive(function, false, frame, *extension) || !checkLogits(frame, recipe.nameRange, true, logits))
    return false;
  e.endEntry(*extension, {{logits, "output", "logits"}}, recipe.nameRange);
  return true;
}

} // namespace kiln::language
