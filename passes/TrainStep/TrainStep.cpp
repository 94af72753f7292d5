// The recipe read, and @train_step built from it.

#include "passes/TrainStep/TrainStep.h"

#include "passes/Differentiate/Differentiate.h"
#include "passes/TrainStep/Optimizer.h"
#include "passes/TrainStep/Schedule.h"
#include "passes/support/Values.h"

#include <limits>

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

/// How one parameter is trained.
struct Trained {
  unsigned argument;
  StringAttr name;
  Value gradient;
  const Optimizer *optimizer;
  mlir::Attribute rate;
  double rateScale = 1, weightDecay = 0;
};

class StepBuilder {
public:
  StepBuilder(mlir::ModuleOp module, DictionaryAttr train, LossGradients made)
      : module(module), train(train), function(made.function), made(std::move(made)),
        builder(function.getBody().front().getTerminator()), e(builder, function.getLoc()) {}

  LogicalResult run();

private:
  LogicalResult readOptimizers();
  LogicalResult readGroups();
  Value normOfGradients();
  LogicalResult clip();
  Value findStep();
  LogicalResult update();
  void finish();
  Value addState(const Trained &trained, const OptimizerState &state);
  /// The place of an argument behind all that have one of these attributes.
  unsigned behind(llvm::ArrayRef<StringRef> attributes);

  mlir::ModuleOp module;
  DictionaryAttr train;
  FuncOp function;
  LossGradients made;
  mlir::OpBuilder builder;
  Emit e;
  SmallVector<std::unique_ptr<Optimizer>> optimizers;
  SmallVector<Trained> trained;
  Value gradientNorm;
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

// `optimizer = {…}` trains every trainable parameter; `optimizers = [{…, parameters = […]}, …]` each its own.
LogicalResult StepBuilder::readOptimizers() {
  SmallVector<DictionaryAttr> recipes;
  if (auto one = train.getAs<DictionaryAttr>("optimizer"))
    recipes.push_back(one);
  if (auto several = train.getAs<mlir::ArrayAttr>("optimizers"))
    for (mlir::Attribute recipe : several)
      recipes.push_back(llvm::cast<DictionaryAttr>(recipe));
  if (recipes.empty())
    return module.emitError("kiln.train names no optimizer");
  llvm::DenseSet<StringAttr> taken;
  for (DictionaryAttr recipe : recipes) {
    std::unique_ptr<Optimizer> optimizer = Optimizer::make(recipe, module);
    if (!optimizer)
      return failure();
    auto own = recipe.getAs<mlir::ArrayAttr>("parameters");
    for (auto [index, gradient] : llvm::zip_equal(made.parameters, made.gradients)) {
      auto name = function.getArgAttrOfType<StringAttr>(index, "kiln.parameter");
      if (own && !llvm::is_contained(own, name))
        continue;
      if (!taken.insert(name).second)
        return module.emitError("parameter ") << name << " is in two optimizers";
      trained.push_back({index, name, gradient, optimizer.get(), recipe.get("lr"), 1, optimizer->weightDecay()});
    }
    optimizers.push_back(std::move(optimizer));
  }
  return success();
}

LogicalResult StepBuilder::readGroups() {
  auto groups = train.getAs<mlir::ArrayAttr>("groups");
  if (!groups)
    return success();
  for (auto group : groups.getAsRange<DictionaryAttr>()) {
    auto names = group.getAs<mlir::ArrayAttr>("parameters");
    if (!names)
      return module.emitError("a group of kiln.train names no parameters");
    for (Trained &one : trained)
      if (llvm::is_contained(names, one.name)) {
        one.rateScale = numberOf(group, "lr_scale", one.rateScale);
        one.weightDecay = numberOf(group, "weight_decay", one.weightDecay);
      }
  }
  return success();
}

// The root of the sum of all gradients' squares. Squares leave a float's range long before the norm does: so they are
// summed three times, of the gradients as they are, made smaller and made larger by powers of two, and one of the sums
// is good. (Blue's algorithm, of LAPACK.) Those of one gradient stand together: one kernel reads it once for the three.
Value StepBuilder::normOfGradients() {
  bool wide = llvm::any_of(trained, [](const Trained &one) { return elementOf(one.gradient).isF64(); });
  mlir::Type element = wide ? builder.getF64Type() : builder.getF32Type();
  const double down = wide ? 0x1p-600 : 0x1p-80, up = 1 / down, tiny = wide ? 0x1p-700 : 0x1p-80;
  Value plain, small, large;
  auto addTo = [&](Value &total, Value gradient) {
    Value squares = e.reduceSum(e.mul(gradient, gradient), axesUpTo(rankOf(gradient)));
    total = total ? e.add(total, squares) : squares;
  };
  for (const Trained &one : trained) {
    Value gradient = e.convertTo(one.gradient, element);
    addTo(plain, gradient);
    addTo(small, e.mul(gradient, up));
    addTo(large, e.mul(gradient, down));
  }
  Value isLarge = e.compare(Predicate::eq, plain, std::numeric_limits<double>::infinity());
  Value isSmall = e.compare(Predicate::lt, plain, tiny);
  Value ofSmall = e.mul(e.sqrt(small), down), ofLarge = e.mul(e.sqrt(large), up);
  Value norm = e.select(isLarge, ofLarge, e.select(isSmall, ofSmall, e.sqrt(plain)));
  return e.convertTo(norm, elementOf(trained.front().gradient));
}

// torch.nn.utils.clip_grad_norm_ and clip_grad_value_.
LogicalResult StepBuilder::clip() {
  auto clipping = train.getAs<DictionaryAttr>("clip");
  if (!clipping || trained.empty())
    return success();
  auto kind = clipping.getAs<StringAttr>("kind");
  double limit = numberOf(clipping, "value", 0);
  if (kind && kind == "value") {
    for (Trained &one : trained)
      one.gradient = e.min(e.max(one.gradient, e.splatLike(one.gradient, -limit)), e.splatLike(one.gradient, limit));
    return success();
  }
  if (!kind || kind != "norm")
    return module.emitError("kiln.train clips by neither norm nor value");
  gradientNorm = normOfGradients();
  Value factor = e.div(e.splatLike(gradientNorm, limit), e.add(gradientNorm, 1e-6));
  factor = e.min(factor, e.splatLike(factor, 1));
  for (Trained &one : trained) {
    Value own = e.convertTo(factor, elementOf(one.gradient));
    one.gradient = e.mul(one.gradient, e.broadcastScalar(own, dimsOf(one.gradient)));
  }
  return success();
}

Value StepBuilder::findStep() {
  for (unsigned index = 0; index < function.getNumArguments(); ++index)
    if (function.getArgAttr(index, "kiln.step"))
      return function.getArgument(index);
  unsigned last = function.getNumArguments();
  function.insertArgument(last, tensorType({}, builder.getI32Type()),
                          builder.getDictionaryAttr(builder.getNamedAttr("kiln.step", builder.getUnitAttr())),
                          function.getLoc());
  return function.getArgument(last);
}

Value StepBuilder::addState(const Trained &one, const OptimizerState &state) {
  auto type = function.getArgument(one.argument).getType();
  StringAttr name = builder.getStringAttr("optimizer." + state.name + "." + one.name.getValue());
  unsigned position = behind({"kiln.input", "kiln.parameter", "kiln.state"});
  function.insertArgument(position, type, builder.getDictionaryAttr(builder.getNamedAttr("kiln.state", name)),
                          function.getLoc());
  DictionaryAttr init =
      state.initial == 0
          ? builder.getDictionaryAttr(builder.getNamedAttr("kind", builder.getStringAttr("zeros")))
          : builder.getDictionaryAttr({builder.getNamedAttr("kind", builder.getStringAttr("constant")),
                                       builder.getNamedAttr("value", builder.getF64FloatAttr(state.initial))});
  stateEntries.push_back(builder.getDictionaryAttr(
      {builder.getNamedAttr("name", name), builder.getNamedAttr("type", mlir::TypeAttr::get(type)),
       builder.getNamedAttr("kind", builder.getStringAttr("optimizer")), builder.getNamedAttr("init", init)}));
  return function.getArgument(position);
}

LogicalResult StepBuilder::update() {
  Value step = e.convertTo(findStep(), builder.getF64Type());
  llvm::DenseMap<mlir::Attribute, Value> rates; // one schedule is computed once
  for (const Trained &one : trained) {
    Value &rate = rates[one.rate];
    if (!rate)
      rate = learningRate(e, one.rate, step, module);
    if (!rate)
      return failure();
    UpdateInputs inputs{function.getArgument(one.argument),
                        one.gradient,
                        {},
                        one.rateScale == 1 ? rate : e.mul(rate, one.rateScale),
                        step,
                        one.weightDecay};
    SmallVector<OptimizerState> states = one.optimizer->states();
    for (const OptimizerState &state : states)
      inputs.states.push_back(addState(one, state));
    UpdateResult result = one.optimizer->update(e, inputs);
    newParameters[one.name] = result.parameter;
    for (auto [state, value] : llvm::zip_equal(states, result.states))
      newStates[builder.getStringAttr("optimizer." + state.name + "." + one.name.getValue())] = value;
  }
  return success();
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
  copy(made.lossResult, results, attributes);
  for (unsigned index = 0; index < function.getNumResults(); ++index) {
    if (function.getResultAttr(index, "kiln.metric"))
      copy(index, results, attributes);
    if (function.getResultAttr(index, "kiln.state"))
      copy(index, states, stateAttributes);
  }
  auto named = [&](StringRef key, StringAttr name) {
    return builder.getDictionaryAttr(builder.getNamedAttr(key, name));
  };
  if (gradientNorm) {
    results.push_back(gradientNorm);
    attributes.push_back(named("kiln.metric", builder.getStringAttr("grad_norm")));
  }
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
  if (stateEntries.empty())
    return;
  SmallVector<mlir::Attribute> all;
  if (auto existing = module->getAttrOfType<mlir::ArrayAttr>("kiln.states"))
    llvm::append_range(all, existing);
  llvm::append_range(all, stateEntries);
  module->setAttr("kiln.states", builder.getArrayAttr(all));
}

LogicalResult StepBuilder::run() {
  if (mlir::failed(readOptimizers()) || mlir::failed(readGroups()) || mlir::failed(clip()) || mlir::failed(update()))
    return failure();
  finish();
  return success();
}

struct TrainStep : impl::TrainStepBase<TrainStep> {
  void runOnOperation() override {
    mlir::ModuleOp module = getOperation();
    auto train = module->getAttrOfType<DictionaryAttr>("kiln.train");
    if (!train)
      return;
    auto name = train.getAs<StringAttr>("loss");
    auto loss = name ? module.lookupSymbol<FuncOp>(name.getValue()) : FuncOp();
    if (!loss) {
      module.emitError("kiln.train names no loss function that exists");
      return signalPassFailure();
    }
    mlir::FailureOr<LossGradients> made = copyWithGradients(loss, "train_step");
    if (mlir::failed(made) || mlir::failed(StepBuilder(module, train, *made).run()))
      signalPassFailure();
  }
};

} // namespace
} // namespace kiln
