// The generate block: the functions generate.prefill and generate.step over session state, and how tokens are drawn.
#include "frontend/language/GenerateBuilder.h"
#include "ir/Symbols.h"

namespace kiln::language {

const Stmt *modelFunction(const Instance &model, std::string_view name) {
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
    if (statement->kind != StmtKind::Assign && !isSection) {
      Diagnostic &diagnostic = e.error(
          range, "a generate block holds lines of the form NAME = value, and prefill, step and chat with blocks");
      if (statement->kind == StmtKind::Def)
        diagnostic.withHelp("a function stands in the model" +
                            std::string(name == "prefill" || name == "step" ? "; a block is `" + name + ":`" : ""));
      continue;
    }
    if (std::find(known.begin(), known.end(), name) == known.end() ||
        (isSection && name != "prefill" && name != "step" && name != "chat")) {
      std::string near = nearest(name, known);
      e.error(range, "a generate block has prefill, step, draw (or search), data and chat" +
                         (name.empty() ? "" : ", no '" + name + "'"))
          .withHelp(near.empty() ? "" : "did you mean '" + near + "'?");
      continue;
    }
    if (name == "chat" && !isSection)
      e.error(range, "'chat' is a block: `chat:`, and below it first, next, system and thoughts");
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
  if (isPrefill || forward) // a step is derived over any number of tokens, and is then of one
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
  callWith(function, 0, frame.locals[isPrefill ? "prompt" : "token"].value, isPrefill, frame, range);
}

/// The same, `tokens` being the argument of the number `at`.
void GenerateBuilder::callWith(const Stmt &function, size_t at, const Value &tokens, bool isPrefill, Frame &frame,
                               Range range) {
  Elaborator::Arguments arguments;
  for (size_t i = 0; i < function.parameters.size(); ++i) {
    const Parameter &parameter = function.parameters[i];
    Value value;
    if (i == at) {
      value = tokens;
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
    else if (i == 0 && forward == &function)
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

void GenerateBuilder::openFrame(bool isPrefill, Frame &frame, const Entry &entry) {
  const Stmt *section = isPrefill ? prefillSection : stepSection;
  Range range = section ? section->range : recipe.nameRange;
  frame.mode = Frame::Mode::Function;
  frame.self = e.model();
  for (const auto &[i, name] : llvm::enumerate(entry.inputNames))
    frame.locals[name] = {Value::tensorOf(entry.block->getArgument(static_cast<unsigned>(i))), range};
  for (const auto &[name, origin] : entry.symbols)
    if (isPrefill || name == "B")
      frame.dims[name] = {Value::integerOf(Dim::symbol(name), range), range};
  if (isPrefill)
    frame.locals["position"] = {*e.toTensor(Value::integerOf(0), range), range};
}

void GenerateBuilder::run() {
  read();
  forward = derivedFrom();
  bool built = !forward ? writeBoth() : readsMore(*forward) ? deriveAnswer(*forward) : deriveBoth(*forward);
  if (built)
    finish();
  else
    e.entry_ = nullptr;
}

/// The prefill and the step as they are written. False after an error.
bool GenerateBuilder::writeBoth() {
  size_t errorsBefore = e.diagnostics().size();
  prefill = begin(true, prefillSection);
  if (!prefill || e.diagnostics().size() != errorsBefore)
    return false;
  openFrame(true, prefillFrame, *prefill);
  body(true, prefillFrame);
  Range range = prefillSection ? prefillSection->range : recipe.nameRange;
  if (e.diagnostics().size() != errorsBefore || !checkLogits(prefillFrame, range, false, prefillLogits))
    return false;
  range = stepSection ? stepSection->range : recipe.nameRange;
  step = begin(false, stepSection);
  Frame frame;
  openFrame(false, frame, *step);
  frame.lookup = [&](std::string_view name, Value &out) { return sessionValue(name, out); };
  body(false, frame);
  Value logits;
  if (e.diagnostics().size() != errorsBefore || !checkLogits(frame, range, true, logits))
    return false;
  // What the step sets again is carried to the next one.
  for (const auto &[name, variable] : sessions)
    if (Value value = leftIn(frame, name); !value.isNone() && !value.isError())
      e.write(variable, value, frame.locals.find(name.substr(0, name.find('.')))->second.range);
  e.endEntry(*step, {{logits, "output", "logits"}}, range);
  return true;
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

/// How it is drawn: the block's draw, and what it has to say where an answer has an end. `beams`: how many sequences at
/// once, where it says so.
mlir::DictionaryAttr GenerateBuilder::readDraw(int64_t &beams, bool hasFirst) {
  auto draw = keys.find("draw");
  if (draw == keys.end())
    draw = keys.find("search");
  auto settings = b.getDictionaryAttr({b.getNamedAttr("kind", b.getStringAttr("greedy"))});
  Range range = recipe.nameRange;
  if (draw != keys.end()) {
    Frame frame;
    frame.mode = Frame::Mode::Module;
    frame.self = e.model();
    frame.space = Space::Draw;
    const Expr &expr = *draw->second->value;
    range = draw->second->range;
    Value value = e.eval(expr, frame);
    bool isDraw = value.kind == Value::Kind::Record &&
                  (value.record->kind == "greedy" || value.record->kind == "sample" || value.record->kind == "beam");
    if (!isDraw && !value.isError())
      e.error(expr.range, "a way to draw is greedy(…), sample(…) or beam(…); this is " + describe(value));
    if (isDraw) {
      settings = llvm::cast<mlir::DictionaryAttr>(toAttribute(e, value, expr.range));
      for (size_t i = 0; i < value.record->fields.size(); ++i) {
        const auto &[name, field] = value.record->fields[i];
        checkDraw(e, *value.record, i);
        if (name == "width")
          beams = field.asInteger().value_or(1);
      }
    }
  }
  bool hasFrom = settings.get("from") != nullptr;
  if (hasFrom && hasFirst)
    e.error(range, "what an answer begins with is said twice: the prefill sets `first`, and draw has `from`");
  else if (prefillLogits.isError() && !hasFrom && !hasFirst)
    e.error(range, "the prefill gives no logits, so the first token has to be named")
        .withHelp("write draw = greedy(from=START), for example");
  return limited(settings, range);
}

/// What is drawn ends where the step's places do: by `longest`, or by the prompt's bound.
mlir::DictionaryAttr GenerateBuilder::limited(mlir::DictionaryAttr draw, Range range) {
  StepPlaces places = stepPlaces(*step->block, step->block->getArgument(1));
  if (answerLength > 0 && (!places.op || answerLength < places.count))
    places = {answerLength, nullptr};
  if (places.count == 0 && !places.op)
    return draw;
  Range where = places.op ? rangeOf(places.op->getLoc()) : recipe.nameRange;
  std::string count = std::to_string(places.count);
  if (!prefillLogits.isError() && llvm::is_contained(prefill->inputNames, "prompt")) {
    auto bound = prefill->bounds.find("T");
    if (bound != prefill->bounds.end() && bound->second.value > places.count)
      e.error(where, "what the step keeps, or looks up by the position, ends behind " + count +
                         " tokens here, and a session goes on to the prompt's bound, " +
                         std::to_string(bound->second.value))
          .note(bound->second.range, "the prompt's bound is stated here")
          .withHelp("make them equal: a cache of " + std::to_string(bound->second.value) + " places, or T <= " + count);
    return draw;
  }
  auto longest = llvm::dyn_cast_or_null<mlir::IntegerAttr>(draw.get("longest"));
  // The last token that is drawn is not fed.
  if (longest && longest.getInt() > places.count + 1)
    e.error(range, "draw's longest is " + std::to_string(longest.getInt()) + ", and the step has " + count + " places")
        .note(where, "what it keeps, or looks up by the position, ends here")
        .withHelp("leave `longest` out: an answer then ends where its places do");
  if (longest && longest.getInt() > 0)
    return draw;
  mlir::NamedAttrList fields(draw);
  fields.set("longest", b.getI64IntegerAttr(std::max<int64_t>(places.count, 1)));
  return fields.getDictionary(b.getContext());
}

/// Beams change places: what the step keeps has them on an axis of their own.
void GenerateBuilder::checkBeams(int64_t beams) {
  for (Variable *state : step->changed) {
    bool among = state->batchAxis < 0 &&
                 llvm::any_of(state->type.dims, [](const Dim &dim) { return llvm::is_contained(dim.symbols(), "B"); });
    if (state->kind != Variable::Kind::Session || !among || beams < 2)
      continue;
    e.error(recipe.nameRange, "beams change places between steps, and what the step keeps, " + state->name + ", " +
                                  typeText(state->type.dtype, state->type.dims) + ", has them on an axis with others")
        .withHelp(
            "draw = sample(…) or greedy() keeps them where they are; else give the batch an axis of its own there, "
            "[B, heads, T, n]");
    return;
  }
}

void GenerateBuilder::finish() {
  std::vector<Elaborator::Result> results;
  Value first = firstTokens(!prefillLogits.isError());
  if (!prefillLogits.isError())
    results.push_back({prefillLogits, "output", "logits"});
  if (!first.isError())
    results.push_back({first, "output", "first"});
  for (const auto &[name, variable] : sessions)
    results.push_back({leftIn(prefillFrame, name), "state", variable->name});
  for (auto [value, variable] : llvm::zip(memory, memoryStates))
    if (variable)
      results.push_back({Value::tensorOf(value), "state", variable->name});
  e.endEntry(*prefill, results, recipe.nameRange);
  if (!time.empty()) // no token of an answer is read by the prefill
    fixSymbol(prefill->func, time, 1);

  std::vector<mlir::NamedAttribute> attributes = {b.getNamedAttr("prefill", b.getStringAttr("generate.prefill")),
                                                  b.getNamedAttr("step", b.getStringAttr("generate.step"))};
  int64_t beams = 1;
  attributes.push_back(b.getNamedAttr("draw", readDraw(beams, !first.isError())));
  checkBeams(beams);
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
