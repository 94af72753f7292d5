// The generate block: the functions generate.prefill and generate.step over session state, and how tokens are drawn.
#include "frontend/language/DeriveStep.h"
#include "frontend/language/Recipe.h"

namespace kiln::language {

class GenerateBuilder {
public:
  GenerateBuilder(Elaborator &e, const Stmt &recipe) : e(e), b(e.builder()), recipe(recipe) {}
  void run();

private:
  void read();
  std::shared_ptr<Entry> begin(bool isPrefill, const Stmt *section);
  std::shared_ptr<Entry> beginInputs(const Stmt &section);
  void body(bool isPrefill, Frame &frame);
  void callByNames(const Stmt &function, bool isPrefill, Frame &frame, Range range);
  const Stmt *functionFor(const char *key, Range &range);
  std::shared_ptr<Variable> declareSession(const std::string &name, mlir::RankedTensorType type, Range range);
  bool sessionValue(std::string_view name, Value &out);
  Value sessionItem(const std::string &name, const Value &value, Range range);
  Value leftIn(Frame &frame, const std::string &path);
  const Stmt *derivedFrom();
  void takeOneToken();
  bool extend(const Stmt &function);
  bool derive(const Stmt &function, bool isPrefill, Frame &frame, Entry &entry);
  mlir::Value derivedState(const std::string &name, mlir::RankedTensorType type, Range range);
  Range rangeOf(mlir::Location location) const;
  bool checkLogits(Frame &frame, Range range, bool required, Value &logits);
  Value firstTokens(bool hasLogits);
  void finish(const Value &prefillLogits);

  Elaborator &e;
  mlir::OpBuilder &b;
  const Stmt &recipe;
  const Stmt *prefillSection = nullptr, *stepSection = nullptr, *chatSection = nullptr;
  std::map<std::string, const Stmt *, std::less<>> keys;
  std::shared_ptr<Entry> prefill, step;
  std::shared_ptr<Entry> extension; // of a chat whose step is derived: a turn's tokens at once
  Frame prefillFrame;
  std::map<std::string, std::shared_ptr<Variable>, std::less<>> sessions; // values that flow from prefill to step
  std::map<std::string, std::shared_ptr<Variable>, std::less<>> derived;  // what a derived step keeps
};

static const Stmt *modelFunction(const Instance &model, std::string_view name) {
  for (const StmtPtr &statement : model.module->body)
    if (statement->kind == StmtKind::Def && statement->name == name)
      return statement.get();
  return nullptr;
}

void GenerateBuilder::read() {
  static const std::vector<std::string> known = {"prefill", "step", "draw", "search", "data", "chat"};
  for (const StmtPtr &statement : recipe.body) {
    std::string name = statement->name;
    if (statement->kind == StmtKind::Assign && statement->target->kind == ExprKind::Name && name.empty())
      name = statement->target->text;
    Range range = statement->kind == StmtKind::Assign ? statement->target->range : statement->range;
    bool isSection = statement->kind == StmtKind::Section;
    if (statement->kind == StmtKind::Pass)
      continue;
    if (std::find(known.begin(), known.end(), name) == known.end() ||
        (isSection && name != "prefill" && name != "step" && name != "chat")) {
      std::string near = nearest(name, known);
      e.error(range, "a generate block has prefill, step, draw (or search), data and chat" +
                         (name.empty() ? "" : ", no '" + name + "'"))
          .withHelp(near.empty() ? "" : "did you mean '" + near + "'?");
      continue;
    }
    if (name == "chat" && !isSection)
      e.error(range, "'chat' is a block: `chat:`, and below it first, next and system");
    else if (isSection)
      (name == "prefill" ? prefillSection : name == "step" ? stepSection : chatSection) = statement.get();
    else if (!keys.try_emplace(name, statement.get()).second)
      e.error(range, "'" + name + "' is set twice in this block");
  }
}

/// The function that a key names; without the key, the model's function of that name.
const Stmt *GenerateBuilder::functionFor(const char *key, Range &range) {
  std::string name = key;
  range = recipe.nameRange;
  if (auto found = keys.find(key); found != keys.end()) {
    const Expr &expr = *found->second->value;
    range = expr.range;
    if (expr.kind != ExprKind::Name) {
      e.error(range, std::string("'") + key + "' names a function of the model")
          .withHelp(std::string("for more than a name write `") + key + ":` and a block");
      return nullptr;
    }
    name = expr.text;
  }
  if (const Stmt *function = modelFunction(*e.model(), name))
    return function;
  std::vector<std::string> names;
  for (const StmtPtr &statement : e.model()->module->body)
    if (statement->kind == StmtKind::Def)
      names.push_back(statement->name);
  std::string near = nearest(name, names);
  e.error(range, "the model " + recipe.name + " has no function '" + name + "'")
      .withHelp(!near.empty() ? "did you mean '" + near + "'?" : std::string("name one: `") + key + " = …`");
  return nullptr;
}

/// A prefill that says itself what it reads: prefill(image: f32[B, 3, 32, 32]). Null after an error.
std::shared_ptr<Entry> GenerateBuilder::beginInputs(const Stmt &section) {
  for (const Parameter &parameter : section.parameters) {
    const char *wrong = !parameter.type     ? "has no type"
                        : parameter.initial ? "has a default"
                        : parameter.rest    ? "stands for several"
                        : parameter.name == "token" || parameter.name == "position" || parameter.name == "logits"
                            ? "has a name that means something else here"
                            : nullptr;
    if (wrong) {
      e.error(parameter.range, "the prefill's input '" + parameter.name + "' " + wrong)
          .withHelp("write NAME: TYPE, as in prefill(image: f32[B, 3, 32, 32])");
      return nullptr;
    }
  }
  if (!e.isEntry(section)) {
    e.error(section.range, "an input of the prefill has a type without '...'");
    return nullptr;
  }
  std::vector<std::pair<std::string, TypeInfo>> inputs;
  std::shared_ptr<Entry> entry = e.openEntry(section, /*training=*/false, inputs);
  if (!entry)
    return nullptr;
  entry->name = "generate.prefill";
  entry->func.setName(entry->name);
  entry->function = nullptr;
  if (!entry->symbols.contains("B"))
    e.error(section.parameters[0].range, "no input of the prefill has the dimension B, a row for each sequence")
        .withHelp("write it first, as in prefill(image: f32[B, 3, 32, 32])");
  for (const auto &[name, type] : inputs)
    if (name == "prompt" && (type.dims.size() != 2 || type.dtype != Dtype::i32 || type.dims[0] != Dim::symbol("B") ||
                             type.dims[1] != Dim::symbol("T")))
      e.error(type.range, "the prompt is i32[B, T], tokens of each sequence");
  return entry;
}

std::shared_ptr<Entry> GenerateBuilder::begin(bool isPrefill, const Stmt *section) {
  if (isPrefill && section && !section->parameters.empty())
    return beginInputs(*section);
  Range range = section ? section->range : recipe.nameRange;
  TypeInfo tokens;
  tokens.dtype = Dtype::i32;
  tokens.range = range;
  tokens.dims = {Dim::symbol("B")};
  if (isPrefill || derivedFrom()) // a step is derived over any number of tokens, and is then of one
    tokens.dims.push_back(Dim::symbol("T"));
  tokens.origins.assign(tokens.dims.size(), {range});
  TypeInfo position;
  position.dtype = Dtype::i32;
  position.range = range;
  std::vector<std::pair<std::string, TypeInfo>> inputs = {{isPrefill ? "prompt" : "token", tokens}};
  if (!isPrefill)
    inputs.emplace_back("position", position);
  std::shared_ptr<Entry> entry = e.beginEntry(isPrefill ? "generate.prefill" : "generate.step", inputs, false, range);
  for (const auto &[symbol, value] : e.options_.bounds)
    if (entry->symbols.contains(symbol))
      entry->bounds[symbol] = {value, range, true};
  return entry;
}

/// A session state of the recipe's own, with the axis B as its batch.
std::shared_ptr<Variable> GenerateBuilder::declareSession(const std::string &name, mlir::RankedTensorType type,
                                                          Range range) {
  auto variable = std::make_shared<Variable>();
  variable->kind = Variable::Kind::Session;
  variable->name = "generate." + name;
  variable->range = range;
  variable->trainable = false;
  variable->type.dtype = dtypeOf(type.getElementType());
  variable->type.range = range;
  variable->batchAxis = -1;
  for (const auto &[axis, dim] : llvm::enumerate(dimsOf(type))) {
    variable->type.dims.push_back(dim);
    variable->type.origins.push_back({range});
    if (dim == Dim::symbol("B") && variable->batchAxis < 0)
      variable->batchAxis = static_cast<int64_t>(axis);
  }
  variable->index = static_cast<int>(e.states_.size());
  e.states_.push_back(variable);
  return variable;
}

/// A value of the prefill, asked for by name in the step: it becomes session state.
bool GenerateBuilder::sessionValue(std::string_view name, Value &out) {
  auto found = prefillFrame.locals.find(name);
  if (found == prefillFrame.locals.end() || name == "prompt" || name == "position")
    return false;
  out = sessionItem(std::string(name), found->second.value, found->second.range);
  return true;
}

/// Of a tuple, each tensor is a state of its own: memory.0, memory.1.
Value GenerateBuilder::sessionItem(const std::string &name, const Value &value, Range range) {
  if (value.isList()) {
    Value list = value;
    list.items = std::make_shared<std::vector<Value>>();
    for (const auto &[i, item] : llvm::enumerate(*value.items))
      list.items->push_back(sessionItem(name + "." + std::to_string(i), item, range));
    return list;
  }
  if (!value.isTensor())
    return value;
  auto [place, isNew] = sessions.try_emplace(name);
  if (isNew)
    place->second = declareSession(name, value.tensorType(), range);
  Value read = e.read(place->second, nullptr, range);
  for (const Dim &dim : place->second->type.dims)
    for (const std::string &symbol : dim.symbols())
      if (auto bound = prefill->bounds.find(symbol); bound != prefill->bounds.end())
        step->bounds.try_emplace(symbol, bound->second);
  for (const auto &[symbol, least] : prefill->least)
    if (step->bounds.contains(symbol))
      step->least.try_emplace(symbol, least);
  return read;
}

/// What a block left in a name of sessions, or in an item of it; None where the block does not set the name.
Value GenerateBuilder::leftIn(Frame &frame, const std::string &path) {
  llvm::SmallVector<llvm::StringRef> parts;
  llvm::StringRef(path).split(parts, '.');
  auto found = frame.locals.find(std::string_view(parts[0]));
  if (found == frame.locals.end())
    return Value::none();
  Value value = found->second.value;
  for (llvm::StringRef part : llvm::drop_begin(parts)) {
    size_t index = 0;
    if (value.isError() || !value.isList() || part.getAsInteger(10, index) || index >= value.items->size()) {
      if (!value.isError())
        e.error(found->second.range, "the prefill sets '" + parts[0].str() + "' to a tuple of tensors; the step, to " +
                                         describe(found->second.value));
      return Value::error();
    }
    Value item = (*value.items)[index];
    value = std::move(item);
  }
  return value;
}

/// A function's name as prefill or step: the first argument is the prompt or token, the others are found by name.
void GenerateBuilder::callByNames(const Stmt &function, bool isPrefill, Frame &frame, Range range) {
  Elaborator::Arguments arguments;
  for (size_t i = 0; i < function.parameters.size(); ++i) {
    const Parameter &parameter = function.parameters[i];
    Value value;
    if (i == 0) {
      value = frame.locals[isPrefill ? "prompt" : "token"].value;
      // A function over [B, T] reads one token as [B, 1].
      if (value.rank() == 1 && parameter.type && parameter.type->kind == ExprKind::Index &&
          parameter.type->children.size() == 3)
        value = Value::tensorOf(e.emit(range).reshapeTo(value.tensor, {dimsOf(value.tensor)[0], Dim(1)}));
    } else if (auto found = frame.locals.find(parameter.name); found != frame.locals.end()) {
      value = found->second.value;
    } else if (!(frame.lookup && frame.lookup(parameter.name, value))) {
      if (parameter.initial)
        continue;
      e.error(range, std::string(isPrefill ? "the prefill" : "the step") + " " + function.name + " wants '" +
                         parameter.name + "', which is neither position nor a value that the prefill sets")
          .note(parameter.range, "it is declared here");
      return;
    }
    arguments.named.emplace_back(parameter.name, value);
    arguments.namedRanges.push_back(range);
    arguments.nameRanges.push_back(range);
  }
  Frame inner;
  Value result = e.callFunction(function, e.model(), arguments, range, &frame, &inner);
  if (result.isError())
    return;
  std::vector<Value> values = result.isList() ? *result.items : std::vector<Value>{result};
  for (size_t i = 0; i < values.size(); ++i) {
    std::string name;
    if (result.names)
      name = (*result.names)[i];
    else if (inner.returnExpr && inner.returnExpr->kind == ExprKind::Tuple &&
             inner.returnExpr->child(i).kind == ExprKind::Name)
      name = inner.returnExpr->child(i).text;
    else if (!result.isList() && inner.returnExpr && inner.returnExpr->kind == ExprKind::Name)
      name = inner.returnExpr->text;
    bool isLogits = i == 0 && values[0].isTensor() && values[0].rank() == 2 &&
                    isFloat(values[0].tensorType().getElementType()) &&
                    (!isPrefill || !result.isList() || name.empty() || name == "logits");
    if (isLogits)
      frame.locals["logits"] = {values[0], range};
    else if (i == 0 && derivedFrom() == &function)
      frame.locals[""] = {values[0], range};
    if (!name.empty())
      frame.locals[name] = {values[i], range};
  }
}

void GenerateBuilder::body(bool isPrefill, Frame &frame) {
  const Stmt *section = isPrefill ? prefillSection : stepSection;
  if (section) {
    e.execute(section->body, frame);
    return;
  }
  Range range;
  if (const Stmt *function = functionFor(isPrefill ? "prefill" : "step", range))
    callByNames(*function, isPrefill, frame, range);
}

/// The model's forward, where the block says nothing of prefill and step and the model has no functions of these names.
const Stmt *GenerateBuilder::derivedFrom() {
  for (const char *name : {"prefill", "step"})
    if (keys.contains(name) || modelFunction(*e.model(), name))
      return nullptr;
  return prefillSection || stepSection ? nullptr : modelFunction(*e.model(), "forward");
}

/// Where an op comes from, in the model's file.
Range GenerateBuilder::rangeOf(mlir::Location location) const {
  const SourceFile *file = recipe.range.file;
  auto at = llvm::dyn_cast<mlir::FileLineColLoc>(location);
  if (!at || !file || at.getFilename() != file->name())
    return recipe.nameRange;
  uint32_t begin = file->lineBegin(at.getLine()) + at.getColumn() - 1;
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

/// Makes of what `function` computes of a sequence what the prefill, or the step, computes of the next tokens.
bool GenerateBuilder::derive(const Stmt &function, bool isPrefill, Frame &frame, Entry &entry) {
  Range range = recipe.nameRange;
  size_t errorsBefore = e.diagnostics().size();
  frame.locals[isPrefill ? "prompt" : "token"] = {Value::tensorOf(entry.block->getArgument(0)), range};
  frame.dims["T"] = {Value::integerOf(Dim::symbol("T"), range), range};
  callByNames(function, isPrefill, frame, range);
  if (e.diagnostics().size() != errorsBefore)
    return false;
  auto result = frame.locals.find("logits");
  if (result == frame.locals.end())
    result = frame.locals.find("");
  if (result == frame.locals.end() || !result->second.value.isTensor()) {
    e.error(range, "a generate block without prefill and step draws by forward's result, and " + recipe.name +
                       "'s is no tensor")
        .withHelp("give logits, f32[B, T, V]: a score for each next token; or write prefill and step");
    return false;
  }
  auto bound = entry.bounds.find("T");
  if (bound == entry.bounds.end()) {
    e.error(function.parameters[0].range, "how long a sequence may be is not said, which a step's cache is made for")
        .withHelp("state a bound: T <= 256");
    return false;
  }
  mlir::Value position = isPrefill ? frame.locals["position"].value.tensor : entry.block->getArgument(1);
  StepStates states{
      [&](const std::string &name, mlir::RankedTensorType type) { return derivedState(name, type, range); },
      [&](const std::string &name, mlir::Value value) { e.write(derived[name], Value::tensorOf(value), range); }};
  StepDeriver deriver(*entry.block, Dim::symbol("T"), position, bound->second.value, isPrefill, states);
  if (!deriver.derive(entry.block->getArgument(0))) {
    const StepDeriver::Failure &failure = deriver.failure();
    e.error(rangeOf(failure.op->getLoc()), "no step of one token can be derived from " + recipe.name +
                                               ".forward: here '" + failure.op->getName().stripDialect().str() +
                                               "' mixes " + failure.what)
        .note(range, "this generate block has neither prefill nor step")
        .withHelp("attention(q, k, v, causal=True), convolutions that are padded before the first position, running "
                  "sums, loops over the sequence and what is computed for each position by itself can be; else write "
                  "prefill and step");
    return false;
  }
  b.setInsertionPointToEnd(entry.block);
  frame.locals["logits"] = {Value::tensorOf(deriver.last(result->second.value.tensor)), range};
  return true;
}

/// The derived step's input becomes tokens [B], one of each sequence.
void GenerateBuilder::takeOneToken() {
  mlir::BlockArgument token = step->block->getArgument(0);
  auto type = llvm::cast<mlir::RankedTensorType>(token.getType());
  token.setType(tensorType({dimsOf(type)[0]}, type.getElementType()));
  b.setInsertionPointToStart(step->block);
  auto rows = b.create<ReshapeOp>(token.getLoc(), type, token);
  token.replaceAllUsesExcept(rows.getResult(), rows);
  b.setInsertionPointToEnd(step->block);
  for (auto *table : {&step->bounds, &step->least})
    table->erase("T");
  step->symbols.erase("T");
  step->limits.erase("T");
  for (Dim &dim : step->nonEmpty)
    dim = dim.substitute({{"T", Dim(1)}});
  llvm::erase_if(step->nonEmpty, [](const Dim &dim) { return dim.isConstant(); });
}

bool GenerateBuilder::checkLogits(Frame &frame, Range range, bool required, Value &logits) {
  auto found = frame.locals.find("logits");
  if (found == frame.locals.end()) {
    if (required)
      e.error(range, "the step sets no logits").withHelp("set `logits`, f32[B, V]: a score for each next token");
    return !required;
  }
  logits = found->second.value;
  if (logits.isError())
    return false;
  if (logits.isTensor() && logits.rank() == 2 && isFloat(logits.tensorType().getElementType()) &&
      dimsOf(logits.tensor)[0] == Dim::symbol("B") && dimsOf(logits.tensor)[1].isConstant())
    return true;
  Diagnostic &diagnostic = e.error(
      found->second.range, "logits are f32[B, V], one row for each sequence, V a number; this is " + describe(logits));
  if (logits.isTensor() && logits.rank() == 3)
    diagnostic.withHelp("take the last position: logits[:, -1]");
  return false;
}

/// What the derived step computes before it is of one token: of all tokens of a further turn.
bool GenerateBuilder::extend(const Stmt &function) {
  extension = begin(false, nullptr);
  extension->name = "generate.extend";
  extension->func.setName(extension->name);
  Frame frame;
  frame.mode = Frame::Mode::Function;
  frame.self = e.model();
  frame.locals["position"] = {Value::tensorOf(extension->block->getArgument(1)), recipe.nameRange};
  frame.dims["B"] = {Value::integerOf(Dim::symbol("B"), recipe.nameRange), recipe.nameRange};
  Value logits;
  if (!derive(function, false, frame, *extension) || !checkLogits(frame, recipe.nameRange, true, logits))
    return false;
  e.endEntry(*extension, {{logits, "output", "logits"}}, recipe.nameRange);
  return true;
}

void GenerateBuilder::run() {
  read();
  size_t errorsBefore = e.diagnostics().size();
  prefill = begin(true, prefillSection);
  if (!prefill || e.diagnostics().size() != errorsBefore) {
    e.entry_ = nullptr;
    return;
  }
  prefillFrame.mode = Frame::Mode::Function;
  prefillFrame.self = e.model();
  Range range = prefillSection ? prefillSection->range : recipe.nameRange;
  for (const auto &[i, name] : llvm::enumerate(prefill->inputNames))
    prefillFrame.locals[name] = {Value::tensorOf(prefill->block->getArgument(i)), range};
  for (const auto &[name, origin] : prefill->symbols)
    prefillFrame.dims[name] = {Value::integerOf(Dim::symbol(name), range), range};
  std::optional<Value> zero = e.toTensor(Value::integerOf(0), range);
  prefillFrame.locals["position"] = {*zero, range};
  const Stmt *function = derivedFrom();
  if (function)
    derive(*function, true, prefillFrame, *prefill);
  else
    body(true, prefillFrame);
  Value prefillLogits;
  if (e.diagnostics().size() != errorsBefore || !checkLogits(prefillFrame, range, false, prefillLogits)) {
    e.entry_ = nullptr;
    return;
  }
  range = stepSection ? stepSection->range : recipe.nameRange;
  step = begin(false, stepSection);
  Frame frame;
  frame.mode = Frame::Mode::Function;
  frame.self = e.model();
  frame.locals["token"] = {Value::tensorOf(step->block->getArgument(0)), range};
  frame.locals["position"] = {Value::tensorOf(step->block->getArgument(1)), range};
  frame.dims["B"] = {Value::integerOf(Dim::symbol("B"), range), range};
  if (function) {
    derive(*function, false, frame, *step);
  } else {
    frame.lookup = [&](std::string_view name, Value &out) { return sessionValue(name, out); };
    body(false, frame);
  }
  Value logits;
  if (e.diagnostics().size() != errorsBefore || !checkLogits(frame, range, true, logits)) {
    e.entry_ = nullptr;
    return;
  }
  // What the step sets again is carried to the next one.
  for (const auto &[name, variable] : sessions)
    if (Value value = leftIn(frame, name); !value.isNone() && !value.isError())
      e.write(variable, value, frame.locals.find(name.substr(0, name.find('.')))->second.range);
  if (function)
    takeOneToken();
  e.endEntry(*step, {{logits, "output", "logits"}}, range);
  if (function)
    fixSymbol(step->func, "T", 1);
  if (function && chatSection && !extend(*function)) {
    e.entry_ = nullptr;
    return;
  }
  finish(prefillLogits);
}

/// What the prefill sets `first` to, i32[B, N]: the tokens that an answer begins with. An error where it does not.
Value GenerateBuilder::firstTokens(bool hasLogits) {
  auto found = prefillFrame.locals.find("first");
  if (found == prefillFrame.locals.end() || hasLogits)
    return Value::error();
  const Value &value = found->second.value;
  if (value.isTensor() && value.rank() == 2 && value.tensorType().getElementType().isSignlessInteger(32) &&
      dimsOf(value.tensor)[0] == Dim::symbol("B") && dimsOf(value.tensor)[1].isConstant())
    return value;
  if (!value.isError())
    e.error(found->second.range,
            "`first` is what an answer begins with, i32[B, N], N tokens for each sequence; this is " + describe(value))
        .withHelp("call it something else where something else is meant");
  return Value::error();
}

void GenerateBuilder::finish(const Value &prefillLogits) {
  std::vector<Elaborator::Result> results;
  Value first = firstTokens(!prefillLogits.isError());
  if (!prefillLogits.isError())
    results.push_back({prefillLogits, "output", "logits"});
  if (!first.isError())
    results.push_back({first, "output", "first"});
  for (const auto &[name, variable] : sessions)
    results.push_back({leftIn(prefillFrame, name), "state", variable->name});
  e.endEntry(*prefill, results, recipe.nameRange);

  std::vector<mlir::NamedAttribute> attributes = {b.getNamedAttr("prefill", b.getStringAttr("generate.prefill")),
                                                  b.getNamedAttr("step", b.getStringAttr("generate.step"))};
  int64_t beams = 1;
  auto draw = keys.find("draw");
  if (draw == keys.end())
    draw = keys.find("search");
  mlir::Attribute drawAttribute = b.getDictionaryAttr({b.getNamedAttr("kind", b.getStringAttr("greedy"))});
  if (draw != keys.end()) {
    Frame frame;
    frame.mode = Frame::Mode::Module;
    frame.self = e.model();
    frame.space = Space::Draw;
    const Expr &expr = *draw->second->value;
    Value value = e.eval(expr, frame);
    bool isDraw = value.kind == Value::Kind::Record &&
                  (value.record->kind == "greedy" || value.record->kind == "sample" || value.record->kind == "beam");
    if (!isDraw && !value.isError())
      e.error(expr.range, "a way to draw is greedy(…), sample(…) or beam(…); this is " + describe(value));
    if (isDraw) {
      drawAttribute = toAttribute(e, value, expr.range);
      for (size_t i = 0; i < value.record->fields.size(); ++i) {
        const auto &[name, field] = value.record->fields[i];
        checkDraw(e, *value.record, i);
        if (name == "width")
          beams = field.asInteger().value_or(1);
      }
    }
  }
  attributes.push_back(b.getNamedAttr("draw", drawAttribute));
  bool hasFrom = llvm::cast<mlir::DictionaryAttr>(drawAttribute).get("from") != nullptr;
  if (hasFrom && !first.isError())
    e.error(draw->second->range,
            "what an answer begins with is said twice: the prefill sets `first`, and draw has `from`");
  else if (prefillLogits.isError() && !hasFrom && first.isError())
    e.error(draw != keys.end() ? draw->second->range : recipe.nameRange,
            "the prefill gives no logits, so the first token has to be named")
        .withHelp("write draw = greedy(from=START), for example");
  bool goesOn = !prefillLogits.isError() && prefill->inputNames == std::vector<std::string>{"prompt"};
  if (mlir::Attribute turns = chatSection ? chatOf(e, *chatSection, goesOn) : mlir::Attribute())
    attributes.push_back(b.getNamedAttr("chat", turns));
  if (extension)
    attributes.push_back(b.getNamedAttr("extend", b.getStringAttr(extension->name)));
  if (auto bound = prefill->bounds.find("T");
      bound != prefill->bounds.end() && llvm::is_contained(prefill->inputNames, "prompt"))
    attributes.push_back(b.getNamedAttr("capacity", b.getI64IntegerAttr(bound->second.value)));
  if (std::string name =
          wordsOf(e, (*e.module_)->getAttr("kiln.data"), keys.contains("data") ? keys["data"]->value.get() : nullptr);
      !name.empty())
    attributes.push_back(b.getNamedAttr("data", b.getStringAttr(name)));
  (*e.module_)->setAttr("kiln.generate", b.getDictionaryAttr(attributes));
  // One sequence is drawn at a time, or the beams of one.
  for (const std::shared_ptr<Entry> &entry : {prefill, step, extension}) {
    if (!entry)
      continue;
    if (!e.options_.bounds.contains("B"))
      entry->bounds["B"] = {beams, recipe.nameRange, false};
    e.entries_.push_back(entry);
  }
}

void buildGeneration(Elaborator &e, const Stmt &recipe) { GenerateBuilder(e, recipe).run(); }

} // namespace kiln::language
