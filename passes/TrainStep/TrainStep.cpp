// The recipe read, and @train_step built from it.

#include "passes/TrainStep/TrainStep.h"

#include "passes/Differentiate/Differentiate.h"
#include "passes/TrainStep/Clip.h"
#include "passes/TrainStep/Evaluate.h"
#include "passes/TrainStep/Shards.h"
#include "passes/support/Stages.h"
#include "passes/support/Values.h"

#include "mlir/IR/IRMapping.h"

#include "llvm/ADT/SetVector.h"

namespace kiln {

#define GEN_PASS_DEF_TRAINSTEP
#include "passes/TrainStep/TrainStep.h.inc"

using llvm::SmallVector;
using llvm::StringRef;
using mlir::DictionaryAttr;
using mlir::failure;
using mlir::LogicalResult;
using mlir::StringAttr;
using mlir::success;
using mlir::Value;
using mlir::func::FuncOp;

namespace {

struct Trained {
  unsigned argument;
  StringAttr name;
  Value gradient;
};

/// How one parameter is moved, or several at once, as one row of all their elements.
struct Update {
  SmallVector<unsigned, 1> members; // of `trained`
  bool asRow;
  FuncOp function;
  unsigned rate; // which result of the function of rates
  /// Of the optimizer: the names that the program knows them by, and the arguments.
  SmallVector<StringAttr, 2> states;
  SmallVector<Value, 2> stateValues;
};

class StepBuilder {
public:
  /// Of `loss`, and its gradients as `made` has them.
  StepBuilder(mlir::ModuleOp module, Stage stage, FuncOp loss, LossGradients made)
      : module(module), train(stage.train), suffix(stage.suffix), loss(loss), function(made.function),
        made(std::move(made)), builder(function.getBody().front().getTerminator()), e(builder, function.getLoc()) {}

  /// Writes the function. What it calls is still there, for another one.
  LogicalResult run();
  /// The module's list has the optimizer's states, and what was called is gone.
  void declare();

private:
  LogicalResult readUpdates();
  LogicalResult clip();
  Value step();
  mlir::FailureOr<SmallVector<Value>> call(FuncOp called, llvm::ArrayRef<Value> arguments,
                                           const Update *update = nullptr);
  LogicalResult evaluate(mlir::func::CallOp call, const Update *update, llvm::ArrayRef<Value> arguments);
  int64_t elementsOf(const Update &update);
  LogicalResult update();
  LogicalResult after();
  unsigned argumentOf(StringRef attribute, StringAttr name, mlir::Type type, llvm::ArrayRef<StringRef> before);
  void finish();
  LogicalResult addStates();
  void eraseCalled();
  /// The place of an argument behind all that have one of these attributes.
  unsigned behind(llvm::ArrayRef<StringRef> attributes);
  DictionaryAttr named(StringRef key, StringAttr name) {
    return builder.getDictionaryAttr(builder.getNamedAttr(key, name));
  }

  mlir::ModuleOp module;
  DictionaryAttr train;
  std::string suffix; // of the stage's functions
  FuncOp loss, function;
  LossGradients made;
  mlir::OpBuilder builder;
  Emit e;
  std::optional<LossEvaluation> evaluation;
  FuncOp rates;
  SmallVector<Trained> trained;
  SmallVector<Update> updates;
  Value gradientNorm, stepArgument;
  SmallVector<Value> metrics; // the rates; null for those that do not change
  llvm::MapVector<mlir::StringAttr, Value> newParameters, newStates;
  SmallVector<mlir::Attribute> stateEntries;
};

unsigned StepBuilder::behind(llvm::ArrayRef<StringRef> attributes) {
  unsigned position = 0;
  for (unsigned index = 0; index < function.getNumArguments(); ++index)
    for (StringRef attribute : attributes)
      if (function.getArgAttr(index, attribute))
        position = index + 1;
  return position;
}

/// A function that `kiln.train` names, of one block; null, with an error, where there is none.
static FuncOp calledAs(mlir::ModuleOp module, mlir::Attribute name, StringRef what) {
  auto text = llvm::dyn_cast_or_null<StringAttr>(name);
  auto function = text ? module.lookupSymbol<FuncOp>(text.getValue()) : FuncOp();
  if (!function || !function.getBody().hasOneBlock()) {
    module.emitError("kiln.train names no function of ") << what << " that exists";
    return {};
  }
  return function;
}

// `updates = [{parameter, function, rate}, …]`, or `parameters` of one that moves several at once: in this order they
// are trained, and counted in the norm.
LogicalResult StepBuilder::readUpdates() {
  auto listed = train.getAs<mlir::ArrayAttr>("updates");
  rates = calledAs(module, train.get("rates"), "rates");
  if (!listed || !rates)
    return listed ? failure() : module.emitError("kiln.train names no updates");
  llvm::DenseMap<StringAttr, unsigned> place;
  for (unsigned i = 0; i < made.parameters.size(); ++i)
    place[function.getArgAttrOfType<StringAttr>(made.parameters[i], "kiln.parameter")] = i;
  llvm::DenseSet<StringAttr> taken;
  for (auto entry : listed.getAsRange<DictionaryAttr>()) {
    auto rate = entry.getAs<mlir::IntegerAttr>("rate");
    FuncOp called = calledAs(module, entry.get("function"), "an update");
    if (!called)
      return failure();
    if (!rate || rate.getInt() < 0 || rate.getInt() >= rates.getNumResults())
      return module.emitError("an update of kiln.train has no rate");
    auto several = entry.getAs<mlir::ArrayAttr>("parameters");
    Update update{{}, bool(several), called, static_cast<unsigned>(rate.getInt()), {}, {}};
    mlir::Attribute single = entry.get("parameter");
    for (mlir::Attribute one : several ? several.getValue() : llvm::ArrayRef(single)) {
      auto name = llvm::cast<StringAttr>(one);
      if (!taken.insert(name).second)
        return module.emitError("parameter ") << name << " is in two optimizers";
      auto found = place.find(name);
      if (found == place.end())
        continue;
      update.members.push_back(static_cast<unsigned>(trained.size()));
      trained.push_back({made.parameters[found->second], name, made.gradients[found->second]});
    }
    if (!update.members.empty())
      updates.push_back(std::move(update));
  }
  return success();
}

LogicalResult StepBuilder::clip() {
  SmallVector<Value> gradients;
  for (const Trained &one : trained)
    gradients.push_back(one.gradient);
  if (mlir::failed(clipGradients(e, train, gradients, gradientNorm)))
    return failure();
  for (auto [one, gradient] : llvm::zip_equal(trained, gradients))
    one.gradient = gradient;
  return success();
}

Value StepBuilder::step() {
  if (stepArgument)
    return stepArgument;
  for (unsigned index = 0; index < function.getNumArguments(); ++index)
    if (function.getArgAttr(index, "kiln.step"))
      return stepArgument = function.getArgument(index);
  unsigned last = function.getNumArguments();
  function.insertArgument(last, tensorType({}, builder.getI32Type()),
                          builder.getDictionaryAttr(builder.getNamedAttr("kiln.step", builder.getUnitAttr())),
                          function.getLoc());
  return stepArgument = function.getArgument(last);
}

/// The results of a function's body, written here; a last argument that is marked as the step is found by itself.
/// `update`: whose optimizer the function is.
mlir::FailureOr<SmallVector<Value>> StepBuilder::call(FuncOp called, llvm::ArrayRef<Value> arguments,
                                                      const Update *update) {
  mlir::Block &body = called.getBody().front();
  mlir::IRMapping map;
  for (auto [index, argument] : llvm::enumerate(body.getArguments()))
    map.map(argument, called.getArgAttr(static_cast<unsigned>(index), "kiln.step") ? step() : arguments[index]);
  SmallVector<mlir::func::CallOp> evaluations;
  for (mlir::Operation &op : body.without_terminator())
    builder.clone(op, map)->walk([&](mlir::func::CallOp one) { evaluations.push_back(one); });
  // The results are held by the terminator, since they may be what an evaluation gives.
  mlir::Operation *terminator = function.getBody().front().getTerminator();
  unsigned first = terminator->getNumOperands();
  for (Value result : body.getTerminator()->getOperands())
    terminator->insertOperands(terminator->getNumOperands(), map.lookup(result));
  for (mlir::func::CallOp one : evaluations)
    if (mlir::failed(evaluate(one, update, arguments)))
      return failure();
  SmallVector<Value> results(llvm::drop_begin(terminator->getOperands(), first));
  terminator->eraseOperands(first, static_cast<unsigned>(results.size()));
  return results;
}

/// An optimizer's call of the loss: `arguments` are what its function was given, first a row of its parameters and one
/// of their gradients. Where the parameters are as they were, the step has computed it already.
LogicalResult StepBuilder::evaluate(mlir::func::CallOp call, const Update *update, llvm::ArrayRef<Value> arguments) {
  if (made.lossResult >= function.getNumResults())
    return call.emitError("--shards: this optimizer evaluates the loss within a step, whose update has no batch");
  if (!update || !update->asRow)
    return call.emitError("evaluates the loss, and is no part of an optimizer that moves all parameters at once");
  SmallVector<StringAttr> members;
  for (unsigned member : update->members)
    members.push_back(trained[member].name);
  if (call.getOperand(0) == arguments[0]) {
    mlir::OpBuilder here(call);
    Emit at(here, call.getLoc());
    Value known = lossOf(at, function, made.lossResult, members, [](Value one) { return one; });
    call.replaceAllUsesWith(llvm::ArrayRef<Value>{known, arguments[1]});
    call.erase();
    return success();
  }
  if (!evaluation) {
    SmallVector<StringAttr> names;
    for (const Trained &one : trained)
      names.push_back(one.name);
    mlir::FailureOr<LossEvaluation> made = LossEvaluation::of(loss, train, names);
    if (mlir::failed(made))
      return failure();
    evaluation = std::move(*made);
  }
  return evaluation->replace(call, function, members);
}

/// Arguments for the states of all updates, at once: each insertion by itself goes through all arguments.
LogicalResult StepBuilder::addStates() {
  SmallVector<mlir::Type> types;
  SmallVector<DictionaryAttr> attributes;
  for (Update &one : updates) {
    auto states = one.function->getAttrOfType<mlir::ArrayAttr>("kiln.states");
    size_t count = states ? states.size() : 0;
    StringAttr parameter = trained[one.members.front()].name;
    mlir::Type moved = function.getArgument(trained[one.members.front()].argument).getType();
    if (one.asRow)
      moved = llvm::cast<mlir::RankedTensorType>(moved).clone(elementsOf(one));
    if (one.function.getNumArguments() < 3 + count || one.function.getNumResults() != 1 + count ||
        one.function.getArgumentTypes()[0] != moved)
      return one.function.emitError("is no update of ")
             << parameter << ": (p, gradient, lr, states…, step) to (p, states…)";
    for (size_t i = 0; i < count; ++i) {
      auto state = llvm::cast<DictionaryAttr>(states[i]);
      mlir::Type type = one.function.getArgumentTypes()[3 + i];
      StringAttr name = builder.getStringAttr("optimizer" + suffix + "." + state.getAs<StringAttr>("name").getValue() +
                                              "." + parameter.getValue());
      one.states.push_back(name);
      types.push_back(type);
      attributes.push_back(named("kiln.state", name));
      stateEntries.push_back(builder.getDictionaryAttr(
          {builder.getNamedAttr("name", name), builder.getNamedAttr("type", mlir::TypeAttr::get(type)),
           builder.getNamedAttr("kind", builder.getStringAttr("optimizer")),
           builder.getNamedAttr("init", state.get("init"))}));
    }
  }
  unsigned position = behind({"kiln.input", "kiln.parameter", "kiln.state"});
  function.insertArguments(SmallVector<unsigned>(types.size(), position), types, attributes,
                           SmallVector<mlir::Location>(types.size(), function.getLoc()));
  for (Update &one : updates)
    for (size_t i = 0; i < one.states.size(); ++i)
      one.stateValues.push_back(function.getArgument(position++));
  return success();
}

/// How many elements the parameters of an update have together: the extent of their row.
int64_t StepBuilder::elementsOf(const Update &update) {
  int64_t count = 0;
  for (unsigned member : update.members)
    count += kiln::elementsOf(function.getArgument(trained[member].argument));
  return count;
}

/// Each update's function: (p, gradient, lr, states…, step) to (p, states…).
LogicalResult StepBuilder::update() {
  SmallVector<Value> read; // states that rates depend on
  for (unsigned index = 0; index < rates.getNumArguments(); ++index)
    if (auto name = rates.getArgAttrOfType<StringAttr>(index, "kiln.state"))
      read.push_back(function.getArgument(argumentOf("kiln.state", name, rates.getArgumentTypes()[index],
                                                     {"kiln.input", "kiln.parameter", "kiln.state"})));
  mlir::FailureOr<SmallVector<Value>> rate = call(rates, read);
  if (mlir::failed(rate))
    return failure();
  for (Value value : *rate) // one that never changes is known from the recipe
    metrics.push_back(value.getDefiningOp<ConstantOp>() ? Value() : e.convertTo(value, builder.getF32Type()));
  if (mlir::failed(addStates()))
    return failure();
  for (Update &one : updates) {
    SmallVector<Value> parameters, gradients;
    for (unsigned member : one.members) {
      parameters.push_back(function.getArgument(trained[member].argument));
      gradients.push_back(trained[member].gradient);
    }
    SmallVector<Value> arguments = {one.asRow ? rowOf(e, parameters) : parameters[0],
                                    one.asRow ? rowOf(e, gradients) : gradients[0], (*rate)[one.rate]};
    llvm::append_range(arguments, one.stateValues);
    mlir::FailureOr<SmallVector<Value>> called = call(one.function, arguments, &one);
    if (mlir::failed(called))
      return failure();
    const SmallVector<Value> &results = *called;
    int64_t begin = 0;
    for (auto [member, parameter] : llvm::zip_equal(one.members, parameters)) {
      Value moved = results[0];
      if (one.asRow) {
        int64_t count = kiln::elementsOf(parameter);
        moved = partOfRow(e, moved, begin, count, parameter);
        begin += count;
      }
      newParameters[trained[member].name] = moved;
    }
    for (auto [name, value] : llvm::zip_equal(one.states, llvm::ArrayRef(results).drop_front()))
      newStates[name] = value;
  }
  return success();
}

/// The argument that has this name under this attribute, behind those of `before` where it is new.
unsigned StepBuilder::argumentOf(StringRef attribute, StringAttr name, mlir::Type type,
                                 llvm::ArrayRef<StringRef> before) {
  for (unsigned index = 0; index < function.getNumArguments(); ++index)
    if (function.getArgAttrOfType<StringAttr>(index, attribute) == name)
      return index;
  unsigned position = behind(before);
  function.insertArgument(position, type, builder.getDictionaryAttr(builder.getNamedAttr(attribute, name)),
                          function.getLoc());
  return position;
}

// What the recipe says of parameters and states behind an update: (parameters, states, seed, step) to new ones of them.
// It sees what the update has made.
LogicalResult StepBuilder::after() {
  if (!train.get("after"))
    return success();
  FuncOp called = calledAs(module, train.get("after"), "what comes after an update");
  if (!called)
    return failure();
  mlir::Operation *terminator = function.getBody().front().getTerminator();
  for (unsigned index = 0; index < function.getNumResults(); ++index)
    if (auto name = function.getResultAttrOfType<StringAttr>(index, "kiln.state"))
      newStates[name] = terminator->getOperand(index);
  SmallVector<Value> arguments;
  for (auto [index, type] : llvm::enumerate(called.getArgumentTypes())) {
    unsigned number = static_cast<unsigned>(index);
    auto parameter = called.getArgAttrOfType<StringAttr>(number, "kiln.parameter");
    auto state = called.getArgAttrOfType<StringAttr>(number, "kiln.state");
    Value value;
    if (parameter) {
      value = newParameters.lookup(parameter);
      if (!value)
        value = function.getArgument(argumentOf("kiln.parameter", parameter, type, {"kiln.input", "kiln.parameter"}));
    } else if (state) {
      value = newStates.lookup(state);
      if (!value)
        value =
            function.getArgument(argumentOf("kiln.state", state, type, {"kiln.input", "kiln.parameter", "kiln.state"}));
    } else if (!called.getArgAttr(number, "kiln.step")) {
      return called.emitError("reads what a step does not have behind its update");
    }
    arguments.push_back(value);
  }
  mlir::FailureOr<SmallVector<Value>> results = call(called, arguments);
  if (mlir::failed(results))
    return failure();
  for (auto [index, value] : llvm::enumerate(*results)) {
    unsigned number = static_cast<unsigned>(index);
    if (auto name = called.getResultAttrOfType<StringAttr>(number, "kiln.parameter"))
      newParameters[name] = value;
    else if (auto name = called.getResultAttrOfType<StringAttr>(number, "kiln.state"))
      newStates[name] = value;
  }
  return success();
}

/// The functions have done their work; what they are named by has, too.
void StepBuilder::eraseCalled() {
  llvm::SetVector<mlir::Operation *> called;
  called.insert(rates);
  if (train.get("after"))
    called.insert(calledAs(module, train.get("after"), "what comes after an update"));
  for (const Update &one : updates)
    called.insert(one.function);
  for (auto update : train.getAs<mlir::ArrayAttr>("updates").getAsRange<DictionaryAttr>())
    if (auto name = update.getAs<StringAttr>("function"))
      for (const char *suffix : {"", ".evaluate"})
        if (auto function = module.lookupSymbol<FuncOp>((name.getValue() + suffix).str()))
          called.insert(function);
  for (mlir::Operation *function : called)
    function->erase();
  mlir::NamedAttrList kept(train);
  kept.erase("rates");
  kept.erase("updates");
  kept.erase("after");
  setTrain(module, suffix, kept.getDictionary(module.getContext()));
}

// The results in the order of the contract: loss, metrics, new parameters, new states.
void StepBuilder::finish() {
  mlir::Operation *terminator = function.getBody().front().getTerminator();
  SmallVector<Value> results, states;
  SmallVector<DictionaryAttr> attributes, stateAttributes;
  auto copy = [&](unsigned index, SmallVector<Value> &values, SmallVector<DictionaryAttr> &dictionaries) {
    values.push_back(terminator->getOperand(index));
    dictionaries.push_back(function.getResultAttrDict(index));
  };
  if (made.lossResult < function.getNumResults()) // none of an update by gradients that are given
    copy(made.lossResult, results, attributes);
  for (unsigned index = 0; index < function.getNumResults(); ++index) {
    if (function.getResultAttr(index, "kiln.metric"))
      copy(index, results, attributes);
    if (auto name = function.getResultAttrOfType<StringAttr>(index, "kiln.state"); name && !newStates.contains(name))
      copy(index, states, stateAttributes);
  }
  auto addMetric = [&](Value value, const std::string &name) {
    for (DictionaryAttr attribute : attributes) // a recipe's own metric of this name is meant
      if (attribute.getAs<StringAttr>("kiln.metric") == builder.getStringAttr(name))
        return;
    results.push_back(value);
    attributes.push_back(named("kiln.metric", builder.getStringAttr(name)));
  };
  if (gradientNorm)
    addMetric(gradientNorm, "grad_norm");
  for (auto [index, rate] : llvm::enumerate(metrics))
    if (rate)
      addMetric(rate, index == 0 ? "lr" : "lr." + std::to_string(index));
  for (auto &[name, value] : newParameters) {
    results.push_back(value);
    attributes.push_back(named("kiln.parameter", name));
  }
  llvm::append_range(results, states);
  llvm::append_range(attributes, stateAttributes);
  for (auto &[name, value] : newStates) {
    results.push_back(value);
    attributes.push_back(named("kiln.state", name));
  }
  setResults(function, results, attributes);
  if (auto compute = train.getAs<StringAttr>("compute"))
    function->setAttr("kiln.compute", compute);
}

void StepBuilder::declare() {
  eraseCalled();
  if (stateEntries.empty())
    return;
  SmallVector<mlir::Attribute> all;
  if (auto existing = module->getAttrOfType<mlir::ArrayAttr>("kiln.states"))
    llvm::append_range(all, existing);
  llvm::append_range(all, stateEntries);
  module->setAttr("kiln.states", builder.getArrayAttr(all));
}

LogicalResult StepBuilder::run() {
  if (mlir::failed(readUpdates()) || mlir::failed(clip()) || mlir::failed(update()) || mlir::failed(after()))
    return failure();
  finish();
  if (evaluation)
    evaluation->erase();
  return success();
}

/// @shard.gradients, its results set: its part of the loss, of each gradient, and of new states (`kiln.output`).
void finishShard(LossGradients &shard, DictionaryAttr train) {
  FuncOp function = shard.function;
  mlir::Builder builder(function.getContext());
  mlir::Operation *terminator = function.getBody().front().getTerminator();
  SmallVector<Value> results = {terminator->getOperand(shard.lossResult)};
  SmallVector<DictionaryAttr> attributes = {function.getResultAttrDict(shard.lossResult)};
  for (auto [index, gradient] : llvm::zip_equal(shard.parameters, shard.gradients)) {
    results.push_back(gradient);
    attributes.push_back(
        builder.getDictionaryAttr(builder.getNamedAttr("kiln.gradient", function.getArgAttr(index, "kiln.parameter"))));
  }
  for (unsigned index = 0; index < function.getNumResults(); ++index)
    if (function.getResultAttr(index, "kiln.output")) {
      results.push_back(terminator->getOperand(index));
      attributes.push_back(function.getResultAttrDict(index));
    }
  setResults(function, results, attributes);
  if (auto compute = train.getAs<StringAttr>("compute"))
    function->setAttr("kiln.compute", compute);
}

/// The states that a shard's results `HOW.NAME` (Shards.h) are parts of, as the whole step's loss gives them.
SmallVector<std::pair<StringAttr, mlir::Type>> newStatesOf(FuncOp shard, FuncOp loss) {
  SmallVector<std::pair<StringAttr, mlir::Type>> found;
  for (unsigned index = 0; index < shard.getNumResults(); ++index) {
    auto output = shard.getResultAttrOfType<StringAttr>(index, "kiln.output");
    for (unsigned i = 0; output && i < loss.getNumResults(); ++i)
      if (auto name = loss.getResultAttrOfType<StringAttr>(i, "kiln.state");
          name && name.getValue() == output.getValue().split('.').second)
        found.emplace_back(name, loss.getResultTypes()[i]);
  }
  return found;
}

/// @shard.update, as yet without a body: the gradients and new states as inputs, and the gradients' parameters.
LossGradients beginUpdate(mlir::ModuleOp module, const Stage &stage, LossGradients &shard, FuncOp loss) {
  mlir::OpBuilder builder = mlir::OpBuilder::atBlockEnd(module.getBody());
  mlir::Location location = shard.function.getLoc();
  auto function = builder.create<FuncOp>(location, "shard.update" + stage.suffix, builder.getFunctionType({}, {}));
  builder.setInsertionPointToEnd(function.addEntryBlock());
  builder.create<mlir::func::ReturnOp>(location);
  SmallVector<std::pair<StringAttr, mlir::Type>> states = newStatesOf(shard.function, loss);
  LossGradients made{function, ~0u, {}, {}};
  auto add = [&](mlir::Type type, StringRef role, const std::string &name) {
    unsigned number = function.getNumArguments();
    function.insertArgument(
        number, type, builder.getDictionaryAttr(builder.getNamedAttr(role, builder.getStringAttr(name))), location);
    return number;
  };
  SmallVector<Value> given;
  SmallVector<DictionaryAttr> attributes;
  auto nameOf = [&](unsigned index) {
    return shard.function.getArgAttrOfType<StringAttr>(index, "kiln.parameter").str();
  };
  for (auto [index, gradient] : llvm::zip_equal(shard.parameters, shard.gradients))
    add(gradient.getType(), "kiln.input", "gradient." + nameOf(index));
  for (auto [name, type] : states) {
    given.push_back(function.getArgument(add(type, "kiln.input", "state." + name.str())));
    attributes.push_back(builder.getDictionaryAttr(builder.getNamedAttr("kiln.state", name)));
  }
  for (unsigned index : shard.parameters)
    made.parameters.push_back(add(shard.function.getArgument(index).getType(), "kiln.parameter", nameOf(index)));
  setResults(function, given, attributes);
  for (size_t i = 0; i < shard.parameters.size(); ++i)
    made.gradients.push_back(function.getArgument(static_cast<unsigned>(i)));
  return made;
}

struct TrainStep : impl::TrainStepBase<TrainStep> {
  LogicalResult addStep(mlir::ModuleOp module, const Stage &stage) {
    auto name = stage.train.getAs<StringAttr>("loss");
    auto loss = name ? module.lookupSymbol<FuncOp>(name.getValue()) : FuncOp();
    if (!loss)
      return module.emitError("kiln.train names no loss function that exists");
    if (shardsOf(stage) > 0) {
      mlir::FailureOr<LossGradients> shard = createShard(module, stage);
      if (mlir::failed(shard))
        return failure();
      LossGradients update = beginUpdate(module, stage, *shard, loss);
      finishShard(*shard, stage.train);
      if (mlir::failed(StepBuilder(module, stage, loss, update).run()))
        return failure();
    }
    mlir::FailureOr<LossGradients> made = copyWithGradients(loss, "train_step" + stage.suffix);
    if (mlir::failed(made))
      return failure();
    StepBuilder step(module, stage, loss, *made);
    if (mlir::failed(step.run()))
      return failure();
    step.declare();
    return success();
  }

  void runOnOperation() override {
    for (const Stage &stage : stagesOf(getOperation()))
      if (mlir::failed(addStep(getOperation(), stage)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace kiln
