// The way through a file: declarations, the chosen model, its functions and recipes, the module.
#include "frontend/language/Elaborate.h"
#include "frontend/language/Parser.h"
#include "frontend/language/Recipe.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"

namespace kiln::language {

Elaborator::Elaborator(mlir::MLIRContext &context, Diagnostics &diagnostics, const LoadOptions &options)
    : context_(context), diagnostics_(diagnostics), options_(options), builder_(&context) {}

/// An instance whose attribute is one of its own functions holds itself.
Elaborator::~Elaborator() {
  // After an error functions and loops that were given up may read values of each other.
  for (const auto &block : graveyard_)
    block->dropAllReferences();
  if (module_)
    module_->getBody()->dropAllReferences();
  for (const std::weak_ptr<Instance> &weak : instances_)
    if (std::shared_ptr<Instance> instance = weak.lock()) {
      instance->arguments.clear();
      instance->attributes.clear();
    }
}

/// Functions of one name in a body: the first would be taken, and Python takes the last.
static void reportTwins(Elaborator &elaborator, const std::vector<StmtPtr> &body) {
  std::map<std::string_view, Range> seen;
  for (const StmtPtr &statement : body)
    if (statement->kind == StmtKind::Def)
      if (auto [place, isNew] = seen.try_emplace(statement->name, statement->nameRange); !isNew)
        elaborator.error(statement->nameRange, "'" + statement->name + "' is declared twice")
            .note(place->second, "the first one is here");
}

/// Errors of one statement at the top level; false where it declares nothing.
bool Elaborator::checkTopLevel(const Stmt &statement) {
  switch (statement.kind) {
  case StmtKind::Train:
  case StmtKind::Generate:
    recipes_.push_back(&statement);
    return false;
  case StmtKind::Import:
    return true;
  case StmtKind::Assign:
    if (statement.target->kind == ExprKind::Name && statement.name.empty())
      return true;
    error(statement.range, "at the top level, a constant is one name: NAME = value");
    return false;
  case StmtKind::Def:
    if (statement.isOp)
      declareOp(statement);
    reportTwins(*this, statement.body);
    return true;
  case StmtKind::Module:
    reportTwins(*this, statement.body);
    return true;
  default:
    error(statement.range, "this does not stand at the top level").withHelp(topLevelWords);
    return false;
  }
}

void Elaborator::declare(const File &file) {
  std::vector<const Stmt *> declaring;
  for (const StmtPtr &statement : file.statements)
    if (checkTopLevel(*statement))
      declaring.push_back(statement.get());
  if (!file.source->isLibrary()) {
    declarations_.declare(*file.source, declaring, diagnostics_);
    return;
  }
  // Optimizers and schedules are known where a recipe's are read, so that their short names are free elsewhere.
  bool recipes = file.source->name() == "nn/optimizer.kiln" || file.source->name() == "nn/schedule.kiln";
  for (const Stmt *statement : declaring)
    library_[recipes].try_emplace(statement->kind == StmtKind::Assign ? statement->target->text : statement->name,
                                  statement);
}

/// Names that are imported are declared somewhere, a recipe's model too, and ops have one meaning.
void Elaborator::checkFiles() {
  if (!diagnostics_.hasErrors()) // else a declaration may be missing for its errors' sake
    declarations_.checkImports(diagnostics_, [this](const std::string &name) {
      return library_[0].contains(name) || library_[1].contains(name) || findBuiltin(name, Space::General);
    });
  std::map<std::string_view, const Stmt *> ops;
  declarations_.each([&](const Stmt &statement) {
    if (!statement.isOp)
      return;
    if (auto [place, isNew] = ops.try_emplace(statement.name, &statement); !isNew)
      error(statement.nameRange, "two files declare an op '" + statement.name + "', which backends know by its name")
          .note(place->second->nameRange, "the other one is here");
  });
  for (const auto &[name, statement] : ops)
    if (auto gradient = ops.find(statement->name + "_grad"); gradient != ops.end())
      error(gradient->second->nameRange,
            "the gradient of the op " + statement->name + " is called '" + gradient->second->name + "'")
          .note(statement->nameRange, "the op is declared here")
          .withHelp("give this one another name, or write it as " + statement->name +
                    "'s own gradient, def grad(…) in its body");
  for (const Stmt *recipe : recipes_) {
    if (const Stmt *model = declarations_.find(recipe->name, recipe->range.file); model && model->isModel)
      continue;
    std::vector<std::string> names;
    for (const auto &[name, model] : declarations_.modelsIn(recipe->range.file))
      names.push_back(name);
    std::string near = nearest(recipe->name, names);
    error(recipe->nameRange, "there is no model '" + recipe->name + "' in this file")
        .withHelp(near.empty() ? "" : "did you mean '" + near + "'?");
  }
}

/// The recipes of the user's file; where it has none of the kind, those of the file that the model is taken from.
std::vector<const Stmt *> Elaborator::recipesOf(const Stmt &model, StmtKind kind) {
  std::vector<const Stmt *> out;
  std::string name = nameHere(model);
  const SourceFile *file = declarations_.own();
  do {
    for (const Stmt *recipe : recipes_)
      if (recipe->kind == kind && recipe->name == name && recipe->range.file == file)
        out.push_back(recipe);
  } while (out.empty() && declarations_.follow(name, file));
  if (out.size() > 1 && kind == StmtKind::Generate)
    error(out[1]->nameRange, "the model " + model.name + " has two generate blocks")
        .note(out[0]->nameRange, "the first one is here");
  return out;
}

static bool hasRecipe(const std::vector<const Stmt *> &recipes, const SourceFile *file, const std::string &name) {
  return llvm::any_of(recipes, [&](const Stmt *recipe) { return recipe->name == name && recipe->range.file == file; });
}

std::vector<const Stmt *> Elaborator::models() const {
  std::vector<const Stmt *> own, trained, taken;
  for (const auto &[name, statement] : declarations_.modelsIn(declarations_.own())) {
    bool isOwn = statement->range.file == declarations_.own();
    std::vector<const Stmt *> &kind = isOwn ? own : hasRecipe(recipes_, declarations_.own(), name) ? trained : taken;
    if (!llvm::is_contained(kind, statement)) // it may be taken by several names
      kind.push_back(statement);
  }
  own.insert(own.end(), trained.begin(), trained.end());
  return own.empty() ? taken : own;
}

/// Of several names that a model is taken by, the one that is asked for, else one that a recipe of the file has.
std::string Elaborator::nameHere(const Stmt &model) const {
  std::string found;
  for (const auto &[name, statement] : declarations_.modelsIn(declarations_.own())) {
    if (statement != &model)
      continue;
    if (name == options_.model)
      return name;
    if (found.empty() || hasRecipe(recipes_, declarations_.own(), name))
      found = name;
  }
  return found.empty() ? model.name : found;
}

const Stmt *Elaborator::chooseModel() {
  std::vector<const Stmt *> models = this->models();
  std::vector<std::string> names;
  for (const Stmt *model : models)
    names.push_back(nameHere(*model));
  if (!options_.model.empty()) {
    for (size_t i = 0; i < models.size(); ++i)
      if (names[i] == options_.model)
        return models[i];
    for (const auto &[name, model] : declarations_.modelsIn(declarations_.own())) {
      if (name == options_.model)
        return model; // taken by a file that has models of its own
      if (!llvm::is_contained(names, name))
        names.push_back(name);
    }
    std::string near = nearest(options_.model, names);
    error({}, "there is no model '" + options_.model + "' in this file")
        .withHelp(near.empty() ? "" : "did you mean --model " + near + "?");
    return nullptr;
  }
  if (models.size() == 1)
    return models[0];
  if (diagnostics_.hasErrors())
    return nullptr;
  if (models.empty()) {
    error({}, "the file declares no model").withHelp("write `model NAME(…):` with a forward");
    return nullptr;
  }
  std::string list;
  for (const std::string &name : names)
    list += (list.empty() ? "" : ", ") + name;
  error({}, "the file has several models: " + list).withHelp("choose one with --model " + names[0]);
  return nullptr;
}

static Value settingValue(const std::string &text) {
  if (text == "True" || text == "true" || text == "False" || text == "false")
    return Value::booleanOf(text[0] == 'T' || text[0] == 't');
  if (text == "None")
    return Value::none();
  char *end = nullptr;
  errno = 0;
  long long whole = std::strtoll(text.c_str(), &end, 10);
  if (!text.empty() && *end == '\0' && errno == 0)
    return Value::integerOf(whole);
  double number = std::strtod(text.c_str(), &end);
  if (!text.empty() && *end == '\0')
    return Value::floatOf(number);
  return Value::stringOf(text);
}

/// Whether an expression is a number by what is written there: -1, 4 * width, log(2) * 0.5.
static bool isNumber(const Expr &expr) {
  if (expr.kind == ExprKind::Unary)
    return expr.text != "not" && isNumber(*expr.children[0]);
  if (expr.kind == ExprKind::Binary)
    return expr.text != "and" && expr.text != "or" && (isNumber(*expr.children[0]) || isNumber(*expr.children[1]));
  return expr.kind == ExprKind::Integer || expr.kind == ExprKind::Float;
}

/// A word of --set where a name stands: of what is called by its name (a function, a module, a dtype) it is one, too.
Value Elaborator::namedSetting(const std::string &key, const std::string &text, const Expr &initial) {
  auto known = [&](const std::string &name) {
    return global(name, initial.range.file) || findBuiltin(name, Space::General) || dtypeByName(name);
  };
  Value word = Value::stringOf(text);
  if (!known(initial.text)) // an argument before it
    return word;
  Frame frame;
  Value stands = eval(initial, frame);
  if (stands.isInteger() || stands.kind == Value::Kind::Float)
    error(initial.range, "--set " + key + "=" + text + ": a number is expected, in place of this one");
  else if (stands.kind != Value::Kind::Function && stands.kind != Value::Kind::Builtin &&
           stands.kind != Value::Kind::Module && stands.kind != Value::Kind::Dtype)
    return word;
  else if (!known(text))
    error(initial.range, "--set " + key + "=" + text + ": the name of a function, module or dtype is expected, in " +
                             "place of this one");
  else {
    Expr name;
    name.kind = ExprKind::Name;
    name.text = text;
    name.range = initial.range;
    return eval(name, frame);
  }
  return Value::error();
}

/// What --set says as a value: a number, True, False, None, or else a string. `initial`: what stands in the text in its
/// place, if anything does; a number there asks for one here.
Value Elaborator::parseSetting(const std::string &key, const std::string &text, const Expr *initial) {
  Value value = settingValue(text);
  if (!initial)
    return value;
  bool number = isNumber(*initial);
  bool truth = initial->kind == ExprKind::True || initial->kind == ExprKind::False;
  if (initial->kind == ExprKind::String && value.kind != Value::Kind::None)
    return Value::stringOf(text);
  if (value.kind == Value::Kind::String && initial->kind == ExprKind::Name)
    return namedSetting(key, text, *initial);
  bool list = initial->kind == ExprKind::List;
  if (value.kind != Value::Kind::String || !(number || truth || list))
    return value;
  const char *wanted = number  ? "a number is expected, in place of this one"
                       : truth ? "True or False is expected, in place of this one"
                               : "a list stands here, which --set does not write";
  error(initial->range, "--set " + key + "=" + text + ": " + wanted);
  return Value::error();
}

std::shared_ptr<Instance> Elaborator::instantiateModel(const Stmt &model, const Expr *header) {
  Arguments arguments;
  if (header) {
    Frame frame;
    arguments = evalArguments(*header, frame);
    if (arguments.failed)
      return nullptr;
  }
  for (const auto &[key, text] : options_.set) {
    if (key == sweptRates || isConstant(key)) // the one is about the recipe, the other about the file
      continue;
    size_t dot = key.find('.');
    std::string name = dot == std::string::npos ? key : key.substr(dot + 1);
    if (dot != std::string::npos && key.substr(0, dot) != nameHere(model)) {
      if (!declarations_.find(key.substr(0, dot), declarations_.own()))
        error({}, "--set " + key + ": there is no model '" + key.substr(0, dot) + "' in this file");
      continue;
    }
    size_t position = 0;
    std::vector<std::string> names;
    for (const Parameter &parameter : model.parameters)
      names.push_back(parameter.name);
    while (position < names.size() && names[position] != name)
      ++position;
    if (position == names.size()) {
      for (const auto &[constant, declared] : declarations_.namesIn(declarations_.own()))
        if (dot == std::string::npos && isConstant(constant))
          names.push_back(constant);
      std::string near = nearest(name, names);
      error({}, "--set " + key + ": the model " + model.name + " has no argument '" + name + "'")
          .withHelp(near.empty() ? "" : "did you mean '" + near + "'?");
      continue;
    }
    Value value = parseSetting(key, text, model.parameters[position].initial.get());
    Range range = model.parameters[position].range;
    value.origin = range;
    if (position < arguments.positional.size()) {
      arguments.positional[position] = value;
      continue;
    }
    bool replaced = false;
    for (auto &[other, old] : arguments.named)
      if (other == name) {
        old = value;
        replaced = true;
      }
    if (replaced)
      continue;
    arguments.named.emplace_back(name, value);
    arguments.namedRanges.push_back(range);
    arguments.nameRanges.push_back(range);
  }
  for (size_t i = arguments.positional.size(); i < model.parameters.size(); ++i) {
    const Parameter &parameter = model.parameters[i];
    bool given = parameter.initial || parameter.rest;
    for (const auto &[name, value] : arguments.named)
      given |= name == parameter.name;
    if (!given) {
      if (checkOnly_) // the command line may give it, once this model is chosen
        return nullptr;
      error(parameter.range, "the model's argument '" + parameter.name + "' has no value")
          .withHelp("give it a default here, or in the recipe (`train " + model.name + "(" + parameter.name +
                    "=…):`), or on the command line: --set " + parameter.name + "=…");
      return nullptr;
    }
  }
  Value value = instantiate(model, arguments, header ? header->range : model.nameRange);
  return value.kind == Value::Kind::Instance ? value.instance : nullptr;
}

static void collectInto(const Value &value, std::vector<std::shared_ptr<Variable>> &out, bool parametersOnly,
                        std::vector<const Instance *> &seen) {
  switch (value.kind) {
  case Value::Kind::Variable:
    if ((!parametersOnly || value.variable->kind == Variable::Kind::Parameter) &&
        std::find(out.begin(), out.end(), value.variable) == out.end())
      out.push_back(value.variable);
    return;
  case Value::Kind::List:
    for (const Value &item : *value.items)
      collectInto(item, out, parametersOnly, seen);
    return;
  case Value::Kind::Instance:
    if (std::find(seen.begin(), seen.end(), value.instance.get()) != seen.end())
      return;
    seen.push_back(value.instance.get());
    for (const Value &item : value.instance->items)
      collectInto(item, out, parametersOnly, seen);
    for (const auto *list : {&value.instance->attributes, &value.instance->arguments})
      for (const auto &[name, attribute] : *list)
        collectInto(attribute, out, parametersOnly, seen);
    return;
  default:
    return;
  }
}

void Elaborator::collect(const Value &value, std::vector<std::shared_ptr<Variable>> &out, bool parametersOnly) {
  std::vector<const Instance *> seen;
  collectInto(value, out, parametersOnly, seen);
}

/// Gives parameters and states their names: the paths of attributes, as in a state_dict. The first path wins, so a tied
/// parameter is named by where it was declared first.
void Elaborator::namePaths(const Value &value, const std::string &path, const std::string &modulePath,
                           std::vector<const Instance *> &seen) {
  auto join = [](const std::string &a, const std::string &b) { return a.empty() ? b : a + "." + b; };
  switch (value.kind) {
  case Value::Kind::Variable: {
    Variable &variable = *value.variable;
    if (variable.index >= 0)
      return;
    variable.name = variable.lastName.empty() ? path : join(modulePath, variable.lastName);
    auto &list = variable.kind == Variable::Kind::Parameter ? parameters_ : states_;
    for (const auto *others : {&parameters_, &states_})
      for (const std::shared_ptr<Variable> &other : *others)
        if (other->name == variable.name)
          error(variable.range, "two parameters or states are called '" + variable.name + "'")
              .note(other->range, "the other one is declared here");
    variable.index = static_cast<int>(list.size());
    list.push_back(value.variable);
    return;
  }
  case Value::Kind::List:
    for (size_t i = 0; i < value.items->size(); ++i)
      namePaths((*value.items)[i], join(path, value.names ? (*value.names)[i] : std::to_string(i)), modulePath, seen);
    return;
  case Value::Kind::Instance: {
    Instance &instance = *value.instance;
    if (std::find(seen.begin(), seen.end(), &instance) != seen.end())
      return;
    seen.push_back(&instance);
    for (size_t i = 0; i < instance.items.size(); ++i)
      namePaths(instance.items[i], join(path, std::to_string(i)), path, seen);
    for (const auto *list : {&instance.attributes, &instance.arguments})
      for (const auto &[name, attribute] : *list)
        namePaths(attribute, join(path, name), path, seen);
    return;
  }
  default:
    return;
  }
}

/// The model's functions and recipes; false after errors.
bool Elaborator::build(const Stmt &model) {
  module_ = mlir::ModuleOp::create(location(model.nameRange), model.name);
  std::vector<const Stmt *> train = recipesOf(model, StmtKind::Train);
  std::vector<const Stmt *> generate = recipesOf(model, StmtKind::Generate);
  model_ = instantiateModel(model, train.empty() ? nullptr : train[0]->value.get());
  if (!model_)
    return false;
  Value root = Value::of(Value::Kind::Instance);
  root.instance = model_;
  std::vector<const Instance *> seen;
  namePaths(root, "", "", seen);
  for (const StmtPtr &statement : model.body)
    if (statement->kind == StmtKind::Def && isEntry(*statement) && functionEntry(*statement, false))
      functionEntry(*statement, true);
  if (!train.empty())
    buildTraining(*this, train);
  if (!generate.empty())
    buildGeneration(*this, *generate[0]);
  if (!diagnostics_.hasErrors())
    reportLeftOut(model);
  if (checkOnly_)
    return true;
  if (!diagnostics_.hasErrors())
    settleBounds();
  return !diagnostics_.hasErrors();
}

void Elaborator::check(const Stmt &model) {
  modelDeclaration_ = &model;
  checkOnly_ = true;
  build(model);
}

mlir::OwningOpRef<mlir::ModuleOp> Elaborator::run() {
  modelDeclaration_ = chooseModel();
  if (!modelDeclaration_ || !build(*modelDeclaration_)) {
    if (!diagnostics_.hasErrors())
      error(modelDeclaration_ ? modelDeclaration_->nameRange : Range(),
            "internal error: the model could not be elaborated, and nothing says why");
    return nullptr;
  }
  writeVariables();
  // What the elaborator builds is right by construction; should it not be, say so rather than go on.
  std::string messages;
  mlir::ScopedDiagnosticHandler handler(&context_, [&](mlir::Diagnostic &diagnostic) {
    messages += diagnostic.str() + "\n";
    return mlir::success();
  });
  if (failed(mlir::verify(*module_))) {
    error({}, "internal error: the module does not verify: " + messages);
    return nullptr;
  }
  return std::move(module_);
}

} // namespace kiln::language
