#include "tests/fuzz/RandomGraph.h"

#include "tests/fuzz/Generator.h"

#include <algorithm>
#include <numeric>

namespace kiln::test {

mlir::Value Generator::ofType(mlir::Type type) {
  std::vector<mlir::Value> found;
  for (mlir::Value value : values_)
    if (value.getType() == type)
      found.push_back(value);
  return found[static_cast<size_t>(below(static_cast<int64_t>(found.size())))];
}

int64_t Generator::sizeOf(llvm::ArrayRef<Dim> dims) const {
  int64_t size = 1;
  for (const Dim &dim : dims)
    size *= dim.evaluate(symbols_).value_or(1);
  return size;
}

void Generator::keep(mlir::Value value) {
  if (sizeOf(dimsOf(value)) <= 20000)
    values_.push_back(value);
}

HostTensor randomTensor(mlir::RankedTensorType type, const std::map<std::string, int64_t> &symbols, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int64_t> shape;
  for (const Dim &dim : dimsOf(type))
    shape.push_back(dim.evaluate(symbols).value_or(1));
  HostTensor tensor = HostTensor::zeros(type.getElementType(), shape);
  std::uniform_real_distribution<double> uniform(-1.5, 1.5);
  for (double &value : tensor.floats)
    value = uniform(random);
  tensor.roundToElement();
  for (int64_t &value : tensor.integers)
    value = static_cast<int64_t>(random() % 3);
  return tensor;
}

std::string argumentName(mlir::func::FuncOp function, unsigned index) {
  for (const char *kind : {"kiln.parameter", "kiln.input", "kiln.state"})
    if (auto name = function.getArgAttrOfType<mlir::StringAttr>(index, kind))
      return name.str();
  return "";
}

/// The numbers of blocks, or the order in which a matrix's columns lie.
static void drawBlocks(HostTensor &tensor, uint64_t seed) {
  std::mt19937_64 random(seed);
  if (tensor.element.isInteger(32)) {
    std::iota(tensor.integers.begin(), tensor.integers.end(), 0);
    std::shuffle(tensor.integers.begin(), tensor.integers.end(), random);
    return;
  }
  int64_t least = tensor.element.isUnsignedInteger() ? 0 : -128;
  for (int64_t &value : tensor.integers)
    value = least + static_cast<int64_t>(random() % 256);
}

std::map<std::string, HostTensor> randomArguments(mlir::func::FuncOp function,
                                                  const std::map<std::string, int64_t> &symbols, uint64_t seed) {
  std::map<std::string, HostTensor> arguments;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    std::string name = argumentName(function, i);
    // By its name: the others keep their values where one of them goes.
    uint64_t own = seed * 1000003 + std::hash<std::string>()(name);
    HostTensor &tensor = arguments[name] =
        randomTensor(llvm::cast<mlir::RankedTensorType>(function.getArgument(i).getType()), symbols, own);
    if (function.getArgAttr(i, "kiln.parameter") && !tensor.isFloat())
      drawBlocks(tensor, own);
  }
  return arguments;
}

void Generator::chooseSymbols() {
  static constexpr int64_t bound = 40;
  static const int64_t values[] = {1, 1, 2, 3, 7, 16, 17, 33, 39, bound, bound};
  if (!options_.symbolic)
    return;
  bounds_["N"] = bound;
  symbols_["N"] = values[options_.gradients ? 2 + below(9) : below(11)];
  if (!options_.twoSymbols)
    return;
  bounds_["M"] = 12;
  symbols_ = bounds_; // the graph is as large as it gets
}

llvm::SmallVector<mlir::Type> Generator::inputTypes() {
  mlir::Type element = builder_.getF32Type();
  if (options_.everything)
    switch (below(options_.gradients ? 8 : 12)) {
    case 0:
      element = builder_.getF64Type();
      break;
    case 8:
      element = builder_.getBF16Type();
      break;
    case 9:
      element = builder_.getF16Type();
      break;
    default:
      break;
    }
  Dim first = options_.symbolic ? Dim::symbol("N") : Dim(extent());
  Dim second = options_.twoSymbols ? Dim::symbol("M") : Dim(extent()), third(extent() + 2);
  if (options_.twoSymbols && below(2))
    third = second;
  llvm::SmallVector<mlir::Type> inputs = {tensorType({first, second}, element), tensorType({third, first}, element),
                                          tensorType({Dim(extent())}, element),
                                          tensorType({Dim(5)}, builder_.getI32Type())};
  if (options_.everything && !options_.gradients && below(2))
    inputs.push_back(tensorType({Dim(3 + below(6)), Dim(extent())}, element));
  return inputs;
}

bool Generator::isParameter(mlir::Type type) const {
  auto tensor = llvm::cast<mlir::RankedTensorType>(type);
  return options_.gradients && tensor.hasStaticShape() && llvm::isa<mlir::FloatType>(tensor.getElementType());
}

void Generator::addArguments(mlir::func::FuncOp function, RandomGraph &graph) {
  mlir::Block *block = function.addEntryBlock();
  builder_.setInsertionPointToStart(block);
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    mlir::Value argument = function.getArgument(i);
    bool labels = i == 3, state = i == 4;
    // With a dimension that varies it is an input: parameters have none.
    bool parameter = isParameter(argument.getType());
    std::string name = (state ? "s" : parameter ? "p" : "x") + std::to_string(i);
    function.setArgAttr(i,
                        state       ? "kiln.state"
                        : parameter ? "kiln.parameter"
                                    : "kiln.input",
                        builder_.getStringAttr(name));
    if (state)
      state_ = argument;
    if (parameter)
      parameters_.emplace_back(name, argument.getType());
    (labels ? labels_ : values_.emplace_back()) = argument;
  }
  integers_ = {labels_};
  arguments_ = values_.size();
  graph.argumentSeed = random_() >> 1;
  graph.arguments = randomArguments(function, symbols_, graph.argumentSeed);
}

llvm::SmallVector<mlir::Value> Generator::chooseResults() {
  llvm::SmallVector<mlir::Value> results;
  for (size_t i = values_.size(); i-- > arguments_ && results.size() < 3;)
    results.push_back(values_[i]);
  if (results.empty())
    results.push_back(emit_.tanh(values_[0]));
  if (!options_.everything || options_.gradients)
    return results;
  // Others may be anything: an argument as it is, the same value again, something from the middle, integers.
  for (int64_t more = below(3); more > 0; --more)
    results.push_back(pick());
  if (integers_.size() > 1 && below(2))
    results.push_back(integers_.back());
  return results;
}

mlir::Value Generator::lossOf(llvm::ArrayRef<mlir::Value> results) {
  mlir::Value loss;
  for (mlir::Value value : results) {
    mlir::Value mean = emit_.meanOver(emit_.op<SinOp>(value), llvm::to_vector(llvm::seq<int64_t>(0, rank(value))));
    loss = loss ? emit_.add(loss, mean) : mean;
  }
  return loss;
}

/// SGD for each parameter, as functions: p - lr * gradient.
mlir::Attribute Generator::addUpdates(mlir::ModuleOp module) {
  mlir::OpBuilder::InsertionGuard guard(builder_);
  mlir::Type rate = tensorType({}, builder_.getF64Type());
  auto begin = [&](const std::string &name, llvm::ArrayRef<mlir::Type> arguments, mlir::Type result) {
    builder_.setInsertionPointToEnd(module.getBody());
    auto function = builder_.create<mlir::func::FuncOp>(builder_.getUnknownLoc(), name,
                                                        builder_.getFunctionType(arguments, result));
    function.setPrivate();
    builder_.setInsertionPointToStart(function.addEntryBlock());
    return function;
  };
  begin("optimizer.rates", {}, rate);
  builder_.create<mlir::func::ReturnOp>(builder_.getUnknownLoc(), emit_.splat(rate, 0.1));
  llvm::SmallVector<mlir::Attribute> updates;
  for (const auto &[parameter, type] : parameters_) {
    if (frozenParameters_.contains(parameter))
      continue;
    std::string name = "optimizer.update." + parameter.substr(1);
    mlir::func::FuncOp update = begin(name, {type, type, rate}, type);
    mlir::Value p = update.getArgument(0);
    mlir::Value lr = emit_.broadcastScalar(emit_.convertTo(update.getArgument(2), elementOf(p)), dimsOf(p));
    builder_.create<mlir::func::ReturnOp>(builder_.getUnknownLoc(), emit_.sub(p, emit_.mul(lr, update.getArgument(1))));
    updates.push_back(builder_.getDictionaryAttr({builder_.getNamedAttr("parameter", builder_.getStringAttr(parameter)),
                                                  builder_.getNamedAttr("function", builder_.getStringAttr(name)),
                                                  builder_.getNamedAttr("rate", builder_.getI64IntegerAttr(0))}));
  }
  return builder_.getArrayAttr(updates);
}

void Generator::addRecipe(mlir::ModuleOp module, llvm::ArrayRef<mlir::Type> inputs) {
  mlir::Builder &b = builder_;
  auto named = [&](const char *name, mlir::Attribute value) { return b.getNamedAttr(name, value); };
  mlir::Attribute zeros = b.getDictionaryAttr(named("kind", b.getStringAttr("zeros")));
  llvm::SmallVector<mlir::Attribute> parameters, states;
  for (const auto &[name, type] : parameters_)
    parameters.push_back(b.getDictionaryAttr(
        {named("name", b.getStringAttr(name)), named("type", mlir::TypeAttr::get(type)),
         named("trainable", b.getBoolAttr(!frozenParameters_.contains(name))), named("init", zeros)}));
  if (state_)
    states.push_back(
        b.getDictionaryAttr({named("name", b.getStringAttr("s4")), named("type", mlir::TypeAttr::get(inputs[4])),
                             named("kind", b.getStringAttr("persistent")), named("init", zeros)}));
  if (options_.gradients)
    module->setAttr("kiln.train", b.getDictionaryAttr({named("loss", b.getStringAttr("loss.train")),
                                                       named("rates", b.getStringAttr("optimizer.rates")),
                                                       named("updates", addUpdates(module)),
                                                       named("steps", b.getI64IntegerAttr(1))}));
  module->setAttr("kiln.parameters", b.getArrayAttr(parameters));
  module->setAttr("kiln.states", b.getArrayAttr(states));
}

void Generator::finish(mlir::func::FuncOp function, llvm::ArrayRef<mlir::Value> outputs) {
  llvm::SmallVector<mlir::Value> results(outputs.begin(), outputs.end());
  mlir::Value next;
  if (options_.gradients)
    results = {lossOf(results)};
  else if (state_) { // updated in place, as a cache is
    llvm::SmallVector<Dim> dims = dimsOf(state_);
    mlir::Value old = below(2) ? emit_.tanh(state_) : state_;
    mlir::Value row = emit_.sliceAxis(emit_.mul(state_, 0.5), 0, Dim(below(*dims[0].constant())), Dim(1));
    mlir::Value zero = emit_.splatInt(tensorType({}, builder_.getI32Type()), 0);
    next = emit_.create<DynamicUpdateSliceOp>(state_.getType(), old, row, mlir::ValueRange{label(), zero});
    results.push_back(next);
  }
  builder_.create<mlir::func::ReturnOp>(builder_.getUnknownLoc(), results);
  function.setType(builder_.getFunctionType(function.getArgumentTypes(), mlir::ValueRange(results).getTypes()));
  for (unsigned i = 0; i < results.size(); ++i)
    if (options_.gradients)
      function.setResultAttr(i, "kiln.loss", builder_.getUnitAttr());
    else if (next && i + 1 == results.size())
      function.setResultAttr(i, "kiln.state", builder_.getStringAttr("s4"));
    else
      function.setResultAttr(i, "kiln.output", builder_.getStringAttr(std::to_string(i)));
  llvm::SmallVector<mlir::NamedAttribute> bounds;
  for (const auto &[name, bound] : bounds_)
    bounds.push_back(builder_.getNamedAttr(name, builder_.getI64IntegerAttr(bound)));
  if (!bounds.empty())
    function->setAttr("kiln.bounds", builder_.getDictionaryAttr(bounds));
}

/// Other extents for the same program: few, of which slices leave none, and some.
std::vector<std::map<std::string, int64_t>> Generator::furtherExtents() {
  std::vector<std::map<std::string, int64_t>> further;
  if (!options_.twoSymbols)
    return further;
  for (int64_t runs = 2; runs > 0; --runs) {
    auto &extents = further.emplace_back();
    for (const auto &[name, bound] : bounds_) {
      int64_t few = oneOf({1, 1, 1, 2, 3, 8});
      extents[name] = std::max(least_, below(2) ? few : 1 + below(bound));
    }
  }
  return further;
}

RandomGraph Generator::run() {
  RandomGraph graph;
  graph.module = mlir::ModuleOp::create(builder_.getUnknownLoc(), "Random");
  chooseSymbols();
  llvm::SmallVector<mlir::Type> inputs = inputTypes();
  builder_.setInsertionPointToEnd(graph.module->getBody());
  auto function = builder_.create<mlir::func::FuncOp>(builder_.getUnknownLoc(), options_.gradients ? "loss.train" : "f",
                                                      builder_.getFunctionType(inputs, {}));
  function_ = function;
  addArguments(function, graph);
  for (int i = 0; i < options_.ops; ++i)
    step();
  finish(function, chooseResults());
  addRecipe(*graph.module, inputs);
  graph.symbols = symbols_;
  graph.further = furtherExtents();
  return graph;
}

RandomGraph randomGraph(mlir::MLIRContext &context, uint64_t seed, const RandomGraphOptions &options) {
  return Generator(context, seed, options).run();
}

} // namespace kiln::test
