// Prefill and step of a model whose forward reads something else beside the sequence that it writes: a text in another
// language, a recording. What depends on that alone is computed by the prefill.
#include "frontend/language/DeriveMemory.h"
#include "frontend/language/GenerateBuilder.h"
#include "ir/Recover.h"
#include "ir/Symbols.h"
#include "ir/Values.h"

namespace kiln::language {

bool GenerateBuilder::hasPrefill() const {
  return prefillSection || keys.contains("prefill") || modelFunction(*e.model(), "prefill");
}

/// Whether an answer is another sequence than what is read.
bool GenerateBuilder::readsMore(const Stmt &function) const {
  return hasPrefill() || llvm::count_if(function.parameters, [](const Parameter &each) { return !each.initial; }) > 1;
}

/// The number of forward's argument that is the answer so far: the one that the prefill does not set. Nullopt after an
/// error.
std::optional<size_t> GenerateBuilder::written(const Stmt &function, const Frame &frame) {
  std::vector<size_t> left;
  std::string names;
  for (const auto &[i, parameter] : llvm::enumerate(function.parameters))
    if (!parameter.initial && !frame.locals.contains(parameter.name)) {
      names += (left.empty() ? "'" : "', '") + parameter.name;
      left.push_back(i);
    }
  if (left.size() == 1)
    return left[0];
  std::string of = recipe.name + ".forward";
  if (left.empty())
    e.error(recipe.nameRange, "the prefill sets all that " + of +
                                  " reads, and one of its arguments has to be left: the "
                                  "answer so far, i32[B, T]");
  else
    e.error(recipe.nameRange, "of " + names + "', which " + of +
                                  " reads, one is the answer so far; the others are not set by the prefill")
        .note(function.nameRange, "it is declared here")
        .withHelp("set them by name in the block: `prefill:`, and below it " + function.parameters[left[0]].name +
                  " = …");
  return std::nullopt;
}

/// What the answer depends on, by the names of forward's arguments.
bool GenerateBuilder::readSource(const Stmt &function, Frame &frame, const Entry &entry) {
  size_t errorsBefore = e.diagnostics().size();
  openFrame(true, frame, entry);
  if (hasPrefill())
    body(true, frame);
  else
    frame.locals[function.parameters[0].name] = frame.locals.find("prompt")->second;
  if (e.diagnostics().size() != errorsBefore)
    return false;
  if (auto logits = frame.locals.find("logits"); logits != frame.locals.end()) {
    e.error(logits->second.range, "a prefill without a step sets what " + recipe.name +
                                      ".forward reads beside the answer so far, and no logits")
        .withHelp(prefillSection
                      ? "what an answer begins with is draw's `from`, or `first`; or write a step"
                      : "of a function's results the first one is the logits, where it is f32[B, V]: write a "
                        "block, `prefill:`, that calls it and sets what forward reads by name");
    return false;
  }
  return true;
}

mlir::Value GenerateBuilder::addInput(Entry &entry, const char *name, llvm::ArrayRef<Dim> dims) {
  mlir::Type type = tensorType(dims, mlir::IntegerType::get(e.context(), 32));
  entry.inputNames.emplace_back(name);
  return entry.block->insertArgument(static_cast<unsigned>(entry.inputs++), type, e.location(recipe.nameRange));
}

/// In the step, what the prefill keeps stands for what was computed of the source.
void GenerateBuilder::keep(const Memory &found) {
  Range range = recipe.nameRange;
  for (const auto &[i, value] : llvm::enumerate(found.values)) {
    memoryStates.push_back(declareSession("memory." + std::to_string(i), tensorOf(value), range));
    mlir::Value kept = e.read(memoryStates.back(), nullptr, range).tensor;
    for (mlir::OpOperand *use : found.uses[i])
      use->set(kept);
  }
}

/// Leaves of the step what its results need: the first `count` inputs go. False after an error.
bool GenerateBuilder::dropSource(Entry &entry, unsigned count, mlir::Value logits) {
  std::vector<mlir::Value> results = {logits};
  for (Variable *state : entry.changed)
    results.push_back(entry.values[state].tensor);
  eraseUnread(*entry.block, results);
  auto erase = [&](auto &table, int index) {
    entry.block->eraseArgument(table.at(index).second.getArgNumber());
    table.erase(index);
  };
  for (auto *table : {&entry.parameters, &entry.states})
    for (auto it = table->begin(); it != table->end();) {
      int index = it->first;
      auto [variable, argument] = it++->second;
      if (argument.use_empty() && !llvm::is_contained(results, argument))
        erase(*table, index);
    }
  for (auto &state : memoryStates)
    if (!entry.states.contains(state->index))
      state = nullptr;
  for (unsigned i = 0; i < count; ++i) {
    if (!entry.block->getArgument(0).use_empty()) {
      e.error(recipe.nameRange, "no step of one token can be derived from " + recipe.name +
                                    ".forward: its result, or a state that it sets, is made of '" +
                                    entry.inputNames[0] + "' alone, which the prefill reads")
          .withHelp("write prefill and step");
      return false;
    }
    entry.block->eraseArgument(0);
    entry.inputNames.erase(entry.inputNames.begin());
    --entry.inputs;
  }
  std::set<std::string> left;
  for (mlir::Type type : entry.block->getArgumentTypes())
    for (const Dim &dim : dimsOf(llvm::cast<mlir::RankedTensorType>(type)))
      for (const std::string &symbol : dim.symbols())
        left.insert(symbol);
  auto gone = [&](const auto &item) { return !left.contains(item.first); };
  std::erase_if(entry.symbols, gone);
  std::erase_if(entry.bounds, gone);
  std::erase_if(entry.least, gone);
  std::erase_if(entry.limits, gone);
  llvm::erase_if(entry.nonEmpty, [&](const Dim &dim) {
    return llvm::any_of(dim.symbols(), [&](const std::string &symbol) { return !left.contains(symbol); });
  });
  return true;
}

/// The prefill or the step: both are what forward computes, the one as far as it is of the source alone, the other one
/// the rest, of one token. False after an error.
bool GenerateBuilder::answerHalf(const Stmt &function, bool isPrefill, Frame &frame, std::shared_ptr<Entry> &entry) {
  size_t errorsBefore = e.diagnostics().size();
  entry = begin(true, prefillSection);
  if (!entry || e.diagnostics().size() != errorsBefore)
    return false;
  size_t count = entry->inputs;
  if (!readSource(function, frame, *entry))
    return false;
  std::optional<size_t> at = written(function, frame);
  if (!at)
    return false;
  for (time = "T"; entry->symbols.contains(time);)
    time += "_";
  llvm::SmallVector<mlir::Value> sources(entry->block->args_begin(), entry->block->args_begin() + count), sequence;
  sequence.push_back(addInput(*entry, "token", {Dim::symbol("B"), Dim::symbol(time)}));
  if (!isPrefill)
    sequence.push_back(addInput(*entry, "position", {}));
  entry->symbols.try_emplace(time, recipe.nameRange);
  Frame call = frame;
  callWith(function, *at, Value::tensorOf(sequence[0]), false, call, recipe.nameRange);
  mlir::Value result = e.diagnostics().size() == errorsBefore ? forwardResult(call, *entry, time) : mlir::Value();
  if (!result)
    return false;
  recoverAttention(*entry->block);
  Memory found = memoryOf(*entry->block, sources, sequence, Dim::symbol(time));
  auto part = isPrefill ? StepDeriver::Part::Opens : StepDeriver::Part::GoesOn;
  mlir::Value position = isPrefill ? frame.locals["position"].value.tensor : sequence[1];
  if (!isPrefill)
    keep(found);
  else
    memory = found.values;
  if (!deriveAlong(part, time, *entry, sequence[0], position, result))
    return false;
  frame.locals["logits"] = {isPrefill ? Value::error() : Value::tensorOf(result), recipe.nameRange};
  return true;
}

bool GenerateBuilder::deriveAnswer(const Stmt &function) {
  if (!answerHalf(function, true, prefillFrame, prefill))
    return false;
  prefillFrame.locals.erase("logits");
  if (auto bound = prefill->bounds.find(time); bound != prefill->bounds.end())
    answerLength = bound->second.value;
  // Nothing of an answer is there: what is in front of its first token does not depend on it.
  mlir::BlockArgument token = prefill->block->getArgument(static_cast<unsigned>(--prefill->inputs));
  b.setInsertionPointToStart(prefill->block);
  token.replaceAllUsesWith(e.emit(recipe.nameRange).splatInt(token.getType(), 0));
  prefill->block->eraseArgument(token.getArgNumber());
  prefill->inputNames.pop_back();
  dropSymbol(*prefill, time);
  size_t count = prefill->inputs;
  Frame frame;
  Value logits;
  if (!answerHalf(function, false, frame, step) || !checkLogits(frame, recipe.nameRange, true, logits) ||
      !dropSource(*step, static_cast<unsigned>(count), logits.tensor))
    return false;
  step->name = "generate.step";
  step->func.setName(step->name);
  takeOneToken(time);
  e.endEntry(*step, {{logits, "output", "logits"}}, recipe.nameRange);
  fixSymbol(step->func, time, 1);
  return true;
}

} // namespace kiln::language
