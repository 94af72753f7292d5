#include "tests/fuzz/RandomGraph.h"

#include "ir/Build.h"

#include <functional>
#include <random>

namespace kiln::test {

namespace {

class Generator {
public:
  Generator(mlir::MLIRContext &context, uint64_t seed, const RandomGraphOptions &options)
      : options_(options), random_(seed), builder_(&context), emit_(builder_, builder_.getUnknownLoc()) {}

  RandomGraph run();

private:
  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  /// Extents around and beyond a vector's width; primes and one.
  int64_t extent() {
    static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 24, 33};
    return sizes[below(12)];
  }
  mlir::Value pick() { return values_[static_cast<size_t>(below(static_cast<int64_t>(values_.size())))]; }
  int64_t rank(mlir::Value value) { return llvm::cast<mlir::RankedTensorType>(value.getType()).getRank(); }
  mlir::Value ofType(mlir::Type type);
  void keep(mlir::Value value);
  void addArguments(mlir::func::FuncOp function, RandomGraph &graph);
  HostTensor fill(mlir::RankedTensorType type, int64_t limit);
  void step();
  void unary(mlir::Value x);
  void binary(mlir::Value x);
  void reduce(mlir::Value x);
  void layout(mlir::Value x);
  void product(mlir::Value x);
  void row(mlir::Value x);
  void index(mlir::Value x);

  RandomGraphOptions options_;
  std::mt19937_64 random_;
  mlir::OpBuilder builder_;
  Emit emit_;
  std::vector<mlir::Value> values_;
  mlir::Value labels_; // i32, in [0, 3)
  std::map<std::string, int64_t> symbols_;
};

mlir::Value Generator::ofType(mlir::Type type) {
  std::vector<mlir::Value> found;
  for (mlir::Value value : values_)
    if (value.getType() == type)
      found.push_back(value);
  return found[static_cast<size_t>(below(static_cast<int64_t>(found.size())))];
}

void Generator::keep(mlir::Value value) {
  int64_t size = 1;
  for (const Dim &dim : dimsOf(value))
    size *= dim.evaluate(symbols_).value_or(1);
  if (size <= 20000)
    values_.push_back(value);
}

HostTensor Generator::fill(mlir::RankedTensorType type, int64_t limit) {
  std::vector<int64_t> shape;
  for (const Dim &dim : dimsOf(type))
    shape.push_back(*dim.evaluate(symbols_));
  HostTensor tensor = HostTensor::zeros(type.getElementType(), shape);
  std::uniform_real_distribution<double> uniform(-1.5, 1.5);
  for (double &value : tensor.floats)
    value = static_cast<float>(uniform(random_));
  for (int64_t &value : tensor.integers)
    value = below(limit);
  return tensor;
}

void Generator::addArguments(mlir::func::FuncOp function, RandomGraph &graph) {
  mlir::Block *block = function.addEntryBlock();
  builder_.setInsertionPointToStart(block);
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto type = llvm::cast<mlir::RankedTensorType>(function.getArgument(i).getType());
    bool labels = type.getElementType().isInteger(32);
    bool parameter = options_.gradients && !labels;
    std::string name = (parameter ? "p" : "x") + std::to_string(i);
    function.setArgAttr(i, parameter ? "kiln.parameter" : "kiln.input", builder_.getStringAttr(name));
    graph.arguments[name] = fill(type, 3);
    (labels ? labels_ : values_.emplace_back()) = function.getArgument(i);
  }
}

void Generator::unary(mlir::Value x) {
  switch (below(options_.gradients ? 9 : 14)) {
  case 0:
    return keep(emit_.tanh(x));
  case 1:
    return keep(emit_.sigmoid(x));
  case 2:
    return keep(emit_.exp(emit_.tanh(x)));
  case 3:
    return keep(emit_.log(emit_.add(emit_.mul(x, x), 1.0)));
  case 4:
    return keep(emit_.sqrt(emit_.add(emit_.mul(x, x), 0.5)));
  case 5:
    return keep(emit_.create<GeluOp>(x.getType(), x, builder_.getBoolAttr(below(2))));
  case 6:
    return keep(emit_.op<SiluOp>(x));
  case 7:
    return keep(emit_.op<ErfOp>(x));
  case 8:
    return keep(emit_.op<SinOp>(x));
  case 9:
    return keep(emit_.op<AbsOp>(x));
  case 10:
    return keep(emit_.op<ReluOp>(x));
  case 11:
    return keep(emit_.select(emit_.compare(Predicate::gt, x, 0.25), emit_.neg(x), emit_.mul(x, 0.5)));
  case 12:
    return keep(emit_.op<SoftplusOp>(x));
  default:
    return keep(emit_.op<Log1pOp>(emit_.op<AbsOp>(x)));
  }
}

void Generator::binary(mlir::Value x) {
  mlir::Value y = ofType(x.getType());
  switch (below(options_.gradients ? 4 : 6)) {
  case 0:
    return keep(emit_.add(x, y));
  case 1:
    return keep(emit_.sub(x, y));
  case 2:
    return keep(emit_.tanh(emit_.mul(x, y)));
  case 3:
    return keep(emit_.div(x, emit_.add(emit_.mul(y, y), 1.0)));
  case 4:
    return keep(emit_.max(x, y));
  default:
    return keep(emit_.min(x, y));
  }
}

void Generator::reduce(mlir::Value x) {
  if (rank(x) == 0)
    return;
  llvm::SmallVector<int64_t> axes;
  for (int64_t axis = 0; axis < rank(x); ++axis)
    if (below(2) || (axis == rank(x) - 1 && axes.empty()))
      axes.push_back(axis);
  mlir::Value reduced = below(3) || options_.gradients ? emit_.meanOver(x, axes) : emit_.reduceMax(x, axes);
  keep(reduced);
  if (below(2))
    keep(emit_.sub(x, emit_.broadcastBack(reduced, axes, dimsOf(x))));
}

void Generator::layout(mlir::Value x) {
  llvm::SmallVector<Dim> dims = dimsOf(x);
  int64_t n = rank(x);
  if (n == 0)
    return keep(emit_.broadcastScalar(x, {Dim(extent())}));
  int64_t axis = below(n);
  llvm::SmallVector<int64_t> order(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    order[static_cast<size_t>(i)] = i;
  switch (below(7)) {
  case 0:
    std::shuffle(order.begin(), order.end(), random_);
    return keep(emit_.transposed(x, order));
  case 1: { // all axes from `axis` on become one
    Dim product(1);
    for (int64_t i = axis; i < n; ++i)
      product = product * dims[static_cast<size_t>(i)];
    dims.resize(static_cast<size_t>(axis));
    dims.push_back(product);
    return keep(emit_.reshapeTo(x, dims));
  }
  case 2: {
    if (n >= 4)
      return;
    dims.insert(dims.begin() + axis, Dim(below(4) + 1));
    for (int64_t i = 0; i < n; ++i)
      order[static_cast<size_t>(i)] = i < axis ? i : i + 1;
    return keep(emit_.broadcastTo(x, order, dims));
  }
  case 3: {
    std::optional<int64_t> size = dims[static_cast<size_t>(axis)].constant();
    if (!size || *size < 2)
      return;
    int64_t start = below(*size);
    return keep(emit_.sliceAxis(x, axis, Dim(start), Dim(1 + below(*size - start))));
  }
  case 4: {
    llvm::SmallVector<Dim> low(dims.size(), Dim(0)), high(dims.size(), Dim(0));
    low[static_cast<size_t>(axis)] = Dim(below(3));
    high[static_cast<size_t>(axis)] = Dim(below(3));
    return keep(emit_.pad(x, emit_.scalar(builder_.getF32Type(), 0.5), low, high));
  }
  case 5:
    return keep(emit_.concat({x, ofType(x.getType()), x}, axis));
  default:
    return keep(emit_.create<ReverseOp>(x.getType(), x, llvm::ArrayRef<int64_t>{axis}));
  }
}

void Generator::product(mlir::Value x) {
  if (rank(x) == 0)
    return;
  // The other side: a value's own transposition-like partner, made by broadcasting a vector of x's last dimension.
  Dim inner = dimsOf(x).back();
  mlir::Value y = emit_.broadcastTo(emit_.iota({inner}, 0, builder_.getF32Type()), {below(2)}, {inner, inner});
  y = emit_.op<SinOp>(emit_.mul(y, 0.37));
  DotAxes axes;
  axes.lhsContract = {rank(x) - 1};
  axes.rhsContract = {below(2)};
  keep(emit_.tanh(emit_.dot(x, y, axes)));
  if (rank(x) >= 2 && below(2)) { // x xᵀ over a batch of all leading axes but one
    DotAxes gram;
    for (int64_t i = 0; i + 2 < rank(x); ++i) {
      gram.lhsBatch.push_back(i);
      gram.rhsBatch.push_back(i);
    }
    gram.lhsContract = gram.rhsContract = {rank(x) - 1};
    keep(emit_.tanh(emit_.dot(x, x, gram)));
  }
}

void Generator::row(mlir::Value x) {
  if (rank(x) == 0)
    return;
  auto last = builder_.getI64IntegerAttr(rank(x) - 1);
  switch (below(3)) {
  case 0:
    return keep(emit_.create<SoftmaxOp>(x.getType(), x, last));
  case 1:
    return keep(emit_.create<LogSoftmaxOp>(x.getType(), x, last));
  default:
    return keep(
        emit_.create<LayerNormOp>(x.getType(), x, mlir::Value(), mlir::Value(), builder_.getF64FloatAttr(1e-2)));
  }
}

void Generator::index(mlir::Value x) {
  // Three or more along axis 0, so that every label is in range.
  if (rank(x) == 0)
    return;
  std::optional<int64_t> size = dimsOf(x)[0].constant();
  if (size && *size >= 3)
    return keep(emit_.gather(x, labels_, 0));
  keep(emit_.create<CumSumOp>(x.getType(), x, builder_.getI64IntegerAttr(rank(x) - 1), builder_.getBoolAttr(below(2)),
                              builder_.getBoolAttr(below(2))));
}

void Generator::step() {
  mlir::Value x = pick();
  switch (below(10)) {
  case 0:
  case 1:
    return unary(x);
  case 2:
  case 3:
    return binary(x);
  case 4:
    return reduce(x);
  case 5:
  case 6:
    return layout(x);
  case 7:
    return product(x);
  case 8:
    return row(x);
  default:
    return index(x);
  }
}

RandomGraph Generator::run() {
  RandomGraph graph;
  graph.module = mlir::ModuleOp::create(builder_.getUnknownLoc(), "Random");
  mlir::Type f32 = builder_.getF32Type();
  if (options_.symbolic)
    symbols_["N"] = extent();
  Dim first = options_.symbolic ? Dim::symbol("N") : Dim(extent());
  llvm::SmallVector<mlir::Type> inputs = {tensorType({first, Dim(extent())}, f32),
                                          tensorType({Dim(extent() + 2), first}, f32), tensorType({Dim(extent())}, f32),
                                          tensorType({Dim(5)}, builder_.getI32Type())};
  builder_.setInsertionPointToEnd(graph.module->getBody());
  auto function = builder_.create<mlir::func::FuncOp>(builder_.getUnknownLoc(), options_.gradients ? "loss.train" : "f",
                                                      builder_.getFunctionType(inputs, {}));
  addArguments(function, graph);
  for (int i = 0; i < options_.ops; ++i)
    step();

  llvm::SmallVector<mlir::Value> results;
  size_t arguments = 3;
  for (size_t i = values_.size(); i-- > arguments && results.size() < 3;)
    results.push_back(values_[i]);
  if (results.empty())
    results.push_back(emit_.tanh(values_[0]));
  if (options_.gradients) {
    mlir::Value loss;
    for (mlir::Value value : results) {
      llvm::SmallVector<int64_t> axes;
      for (int64_t i = 0; i < rank(value); ++i)
        axes.push_back(i);
      mlir::Value mean = emit_.meanOver(emit_.op<SinOp>(value), axes);
      loss = loss ? emit_.add(loss, mean) : mean;
    }
    results = {loss};
  }
  builder_.create<mlir::func::ReturnOp>(builder_.getUnknownLoc(), results);
  function.setType(builder_.getFunctionType(inputs, mlir::ValueRange(results).getTypes()));
  for (unsigned i = 0; i < results.size(); ++i)
    function.setResultAttr(i, options_.gradients ? "kiln.loss" : "kiln.output",
                           options_.gradients ? mlir::Attribute(builder_.getUnitAttr())
                                              : builder_.getStringAttr(std::to_string(i)));
  if (options_.symbolic)
    function->setAttr("kiln.bounds",
                      builder_.getDictionaryAttr(builder_.getNamedAttr("N", builder_.getI64IntegerAttr(40))));

  llvm::SmallVector<mlir::Attribute> parameters;
  if (options_.gradients) {
    for (unsigned i = 0; i < 3; ++i)
      parameters.push_back(builder_.getDictionaryAttr(
          {builder_.getNamedAttr("name", builder_.getStringAttr("p" + std::to_string(i))),
           builder_.getNamedAttr("type", mlir::TypeAttr::get(inputs[i])),
           builder_.getNamedAttr("trainable", builder_.getBoolAttr(true)),
           builder_.getNamedAttr(
               "init", builder_.getDictionaryAttr(builder_.getNamedAttr("kind", builder_.getStringAttr("zeros"))))}));
    mlir::Attribute rate =
        builder_.getDictionaryAttr({builder_.getNamedAttr("kind", builder_.getStringAttr("constant")),
                                    builder_.getNamedAttr("base", builder_.getF64FloatAttr(0.1))});
    mlir::Attribute sgd = builder_.getDictionaryAttr(
        {builder_.getNamedAttr("kind", builder_.getStringAttr("sgd")), builder_.getNamedAttr("lr", rate)});
    graph.module->getOperation()->setAttr(
        "kiln.train", builder_.getDictionaryAttr({builder_.getNamedAttr("loss", builder_.getStringAttr("loss.train")),
                                                  builder_.getNamedAttr("optimizer", sgd),
                                                  builder_.getNamedAttr("steps", builder_.getI64IntegerAttr(1))}));
  }
  graph.module->getOperation()->setAttr("kiln.parameters", builder_.getArrayAttr(parameters));
  graph.module->getOperation()->setAttr("kiln.states", builder_.getArrayAttr({}));
  return graph;
}

} // namespace

RandomGraph randomGraph(mlir::MLIRContext &context, uint64_t seed, const RandomGraphOptions &options) {
  return Generator(context, seed, options).run();
}

} // namespace kiln::test
