// Several recipes for one model: stages of its training, and series of them; and what a recipe assigns around its
// steps.
#include "frontend/language/Parts.h"
#include "frontend/language/TrainBuilder.h"

namespace kiln::language {

static constexpr int64_t maxRounds = 1'000'000; // docs/language.md, "Limits"

static const Stmt *keyOf(const Stmt &recipe, std::string_view name) {
  for (const StmtPtr &statement : recipe.body)
    if (statement->kind == StmtKind::Assign && statement->target->kind == ExprKind::Name &&
        statement->target->text == name)
      return statement.get();
  return nullptr;
}

bool TrainBuilder::isSeries(const Stmt &recipe) { return keyOf(recipe, "stages") && !keyOf(recipe, "loss"); }

//===-- Blocks ---------------------------------------------------------------------------------------------------===//

/// begin, after, end: a function from parameters and states to new ones.
void TrainBuilder::section(const Stmt &section) {
  static constexpr std::string_view order[] = {"begin", "after", "end"};
  int64_t place = std::find(std::begin(order), std::end(order), section.name) - std::begin(order);
  std::string name = "stage." + section.name + suffix;
  std::shared_ptr<Entry> entry = e.beginEntry(name, {}, /*training=*/false, section.range);
  entry->update = true;
  entry->nextStream += (number_ << 22) + ((place + 1) << 20); // draws of its own
  Frame frame;
  frame.mode = Frame::Mode::Function;
  frame.self = e.model();
  frame.lookup = [&](std::string_view asked, Value &out) {
    if (asked != "step")
      return false;
    out = Value::tensorOf(e.emit(section.range).convertTo(e.stepCounter(section.range), b.getF64Type()));
    return true;
  };
  size_t errorsBefore = e.diagnostics().size();
  e.execute(section.body, frame);
  if (frame.returned)
    e.error(section.range, "'" + section.name + "' is no function: it returns nothing");
  if (e.diagnostics().size() == errorsBefore && entry->changed.empty())
    e.error(section.range, "'" + section.name + "' assigns nothing")
        .withHelp("it gives parts, parameters or states of the model new values: average = 0.9 * average + 0.1 * net");
  if (section.name == "after" && entry->seed)
    e.error(section.range, "'after' draws random numbers; it follows each update, and depends on the step alone")
        .withHelp("'begin' and 'end' may draw");
  entry->failed |= e.diagnostics().size() != errorsBefore;
  e.endEntry(*entry, {}, section.range);
  if (section.name == "after")
    entry->func.setPrivate();
  set(section.name, b.getStringAttr(name));
  e.entries_.push_back(std::move(entry));
}

void TrainBuilder::sections() {
  for (const char *name : {"begin", "after", "end"})
    if (auto found = blocks.find(name); found != blocks.end())
      section(*found->second);
}

//===-- Several recipes ------------------------------------------------------------------------------------------===//

/// Each recipe has a name of its own, and the first one the model's arguments.
bool TrainBuilder::checkNames(Elaborator &e, const std::vector<const Stmt *> &recipes) {
  bool ok = true;
  std::map<std::string, const Stmt *> seen;
  for (const Stmt *recipe : recipes) {
    auto [place, isNew] = seen.try_emplace(stageName(*recipe), recipe);
    Range at = recipe->target ? recipe->target->range : recipe->nameRange;
    if (!isNew) {
      e.error(at, recipe->target || place->second->target
                      ? "the model " + recipe->name + " has two recipes called '" + stageName(*recipe) + "'"
                      : "the model " + recipe->name + " has two train blocks without a name")
          .note(place->second->nameRange, "the first one is here")
          .withHelp("stages of a training have names: train " + recipe->name + " as finetune:");
      ok = false;
    }
    if (stageName(*recipe) == "last" || stageName(*recipe) == "best") {
      e.error(at, "a recipe cannot be called '" + stageName(*recipe) + "': a checkpoint of every run is called so");
      ok = false;
    }
    if (recipe != recipes.front() && recipe->value) {
      e.error(recipe->value->range, "the model's arguments stand in its first recipe")
          .note(recipes.front()->nameRange, "which is here");
      ok = false;
    }
  }
  return ok;
}

/// `stages = [a, b]`, `rounds = 10`.
mlir::Attribute TrainBuilder::series(Elaborator &e, const Stmt &recipe, const std::vector<const Stmt *> &recipes,
                                     std::map<std::string, Range> &listed) {
  TrainBuilder builder(e, recipe, 1);
  for (const StmtPtr &statement : recipe.body) {
    bool known = statement->kind == StmtKind::Assign && statement->name.empty() &&
                 statement->target->kind == ExprKind::Name &&
                 (statement->target->text == "stages" || statement->target->text == "rounds");
    if (!known && statement->kind != StmtKind::Pass)
      e.error(statement->range, "a recipe of stages has `stages` and `rounds` alone");
    else if (known && !builder.keys.try_emplace(statement->target->text, statement.get()).second)
      e.error(statement->range, "'" + statement->target->text + "' is set twice in this recipe");
  }
  if (!builder.keys.count("stages"))
    return {};
  const Expr &list = *builder.keys["stages"]->value;
  std::vector<std::string> names, known;
  for (const Stmt *other : recipes)
    if (!isSeries(*other))
      known.push_back(stageName(*other));
  if (list.kind != ExprKind::List || list.children.empty())
    e.error(list.range, "'stages' is a list of recipes' names").withHelp("as in stages = [pretrain, finetune]");
  for (const ExprPtr &item : list.children) {
    bool isName = list.kind == ExprKind::List && item->kind == ExprKind::Name;
    if (!isName || std::find(known.begin(), known.end(), item->text) == known.end()) {
      std::string near = isName ? nearest(item->text, known) : "";
      if (list.kind == ExprKind::List)
        e.error(item->range, "this is no recipe of the model " + recipe.name + " with steps of its own")
            .withHelp(near.empty() ? "a recipe gets its name by: train " + recipe.name + " as NAME:"
                                   : "did you mean '" + near + "'?");
      continue;
    }
    if (auto [place, isNew] = listed.try_emplace(item->text, item->range); !isNew)
      e.error(item->range, "'" + item->text + "' stands in a list of stages already").note(place->second, "here");
    names.push_back(item->text);
  }
  std::optional<int64_t> rounds = builder.keys.count("rounds") ? builder.count("rounds") : std::optional<int64_t>(1);
  if (rounds && *rounds > maxRounds)
    e.error(builder.keys["rounds"]->value->range,
            "'rounds' is " + std::to_string(*rounds) + "; at most " + std::to_string(maxRounds) + " are possible");
  std::vector<llvm::StringRef> texts(names.begin(), names.end());
  mlir::Builder &b = e.builder();
  return b.getDictionaryAttr({b.getNamedAttr("name", b.getStringAttr(stageName(recipe))),
                              b.getNamedAttr("stages", b.getStrArrayAttr(texts)),
                              b.getNamedAttr("rounds", b.getI64IntegerAttr(rounds.value_or(1)))});
}

/// What a stage does not train, though another one does, is named at its loss.
static void markFrozen(mlir::Builder &b, mlir::ModuleOp module, const std::string &suffix,
                       const std::vector<std::shared_ptr<Variable>> &parameters, const std::set<Variable *> &trained) {
  auto loss = module.lookupSymbol<mlir::func::FuncOp>("loss.train" + suffix);
  std::vector<llvm::StringRef> names;
  for (const std::shared_ptr<Variable> &variable : parameters)
    if (variable->trainable && !trained.contains(variable.get()))
      names.push_back(variable->name);
  if (loss && !names.empty())
    loss->setAttr("kiln.frozen", b.getStrArrayAttr(names));
}

void TrainBuilder::all(Elaborator &e, const std::vector<const Stmt *> &recipes) {
  if (!checkNames(e, recipes))
    return;
  mlir::Builder &b = e.builder();
  std::vector<mlir::Attribute> stages;
  std::map<std::string, Range> listed;
  std::set<Variable *> declared;
  for (const std::shared_ptr<Variable> &variable : e.parameters_)
    if (variable->trainable)
      declared.insert(variable.get());
  std::vector<std::pair<std::string, std::set<Variable *>>> trained;
  int64_t number = 0;
  for (const Stmt *recipe : recipes) {
    if (isSeries(*recipe)) {
      if (mlir::Attribute one = series(e, *recipe, recipes, listed))
        stages.push_back(one);
      continue;
    }
    for (const std::shared_ptr<Variable> &variable : e.parameters_)
      variable->trainable = declared.contains(variable.get());
    TrainBuilder builder(e, *recipe, number++);
    builder.run();
    std::set<Variable *> &here = trained.emplace_back(builder.suffix, std::set<Variable *>()).second;
    for (const std::shared_ptr<Variable> &variable : e.parameters_)
      if (variable->trainable)
        here.insert(variable.get());
    std::vector<mlir::NamedAttribute> fields = {b.getNamedAttr("name", b.getStringAttr(stageName(*recipe)))};
    if (builder.suffix.empty()) {
      (*e.module_)->setAttr("kiln.data", builder.data ? builder.data : b.getArrayAttr({}));
      (*e.module_)->setAttr("kiln.train", b.getDictionaryAttr(builder.attributes));
    } else {
      fields.push_back(b.getNamedAttr("train", b.getDictionaryAttr(builder.attributes)));
      fields.push_back(b.getNamedAttr("data", builder.data ? builder.data : b.getArrayAttr({})));
    }
    stages.push_back(b.getDictionaryAttr(fields));
  }
  for (const std::shared_ptr<Variable> &variable : e.parameters_)
    variable->trainable = std::any_of(trained.begin(), trained.end(),
                                      [&](const auto &stage) { return stage.second.contains(variable.get()); });
  if (e.diagnostics_.hasErrors())
    return;
  for (const auto &[suffix, here] : trained)
    markFrozen(b, *e.module_, suffix, e.parameters_, here);
  if (recipes.size() > 1 || recipes.front()->target)
    (*e.module_)->setAttr("kiln.stages", b.getArrayAttr(stages));
}

} // namespace kiln::language
