// A group's body in the ABI's structs, op by op.

#include "backends/host/Kernel.h"

#include "ir/Bounds.h"
#include "ir/Classes.h"
#include "ir/Places.h"
#include "passes/Claim/Claim.h"
#include "passes/Fuse/Alias.h"
#include "passes/Fuse/Cluster.h"
#include "passes/support/Composites.h"
#include "passes/support/Values.h"
#include "runtime/support/Tensor.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/ScopeExit.h"

#include <cstring>

namespace kiln::host {

kiln_string Pool::string(llvm::StringRef text) {
  char *memory = allocator.Allocate<char>(text.size() + 1);
  std::memcpy(memory, text.data(), text.size());
  memory[text.size()] = 0;
  return {memory, text.size()};
}

Dim loopCounter(unsigned level) { return Dim::symbol("@" + std::to_string(level)); }

std::optional<unsigned> loopLevel(const Dim &dim) {
  std::vector<std::string> symbols = dim.symbols();
  unsigned level = 0;
  bool isCounter = symbols.size() == 1 && symbols.front()[0] == '@' && dim == Dim::symbol(symbols.front()) &&
                   !llvm::StringRef(symbols.front()).drop_front().getAsInteger(10, level);
  return isCounter ? std::optional(level) : std::nullopt;
}

kiln_dtype dtypeOf(mlir::Type type) {
  std::optional<kiln_dtype> dtype = kiln::dtypeOf(type);
  if (!dtype)
    llvm::report_fatal_error("an element type that no program carries");
  return *dtype;
}

llvm::StringRef dtypeName(kiln_dtype dtype) { return kiln::dtypeName(dtype); }

kiln_location locationOf(mlir::Location location, Pool &pool) {
  mlir::FileLineColLoc file = fileLocation(location);
  if (!file)
    return {pool.string(""), 0, 0};
  return {pool.string(file.getFilename().getValue()), file.getLine(), file.getColumn()};
}

std::string errorText(const mlir::Diagnostic &diagnostic) {
  std::string at = locationText(diagnostic.getLocation());
  return (at.empty() ? at : at + ": ") + "error: " + diagnostic.str();
}

namespace {
class KernelBuilder {
public:
  KernelBuilder(GroupOp group, GroupKernel &formed)
      : group(group), bounds(boundsOf(group->getParentOfType<mlir::func::FuncOp>())), formed(formed),
        pool(formed.pool) {}

  mlir::LogicalResult build();

private:
  kiln_extent extent(const Dim &dim) {
    if (std::optional<int64_t> constant = dim.constant())
      return {*constant, -1};
    return {upperBound(dim, bounds).value_or(0), slot(dim)};
  }
  int32_t slot(const Dim &dim) {
    auto found = llvm::find(formed.extents, dim);
    if (found == formed.extents.end()) {
      formed.extents.push_back(dim);
      extentBounds.push_back(upperBound(dim, bounds).value_or(0));
      return static_cast<int32_t>(formed.extents.size()) - 1;
    }
    return static_cast<int32_t>(found - formed.extents.begin());
  }
  uint32_t define(mlir::Value value);
  void findFlat();
  void loopIndex(mlir::BlockArgument argument, mlir::Value outer);
  mlir::LogicalResult addOp(mlir::Operation *op);
  mlir::LogicalResult addRegion(mlir::Block &body, llvm::ArrayRef<mlir::Value> given, OpRow &op);
  mlir::LogicalResult addDecomposition(mlir::Operation *op, OpRow &row);
  void addInteger(llvm::StringRef name, int64_t value, std::vector<kiln_attr> &attrs);
  mlir::LogicalResult addAttribute(mlir::Operation *op, llvm::StringRef name, mlir::Attribute value,
                                   std::vector<kiln_attr> &attrs);

  // The key: everything but names and locations, each piece with its length told by what stands before it.
  template <typename T> void note(T number) { formed.key += std::to_string(static_cast<int64_t>(number)) + ","; }
  void noteText(llvm::StringRef text) {
    note(text.size());
    formed.key += text;
  }
  void note(const kiln_extent &extent) {
    note(extent.value);
    note(extent.slot);
  }

  GroupOp group;
  Bounds bounds;
  GroupKernel &formed;
  Pool &pool;
  /// The kernel's values and ops, or those of the region that is being added.
  struct Scope {
    llvm::DenseMap<mlir::Value, uint32_t> numbers;
    std::vector<ValueRow> values;
    std::vector<OpRow> ops;
  };
  void close(const Scope &scope, llvm::ArrayRef<uint32_t> inputs, llvm::ArrayRef<uint32_t> outputs,
             kiln_kernel &kernel);

  Scope scope;
  std::vector<kiln_kernel *> regions; // they want the extents' bounds, which are known last
  std::vector<int64_t> extentBounds;
  std::optional<int64_t> flat; // elements of a sweep
};
} // namespace

// Large enough for any tensor, small enough to multiply.
static constexpr int64_t sweepBound = static_cast<int64_t>(1) << 40;

// Elementwise ops over tensors of one constant shape, and scalars: the shape does not matter, only the number of
// elements, and that may as well be told at the launch. So one kernel updates every parameter of an optimizer.
void KernelBuilder::findFlat() {
  mlir::RankedTensorType shape;
  auto fits = [&](mlir::Value value) {
    auto type = llvm::cast<mlir::RankedTensorType>(value.getType());
    if (type.getRank() == 0)
      return true;
    shape = shape ? shape : type;
    return type.getShape() == shape.getShape() && type.hasStaticShape();
  };
  mlir::Block &body = group.getBody().front();
  if (group.getShape() != GroupShape::elementwise || !llvm::all_of(body.getArguments(), fits))
    return;
  for (mlir::Operation &op : body.without_terminator()) {
    bool elementwise = isElementwise(&op) || llvm::isa<ConstantOp>(op) ||
                       (llvm::isa<BroadcastOp>(op) && dimsOf(op.getOperand(0)).empty());
    if (!elementwise || !llvm::all_of(op.getResults(), fits))
      return;
  }
  if (!shape)
    return;
  flat = shape.getNumElements();
  formed.extents.push_back(Dim(*flat));
  extentBounds.push_back(sweepBound);
}

uint32_t KernelBuilder::define(mlir::Value value) {
  uint32_t number = scope.values.size();
  scope.numbers[value] = number;
  std::vector<kiln_extent> dims;
  ValueRow type = {dtypeOf(llvm::cast<mlir::RankedTensorType>(value.getType()).getElementType()), 0, nullptr};
  if (flat && !dimsOf(value).empty())
    dims.push_back({sweepBound, 0});
  else
    for (const Dim &dim : dimsOf(value))
      dims.push_back(extent(dim));
  note(type.dtype);
  note(dims.size());
  for (const kiln_extent &dim : dims)
    note(dim);
  type.rank = dims.size();
  type.dims = pool.array<kiln_extent>(dims);
  scope.values.push_back(type);
  return number;
}

static mlir::FailureOr<std::string> enumName(mlir::Attribute value) {
  if (auto kind = llvm::dyn_cast<ReduceKindAttr>(value))
    return stringifyReduceKind(kind.getValue()).str();
  if (auto kind = llvm::dyn_cast<ArgKindAttr>(value))
    return stringifyArgKind(kind.getValue()).str();
  if (auto kind = llvm::dyn_cast<PredicateAttr>(value))
    return stringifyPredicate(kind.getValue()).str();
  if (auto kind = llvm::dyn_cast<ScatterKindAttr>(value))
    return stringifyScatterKind(kind.getValue()).str();
  if (auto text = llvm::dyn_cast<mlir::StringAttr>(value))
    return text.getValue().str();
  return mlir::failure();
}

mlir::LogicalResult KernelBuilder::addAttribute(mlir::Operation *op, llvm::StringRef name, mlir::Attribute value,
                                                std::vector<kiln_attr> &attrs) {
  if (name == "operandSegmentSizes" || name.starts_with("kiln."))
    return mlir::success();
  kiln_attr attr = {};
  attr.size = sizeof attr;
  attr.name = pool.string(name);
  noteText(name);
  if (auto integer = llvm::dyn_cast<mlir::IntegerAttr>(value)) { // bools too
    attr.kind = KILN_ATTR_INT;
    attr.integer =
        integer.getType().isInteger(1) ? integer.getValue().getZExtValue() : integer.getValue().getSExtValue();
    note(attr.integer);
  } else if (llvm::isa<mlir::UnitAttr>(value)) {
    attr.kind = KILN_ATTR_INT;
    attr.integer = 1;
  } else if (auto number = llvm::dyn_cast<mlir::FloatAttr>(value)) {
    attr.kind = KILN_ATTR_FLOAT;
    attr.number = number.getValueAsDouble();
    int64_t bits;
    std::memcpy(&bits, &attr.number, sizeof bits);
    note(bits);
  } else if (auto integers = llvm::dyn_cast<mlir::DenseI64ArrayAttr>(value)) {
    attr.kind = KILN_ATTR_INTS;
    attr.count = integers.size();
    attr.ints = pool.array<int64_t>(integers.asArrayRef());
    note(attr.count);
    for (int64_t i : integers.asArrayRef())
      note(i);
  } else if (auto dims = llvm::dyn_cast<DimsAttr>(value)) {
    std::vector<kiln_extent> extents;
    for (const Dim &dim : dims.dims())
      extents.push_back(extent(dim));
    attr.kind = KILN_ATTR_EXTENTS;
    attr.count = extents.size();
    attr.extents = pool.array<kiln_extent>(extents);
    note(attr.count);
    for (const kiln_extent &e : extents)
      note(e);
  } else if (auto elements = llvm::dyn_cast<mlir::ElementsAttr>(value)) {
    mlir::FailureOr<std::string> data = elementData(elements);
    if (mlir::failed(data))
      return op->emitError() << "a constant that is not dense";
    attr.kind = KILN_ATTR_BYTES;
    attr.string = pool.string(*data);
    noteText(*data);
  } else if (mlir::FailureOr<std::string> text = enumName(value); mlir::succeeded(text)) {
    attr.kind = KILN_ATTR_STRING;
    attr.string = pool.string(*text);
    noteText(*text);
  } else {
    return op->emitError() << "attribute '" << name << "' has a form that kernels cannot carry: " << value;
  }
  attrs.push_back(attr);
  return mlir::success();
}

// The counter of a loop around the launch is an extent.
void KernelBuilder::loopIndex(mlir::BlockArgument argument, mlir::Value outer) {
  unsigned level = 0;
  mlir::Operation *scan = llvm::cast<mlir::BlockArgument>(outer).getOwner()->getParentOp();
  int64_t bound = upperBound(llvm::cast<ScanOp>(scan).getCount().dims().front(), bounds).value_or(0);
  while ((scan = scan->getParentOp()))
    level += llvm::isa<ScanOp>(scan);
  int32_t index = slot(loopCounter(level));
  extentBounds[index] = bound;
  kiln_attr attr = {};
  attr.size = sizeof attr;
  attr.name = pool.string("expr");
  attr.kind = KILN_ATTR_EXTENTS;
  attr.count = 1;
  attr.extents = pool.array<kiln_extent>({kiln_extent{bound, index}});
  OpRow op = {};
  op.name = pool.string("extent");
  noteText("extent");
  note(index);
  op.result_count = 1;
  op.results = pool.array<uint32_t>({define(argument)});
  op.attr_count = 1;
  op.attrs = pool.array<kiln_attr>({attr});
  op.location = locationOf(group.getLoc(), pool);
  scope.ops.push_back(op);
}

void KernelBuilder::addInteger(llvm::StringRef name, int64_t value, std::vector<kiln_attr> &attrs) {
  kiln_attr attr = {};
  attr.size = sizeof attr;
  attr.kind = KILN_ATTR_INT;
  attr.name = pool.string(name);
  attr.integer = value;
  note(value);
  attrs.push_back(attr);
}

// A block as a kernel of its own numbers; its inputs are what it is given, arguments and values from outside.
mlir::LogicalResult KernelBuilder::addRegion(mlir::Block &body, llvm::ArrayRef<mlir::Value> given, OpRow &op) {
  Scope outer;
  std::swap(scope, outer);
  std::vector<uint32_t> inputs, outputs;
  noteText("region");
  for (mlir::Value value : given) {
    auto known = scope.numbers.find(value);
    inputs.push_back(known == scope.numbers.end() ? define(value) : known->second);
    note(inputs.back());
  }
  for (mlir::Operation &inner : body.without_terminator())
    if (mlir::failed(addOp(&inner)))
      return mlir::failure();
  noteText("outputs");
  for (mlir::Value value : body.getTerminator()->getOperands()) {
    outputs.push_back(scope.numbers.lookup(value));
    note(outputs.back());
  }
  std::swap(scope, outer);
  kiln_kernel region = {};
  close(outer, inputs, outputs, region);
  region.alias = pool.array<int32_t>(std::vector<int32_t>(outputs.size(), -1));
  op.region = regions.emplace_back(pool.array<kiln_kernel>({region}));
  return mlir::success();
}

// What a composite is made of: a copy beside it is taken apart.
mlir::LogicalResult KernelBuilder::addDecomposition(mlir::Operation *op, OpRow &row) {
  GroupOp apart = claim::alone(op);
  auto erase = llvm::make_scope_exit([&] { apart.erase(); });
  llvm::SmallVector<mlir::Value> given;
  for (mlir::Value operand : op->getOperands())
    given.push_back(apart.getBody().getArgument(llvm::find(apart.getInputs(), operand) - apart.getInputs().begin()));
  for (bool changed = true; changed;) { // a decomposition may hold composites
    changed = false;
    apart.getBody().walk([&](mlir::Operation *one) { changed |= expand(one); });
  }
  return addRegion(apart.getBody().front(), given, row);
}

mlir::LogicalResult KernelBuilder::addOp(mlir::Operation *op) {
  OpRow result = {};
  llvm::StringRef name = nameOf(op);
  result.name = pool.string(name);
  noteText(name);
  std::vector<uint32_t> operands, results;
  llvm::SmallVector<mlir::Value> used = usedValues(op);
  for (mlir::Value operand : used) {
    operands.push_back(scope.numbers.lookup(operand));
    note(operands.back());
  }
  for (mlir::Value value : op->getResults())
    results.push_back(define(value));
  std::vector<kiln_attr> attrs;
  auto custom = llvm::dyn_cast<CustomOp>(op);
  mlir::DictionaryAttr own = custom ? custom.getFieldsAttr() : op->getAttrDictionary();
  for (mlir::NamedAttribute attribute : own ? own : mlir::DictionaryAttr::get(op->getContext()))
    if (mlir::failed(addAttribute(op, attribute.getName(), attribute.getValue(), attrs)))
      return mlir::failure();
  if (auto loop = llvm::dyn_cast<ScanOp>(op)) {
    addInteger("carries", static_cast<int64_t>(loop.numCarries()), attrs);
    addInteger("sequences", static_cast<int64_t>(loop.getSequences().size()), attrs);
    llvm::SmallVector<mlir::Value> given(loop.getBody().getArguments());
    given.append(used.begin() + op->getNumOperands(), used.end());
    if (mlir::failed(addRegion(loop.getBody().front(), given, result)))
      return mlir::failure();
  }
  if (llvm::isa<DecomposableOpInterface>(op) && mlir::failed(addDecomposition(op, result)))
    return mlir::failure();
  result.operand_count = operands.size();
  result.operands = pool.array<uint32_t>(operands);
  result.result_count = results.size();
  result.results = pool.array<uint32_t>(results);
  result.attr_count = attrs.size();
  result.attrs = pool.array<kiln_attr>(attrs);
  result.location = locationOf(op->getLoc(), pool);
  scope.ops.push_back(result);
  return mlir::success();
}

// What stands out in a body: products and reductions, else the last few ops.
static std::string titleOf(mlir::Block &body) {
  llvm::SmallVector<llvm::StringRef> heavy, all;
  for (mlir::Operation &op : body.without_terminator()) {
    fuse::Role role = fuse::roleOf(&op);
    if (role == fuse::Role::cheap)
      continue;
    all.push_back(nameOf(&op));
    if (role != fuse::Role::index)
      heavy.push_back(all.back());
  }
  std::string title;
  for (llvm::StringRef name : llvm::ArrayRef(heavy).take_front(2))
    title += "_" + name.str();
  for (llvm::StringRef name : llvm::ArrayRef(all).take_back(heavy.empty() ? 3 : 0))
    title += "_" + name.str();
  return title;
}

#define KILN_SHAPE(number, name, kind)                                                                                 \
  static_assert(static_cast<int32_t>(GroupShape::name) == number, "a group's shape and the ABI's are one number");
#include "backends/api/shapes.inc"
#undef KILN_SHAPE

void KernelBuilder::close(const Scope &scope, llvm::ArrayRef<uint32_t> inputs, llvm::ArrayRef<uint32_t> outputs,
                          kiln_kernel &kernel) {
  kernel.value_count = scope.values.size();
  kernel.values = pool.array<ValueRow>(scope.values);
  kernel.input_count = inputs.size();
  kernel.inputs = pool.array<uint32_t>(inputs);
  kernel.output_count = outputs.size();
  kernel.outputs = pool.array<uint32_t>(outputs);
  kernel.op_count = scope.ops.size();
  kernel.ops = pool.array<OpRow>(scope.ops);
}

mlir::LogicalResult KernelBuilder::build() {
  mlir::Block &body = group.getBody().front();
  note(static_cast<int32_t>(group.getShape()));
  findFlat();
  std::vector<uint32_t> inputs, outputs;
  for (auto [argument, input] : llvm::zip(body.getArguments(), group.getInputs())) {
    formed.inputOfOperand.push_back(plan::isLoopIndex(input) ? -1 : static_cast<int32_t>(inputs.size()));
    if (!plan::isLoopIndex(input))
      inputs.push_back(define(argument));
  }
  note(inputs.size());
  for (auto [argument, input] : llvm::zip(body.getArguments(), group.getInputs()))
    if (plan::isLoopIndex(input))
      loopIndex(argument, input);
  for (mlir::Operation &op : body.without_terminator())
    if (mlir::failed(addOp(&op)))
      return mlir::failure();
  noteText("outputs");
  for (mlir::Value value : body.getTerminator()->getOperands()) {
    outputs.push_back(scope.numbers.lookup(value));
    note(outputs.back());
  }
  for (int64_t bound : extentBounds)
    note(bound);
  kiln_kernel &kernel = formed.kernel;
  kernel.shape = static_cast<int32_t>(group.getShape());
  close(scope, inputs, outputs, kernel);
  kernel.extent_count = extentBounds.size();
  kernel.extent_bounds = pool.array<int64_t>(extentBounds);
  for (kiln_kernel *region : regions) {
    region->extent_count = kernel.extent_count;
    region->extent_bounds = kernel.extent_bounds;
  }
  formed.title = titleOf(body);
  for (const Dim &dim : formed.extents)
    formed.extentsAtBounds.push_back(upperBound(dim, bounds).value_or(1));
  formed.ownKey = formed.key.size();
  formed.setAliases(aliasesOf(group));
  return mlir::success();
}

void GroupKernel::setAliases(llvm::ArrayRef<int32_t> given) {
  aliases.assign(given.begin(), given.end());
  key.resize(ownKey);
  std::vector<int32_t> inputs;
  for (int32_t operand : aliases) {
    inputs.push_back(operand < 0 ? -1 : inputOfOperand[static_cast<size_t>(operand)]);
    key += std::to_string(inputs.back()) + ",";
  }
  kernel.alias = pool.array<int32_t>(inputs);
}

static constexpr llvm::StringLiteral numberName = "kiln.formed";

static std::optional<size_t> kernelNumber(GroupOp group) {
  auto number = group->getAttrOfType<mlir::IntegerAttr>(numberName);
  return number ? std::optional(static_cast<size_t>(number.getInt())) : std::nullopt;
}

mlir::FailureOr<GroupKernel *> GroupKernels::of(GroupOp group) {
  std::optional<size_t> number = kernelNumber(group);
  if (number && kernels_[*number]) {
    GroupKernel &formed = *kernels_[*number];
    if (llvm::SmallVector<int32_t> aliases = aliasesOf(group); aliases != formed.aliases)
      formed.setAliases(aliases);
    return &formed;
  }
  auto formed = std::make_unique<GroupKernel>();
  if (mlir::failed(KernelBuilder(group, *formed).build()))
    return mlir::failure();
  group->setAttr(numberName,
                 mlir::Builder(group.getContext()).getI64IntegerAttr(static_cast<int64_t>(kernels_.size())));
  return kernels_.emplace_back(std::move(formed)).get();
}

std::unique_ptr<GroupKernel> GroupKernels::take(GroupOp group) {
  return std::move(kernels_[kernelNumber(group).value()]);
}

void GroupKernels::clear(mlir::func::FuncOp function) {
  function.walk([](GroupOp group) { group->removeAttr(numberName); });
}

} // namespace kiln::host
