// The walk over a function's ops, and its table of kernels.

#include "ir/interpreter/Interpreter.h"

#include "ir/Bounds.h"
#include "ir/Classes.h"
#include "ir/Infer.h"
#include "ir/interpreter/Kernels.h"
#include "ir/interpreter/Walk.h"

#include "absl/strings/str_cat.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>
#include <random>

namespace kiln {

namespace interpreter {

using absl::Status;
using absl::StatusOr;
using mlir::Operation;
using mlir::Value;
using Tensor = std::shared_ptr<const HostTensor>;
using Tensors = std::vector<Tensor>;
using Symbols = std::map<std::string, int64_t>;

static std::string textOf(mlir::Location location) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  location.print(stream);
  return llvm::StringRef(text).starts_with("loc(") ? text.substr(4, text.size() - 5) : text;
}

Status failure(Operation *op, const std::string &message) {
  return absl::InvalidArgumentError(
      absl::StrCat(op->getName().getStringRef().str(), " at ", textOf(op->getLoc()), ": ", message));
}

void Call::record(DataError::Kind kind, int64_t value, int64_t limit) {
  if (!error)
    error = DataError{kind, op->getName().stripDialect().str(), op->getLoc(), value, limit};
}

static StatusOr<int64_t> valueOf(Operation *op, const Dim &dim, const Symbols &symbols) {
  if (std::optional<int64_t> value = dim.evaluate(symbols))
    return *value;
  for (const std::string &name : dim.symbols())
    if (!symbols.contains(name))
      return failure(op, absl::StrCat("no argument's shape gives the symbol ", name, " of ", dim.str()));
  return failure(op, absl::StrCat("the value of ", dim.str(), " is out of range"));
}

StatusOr<std::vector<int64_t>> Call::values(DimsAttr dims) const {
  std::vector<int64_t> result;
  for (const Dim &dim : dims.dims()) {
    StatusOr<int64_t> value = valueOf(op, dim, symbols);
    if (!value.ok())
      return value.status();
    result.push_back(*value);
  }
  return result;
}

static const KernelTable &kernels() {
  static const KernelTable table = [] {
    KernelTable result;
    addElementwiseKernels(result);
    addLayoutKernels(result);
    addReduceKernels(result);
    addWindowKernels(result);
    addProductKernels(result);
    addIndexKernels(result);
    return result;
  }();
  return table;
}

namespace {

/// Runs blocks. Values live until their last use.
class Machine {
public:
  Machine(const InterpreterOptions &options, Symbols symbols) : options(options), symbols(std::move(symbols)) {}

  StatusOr<Tensors> runBlock(mlir::Block &block, const Tensors &arguments);
  StatusOr<Tensors> runOp(Operation *op, const Tensors &operands);
  /// Shapes of results of this type need not be computed.
  void assume(mlir::Type type, std::vector<int64_t> shape) { shapes[type] = std::move(shape); }
  std::optional<DataError> error;

private:
  StatusOr<Tensors> runKernel(Operation *op, const Tensors &operands);
  StatusOr<Tensors> runComposite(DecomposableOpInterface op, const Tensors &operands);
  StatusOr<Tensors> runScan(ScanOp op, const Tensors &operands);
  StatusOr<Tensors> runWhile(WhileOp op, const Tensors &operands);
  StatusOr<std::vector<int64_t>> shapeOf(Operation *op, mlir::Type type);
  void jitter(HostTensor &tensor);
  const std::vector<llvm::SmallVector<Value, 2>> &lastUses(mlir::Block &block);

  const InterpreterOptions &options;
  Symbols symbols;
  llvm::DenseMap<Value, Tensor> values;
  llvm::DenseMap<mlir::Type, std::vector<int64_t>> shapes;
  llvm::DenseMap<Operation *, Tensor> constants;
  /// Of each composite, built once: a block whose arguments are the op's operands.
  llvm::DenseMap<Operation *, std::unique_ptr<mlir::Block>> decompositions;
  llvm::DenseMap<mlir::Block *, std::vector<llvm::SmallVector<Value, 2>>> releases;
  std::mt19937_64 random;
  size_t stops = 0; // stop_gradient ops so far
  int hidden = 0;   // depth of decompositions: the observer does not see into them
};

/// For each op of the block, in order, the values of this block that are dead after it.
const std::vector<llvm::SmallVector<Value, 2>> &Machine::lastUses(mlir::Block &block) {
  auto [found, inserted] = releases.try_emplace(&block);
  if (!inserted)
    return found->second;
  llvm::DenseMap<Operation *, size_t> order;
  for (Operation &op : block)
    order[&op] = order.size();
  std::vector<llvm::SmallVector<Value, 2>> plan(order.size());
  auto place = [&](Value value, size_t definition) {
    size_t last = definition;
    for (Operation *user : value.getUsers())
      if (Operation *here = block.findAncestorOpInBlock(*user))
        last = std::max(last, order[here]);
    plan[last].push_back(value);
  };
  for (Value argument : block.getArguments())
    place(argument, 0);
  for (Operation &op : block)
    for (Value result : op.getResults())
      place(result, order[&op]);
  releases[&block] = std::move(plan);
  return releases[&block];
}

StatusOr<std::vector<int64_t>> Machine::shapeOf(Operation *op, mlir::Type type) {
  auto found = shapes.find(type);
  if (found != shapes.end())
    return found->second;
  std::vector<int64_t> shape;
  for (const Dim &dim : dimsOf(type)) {
    StatusOr<int64_t> value = valueOf(op, dim, symbols);
    if (!value.ok())
      return value.status();
    if (*value < 0)
      return failure(op, absl::StrCat("dimension ", dim.str(), " of ", describe(type), " is ", *value));
    shape.push_back(*value);
  }
  shapes[type] = shape;
  return shape;
}

StatusOr<Tensors> Machine::runBlock(mlir::Block &block, const Tensors &arguments) {
  for (auto [argument, tensor] : llvm::zip_equal(block.getArguments(), arguments))
    values[argument] = tensor;
  // Regions inside may grow the map of plans, so that no reference into it is kept.
  size_t index = 0;
  lastUses(block);
  for (Operation &op : block) {
    Tensors operands;
    for (Value operand : op.getOperands())
      operands.push_back(values.lookup(operand));
    if (op.hasTrait<mlir::OpTrait::IsTerminator>()) {
      for (const auto &dead : releases[&block])
        for (Value value : dead)
          values.erase(value);
      return operands;
    }
    StatusOr<Tensors> results = runOp(&op, operands);
    if (!results.ok())
      return results.status();
    for (auto [result, tensor] : llvm::zip_equal(op.getResults(), *results))
      values[result] = tensor;
    operands.clear();
    for (Value value : releases[&block][index])
      values.erase(value);
    ++index;
  }
  return Tensors();
}

StatusOr<Tensors> Machine::runOp(Operation *op, const Tensors &operands) {
  StatusOr<Tensors> results = absl::UnimplementedError("");
  if (auto constant = llvm::dyn_cast<ConstantOp>(op)) {
    Tensor &cached = constants[op];
    if (!cached) {
      StatusOr<Tensors> value = runKernel(op, operands);
      if (!value.ok())
        return value;
      constants[op] = value->front();
    }
    results = Tensors{constants[op]};
  } else if (options.held && llvm::isa<StopGradientOp>(op)) {
    if (stops == options.held->size())
      return failure(op, "no value is held for it");
    results = Tensors{std::make_shared<const HostTensor>((*options.held)[stops++])};
  } else if (kernels().count(op->getName().getTypeID())) {
    results = runKernel(op, operands);
    if (options.hold && results.ok() && llvm::isa<StopGradientOp>(op))
      options.hold->push_back(*results->front());
  } else if (auto composite = llvm::dyn_cast<DecomposableOpInterface>(op)) {
    results = runComposite(composite, operands);
  } else if (auto scan = llvm::dyn_cast<ScanOp>(op)) {
    results = runScan(scan, operands);
  } else if (auto branch = llvm::dyn_cast<IfOp>(op)) {
    results = runBlock((operands[0]->integers[0] ? branch.getThenRegion() : branch.getElseRegion()).front(), {});
  } else if (auto loop = llvm::dyn_cast<WhileOp>(op)) {
    results = runWhile(loop, operands);
  } else if (auto custom = llvm::dyn_cast<CustomOp>(op)) {
    results = runBlock(custom.getForward().front(), operands);
  } else if (auto group = llvm::dyn_cast<GroupOp>(op)) {
    results = runBlock(group.getBody().front(), operands);
  } else {
    return failure(op, "the interpreter does not know this op");
  }
  if (results.ok() && options.observer && hidden == 0) {
    llvm::SmallVector<const HostTensor *> seen;
    for (const Tensor &tensor : *results)
      seen.push_back(tensor.get());
    options.observer(op, seen);
  }
  return results;
}

StatusOr<Tensors> Machine::runKernel(Operation *op, const Tensors &operands) {
  std::vector<HostTensor> out;
  for (mlir::Type type : op->getResultTypes()) {
    StatusOr<std::vector<int64_t>> shape = shapeOf(op, type);
    if (!shape.ok())
      return shape.status();
    out.push_back(HostTensor::zeros(llvm::cast<mlir::RankedTensorType>(type).getElementType(), *shape));
  }
  llvm::SmallVector<const HostTensor *> in;
  for (const Tensor &tensor : operands)
    in.push_back(tensor.get());
  Call call{op, in, out, symbols, error};
  Status status = kernels().lookup(op->getName().getTypeID())(call);
  if (!status.ok())
    return status;
  Tensors results;
  for (HostTensor &tensor : out) {
    if (options.roundToDtype)
      tensor.roundToElement();
    if (options.jitter && !isLayout(op) && !isSource(op))
      jitter(tensor);
    results.push_back(std::make_shared<HostTensor>(std::move(tensor)));
  }
  return results;
}

void Machine::jitter(HostTensor &tensor) {
  if (!tensor.isFloat())
    return;
  double half = std::ldexp(0.5, 1 - static_cast<int>(llvm::cast<mlir::FloatType>(tensor.element).getFPMantissaWidth()));
  std::uniform_real_distribution<double> part(-half, half);
  for (double &value : tensor.floats)
    value += value * part(random);
}

StatusOr<Tensors> Machine::runComposite(DecomposableOpInterface op, const Tensors &operands) {
  if (!decompositions.count(op)) {
    auto block = std::make_unique<mlir::Block>();
    mlir::OpBuilder builder(op.getContext());
    builder.setInsertionPointToEnd(block.get());
    mlir::IRMapping mapping;
    for (Value operand : op->getOperands())
      mapping.map(operand, block->addArgument(operand.getType(), op.getLoc()));
    auto copy = llvm::cast<DecomposableOpInterface>(builder.clone(*op, mapping));
    llvm::SmallVector<Value> results = copy.decompose(builder);
    copy->erase();
    builder.create<YieldOp>(op.getLoc(), results);
    decompositions[op] = std::move(block);
  }
  ++hidden;
  StatusOr<Tensors> results = runBlock(*decompositions[op], operands);
  --hidden;
  return results;
}

StatusOr<Tensors> Machine::runScan(ScanOp op, const Tensors &operands) {
  StatusOr<int64_t> count = valueOf(op, op.getCount().dims().front(), symbols);
  if (!count.ok())
    return count.status();
  size_t carried = op.numCarries();
  Tensors carries(operands.begin(), operands.begin() + carried);
  std::vector<HostTensor> outputs;
  for (mlir::Type type : mlir::TypeRange(op.getResultTypes()).drop_front(carried)) {
    StatusOr<std::vector<int64_t>> shape = shapeOf(op, type);
    if (!shape.ok())
      return shape.status();
    outputs.push_back(HostTensor::zeros(llvm::cast<mlir::RankedTensorType>(type).getElementType(), *shape));
  }
  for (int64_t i = 0; i < *count; ++i) {
    int64_t t = op.getReverse() ? *count - 1 - i : i;
    Tensors arguments = {
        std::make_shared<HostTensor>(HostTensor::ofIntegers(mlir::IntegerType::get(op.getContext(), 32), {}, {t}))};
    llvm::append_range(arguments, carries);
    for (size_t s = carried; s < operands.size(); ++s) {
      const HostTensor &whole = *operands[s];
      auto step =
          std::make_shared<HostTensor>(HostTensor::zeros(whole.element, {whole.shape.begin() + 1, whole.shape.end()}));
      int64_t size = step->size();
      onStorage(whole, [&](auto kind) {
        auto from = whole.data<decltype(kind)>().begin() + t * size;
        std::copy(from, from + size, step->data<decltype(kind)>().begin());
      });
      arguments.push_back(step);
    }
    StatusOr<Tensors> yielded = runBlock(op.getBody().front(), arguments);
    if (!yielded.ok())
      return yielded;
    for (size_t o = 0; o < outputs.size(); ++o) {
      const HostTensor &step = *(*yielded)[carried + o];
      onStorage(step, [&](auto kind) {
        const auto &from = step.data<decltype(kind)>();
        std::copy(from.begin(), from.end(), outputs[o].data<decltype(kind)>().begin() + t * step.size());
      });
    }
    carries.assign(yielded->begin(), yielded->begin() + carried);
  }
  for (HostTensor &output : outputs)
    carries.push_back(std::make_shared<HostTensor>(std::move(output)));
  return carries;
}

StatusOr<Tensors> Machine::runWhile(WhileOp op, const Tensors &operands) {
  Tensors carries = operands;
  while (true) {
    StatusOr<Tensors> test = runBlock(op.getCondition().front(), carries);
    if (!test.ok())
      return test;
    if (!test->front()->integers[0])
      return carries;
    StatusOr<Tensors> next = runBlock(op.getBody().front(), carries);
    if (!next.ok())
      return next;
    carries = *next;
  }
}

std::string shapeText(llvm::ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    absl::StrAppend(&text, i ? ", " : "", shape[i]);
  return text + "]";
}

/// Solves dim = extent for its one unknown symbol, where it is linear in it.
bool solve(const Dim &dim, int64_t extent, Symbols &symbols) {
  std::vector<std::string> unknown;
  for (const std::string &name : dim.symbols())
    if (!symbols.contains(name))
      unknown.push_back(name);
  if (unknown.size() != 1)
    return false;
  Symbols trial = symbols;
  auto at = [&](int64_t value) {
    trial[unknown[0]] = value;
    return dim.evaluate(trial);
  };
  std::optional<int64_t> zero = at(0), one = at(1);
  if (!zero || !one || *one == *zero)
    return false;
  int64_t value = (extent - *zero) / (*one - *zero);
  if (at(value) != extent)
    return false;
  symbols[unknown[0]] = value;
  return true;
}

StatusOr<Symbols> bind(mlir::func::FuncOp function, llvm::ArrayRef<HostTensor> arguments, Symbols symbols) {
  auto types = function.getArgumentTypes();
  if (types.size() != arguments.size())
    return absl::InvalidArgumentError(
        absl::StrCat("@", function.getName().str(), " takes ", types.size(), " arguments, found ", arguments.size()));
  auto complain = [&](size_t i, const std::string &why) {
    return absl::InvalidArgumentError(absl::StrCat("argument ", i, " of @", function.getName().str(), " is ",
                                                   describe(types[i]), ", found a tensor of shape ",
                                                   shapeText(arguments[i].shape), ": ", why));
  };
  for (size_t i = 0; i < arguments.size(); ++i) {
    auto type = llvm::cast<mlir::RankedTensorType>(types[i]);
    if (type.getElementType() != arguments[i].element)
      return complain(i, "another element type");
    if (type.getRank() != arguments[i].rank())
      return complain(i, "another rank");
    size_t held = arguments[i].isFloat() ? arguments[i].floats.size() : arguments[i].integers.size();
    if (held != static_cast<size_t>(arguments[i].size()))
      return complain(i, absl::StrCat("it holds ", held, " elements"));
  }
  // A symbol may be known only after a later argument: pass over them until nothing is learnt.
  for (bool learnt = true; learnt;) {
    learnt = false;
    for (size_t i = 0; i < arguments.size(); ++i)
      for (auto [axis, dim] : llvm::enumerate(dimsOf(types[i])))
        learnt |= solve(dim, arguments[i].shape[axis], symbols);
  }
  for (size_t i = 0; i < arguments.size(); ++i)
    for (auto [axis, dim] : llvm::enumerate(dimsOf(types[i]))) {
      std::optional<int64_t> value = dim.evaluate(symbols);
      if (!value)
        return complain(i, absl::StrCat("dimension ", dim.str(), " has no value"));
      if (*value != arguments[i].shape[axis])
        return complain(i, absl::StrCat("dimension ", axis, " must be ", dim.str(),
                                        dim.isConstant() ? "" : absl::StrCat(" = ", *value)));
    }
  for (const auto &[symbol, limit] : boundsOf(function))
    if (auto value = symbols.find(symbol); value != symbols.end() && value->second > limit)
      return absl::InvalidArgumentError(absl::StrCat("@", function.getName().str(), ": ", symbol, " = ", value->second,
                                                     " is above its bound ", limit));
  return symbols;
}

Interpreted collect(const Tensors &results, std::optional<DataError> error) {
  Interpreted interpreted;
  for (const Tensor &tensor : results)
    interpreted.results.push_back(*tensor);
  interpreted.error = std::move(error);
  return interpreted;
}

/// A pointer that does not own.
Tensor borrowed(const HostTensor &tensor) { return Tensor(Tensor(), &tensor); }

} // namespace

} // namespace interpreter

std::string DataError::str() const {
  std::string where = absl::StrCat(op, " at ", interpreter::textOf(location));
  if (kind == divisionByZero)
    return absl::StrCat(where, ": ", value, " divided by zero");
  return absl::StrCat(where, ": index ", value, " is outside [0, ", limit, ")");
}

absl::StatusOr<Interpreted> interpret(mlir::func::FuncOp function, llvm::ArrayRef<HostTensor> arguments,
                                      const InterpreterOptions &options) {
  using namespace interpreter;
  if (function.isExternal())
    return absl::InvalidArgumentError(absl::StrCat("@", function.getName().str(), " has no body"));
  StatusOr<Symbols> symbols = bind(function, arguments, options.symbols);
  if (!symbols.ok())
    return symbols.status();
  Machine machine(options, *symbols);
  Tensors inputs;
  std::vector<HostTensor> rounded;
  if (options.roundToDtype) {
    rounded.assign(arguments.begin(), arguments.end());
    for (HostTensor &tensor : rounded)
      tensor.roundToElement();
    arguments = rounded;
  }
  for (const HostTensor &argument : arguments)
    inputs.push_back(borrowed(argument));
  StatusOr<Tensors> results = machine.runBlock(function.getBody().front(), inputs);
  if (!results.ok())
    return results.status();
  return collect(*results, machine.error);
}

bool interpreter::hasKernel(mlir::Operation *op) { return kernels().count(op->getName().getTypeID()) != 0; }

absl::StatusOr<Interpreted> interpreter::evaluateIn(mlir::Operation *op, llvm::ArrayRef<const HostTensor *> operands,
                                                    const InterpreterOptions &options, bool scalars) {
  Machine machine(options, options.symbols);
  if (scalars)
    for (mlir::Type type : op->getResultTypes())
      machine.assume(type, {});
  Tensors inputs;
  for (const HostTensor *operand : operands)
    inputs.push_back(borrowed(*operand));
  StatusOr<Tensors> results = machine.runOp(op, inputs);
  if (!results.ok())
    return results.status();
  return collect(*results, machine.error);
}

absl::StatusOr<Interpreted> evaluate(mlir::Operation *op, llvm::ArrayRef<const HostTensor *> operands,
                                     const InterpreterOptions &options) {
  return interpreter::evaluateIn(op, operands, options, /*scalars=*/false);
}

} // namespace kiln
