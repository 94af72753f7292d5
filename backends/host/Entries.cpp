// A planned function as an entry: its tree, its places, its part of the manifest.

#include "backends/host/Entries.h"

#include "ir/Classes.h"
#include "passes/Claim/Claim.h"

#include "llvm/ADT/StringSet.h"

namespace kiln::host {

uint32_t Kernels::add(GroupOp group, GroupKernel &formed, GroupKernels &groupKernels) {
  uint32_t target = claim::targetOf(group).value_or(0);
  auto [found, isNew] =
      byKey_.try_emplace(std::to_string(target) + ":" + formed.key, static_cast<uint32_t>(rows_.size()));
  if (!isNew)
    return found->second;
  formed.kernel.name = formed.pool.string("k" + std::to_string(rows_.size()) + formed.title);
  rows_.push_back(formed.kernel);
  origins_.push_back({target, claim::reasonOf(group)});
  owned_.push_back(groupKernels.take(group));
  return found->second;
}

mlir::FailureOr<int64_t> Constants::offsetOf(ConstantOp constant) {
  auto [found, isNew] = offsets_.try_emplace(constant.getValueAttr(), 0);
  if (isNew) {
    mlir::FailureOr<std::string> data = elementData(constant.getValue());
    if (mlir::failed(data))
      return constant.emitError() << "a constant that is not dense";
    bytes_.resize(llvm::alignTo(bytes_.size(), static_cast<uint64_t>(alignment_)));
    found->second = static_cast<int64_t>(bytes_.size());
    bytes_ += *data;
  }
  return found->second;
}

namespace {
/// One entry's row: plan steps to nodes.
class EntryBuilder {
public:
  EntryBuilder(const plan::FunctionPlan &plan, Kernels &kernels, GroupKernels &groupKernels, Constants &constants,
               Pool &pool)
      : plan(plan), kernels(kernels), groupKernels(groupKernels), constants(constants), pool(pool) {
    for (const std::string &symbol : plan.symbols)
      extents.push_back(Dim::symbol(symbol));
  }

  mlir::LogicalResult build(llvm::StringRef name, EntryRow &entry, EntryDescription &description);

private:
  mlir::LogicalResult collect(const plan::Step &step);
  void note(const Dim &dim) {
    if (!dim.constant() && !loopLevel(dim) && !llvm::is_contained(extents, dim))
      extents.push_back(dim);
  }
  EntryDescription describe() const;

  kiln_extent extent(const Dim &dim) const {
    if (std::optional<int64_t> constant = dim.constant())
      return {*constant, -1};
    if (std::optional<unsigned> level = loopLevel(dim))
      return {0, static_cast<int32_t>(extents.size() + *level)};
    auto found = llvm::find(extents, dim);
    return {upperBound(dim, plan.bounds).value_or(0), static_cast<int32_t>(found - extents.begin())};
  }
  kiln_place place(const plan::Place &place) const;
  kiln_node node(const plan::Step &step);
  void launch(const plan::Step &step, kiln_node &node);
  const ArgumentRow *arguments();

  const plan::FunctionPlan &plan;
  Kernels &kernels;
  GroupKernels &groupKernels;
  Constants &constants;
  Pool &pool;
  std::vector<Dim> extents; // without the loop counters, which follow
  unsigned levels = 0;
  std::vector<int64_t> constantOffsets; // of the plan's constants
  llvm::DenseMap<mlir::Operation *, std::pair<uint32_t, std::vector<Dim>>> launches;
};
} // namespace

mlir::LogicalResult EntryBuilder::collect(const plan::Step &step) {
  for (const plan::Place &place : step.places)
    for (const Dim &stride : place.strides)
      note(stride);
  note(step.count);
  if (step.kind == plan::Step::Kind::repeat)
    levels = std::max(levels, step.level + 1);
  if (step.kind == plan::Step::Kind::launch) {
    auto group = llvm::cast<GroupOp>(step.op);
    mlir::FailureOr<GroupKernel *> formed = groupKernels.of(group);
    if (mlir::failed(formed))
      return mlir::failure();
    auto &[kernel, launchExtents] = launches[step.op];
    launchExtents = (*formed)->extents;
    kernel = kernels.add(group, **formed, groupKernels);
    llvm::for_each(launchExtents, [&](const Dim &dim) { note(dim); });
  }
  for (const plan::Step &child : step.children)
    if (mlir::failed(collect(child)))
      return mlir::failure();
  return mlir::success();
}

kiln_place EntryBuilder::place(const plan::Place &place) const {
  kiln_place result = {};
  result.offset = place.offset;
  switch (place.space) {
  case plan::Place::Space::arena:
    result.space = KILN_SPACE_ARENA;
    result.offset += plan.buffers[place.index].offset;
    break;
  case plan::Place::Space::argument:
    result.space = KILN_SPACE_ARGUMENT;
    result.argument = place.index;
    break;
  case plan::Place::Space::constant:
    result.space = KILN_SPACE_CONSTANT;
    result.offset += constantOffsets[place.index];
    break;
  }
  for (kiln_extent &stride : result.stride)
    stride = {0, -1};
  for (auto [level, stride] : llvm::enumerate(place.strides))
    result.stride[level] = extent(stride);
  return result;
}

void EntryBuilder::launch(const plan::Step &step, kiln_node &node) {
  const auto &[kernel, launchExtents] = launches.find(step.op)->second;
  node.kernel = kernel;
  std::vector<kiln_extent> values;
  for (const Dim &dim : launchExtents)
    values.push_back(extent(dim));
  node.extent_count = values.size();
  node.extents = pool.array<kiln_extent>(values);
  if (step.scratch)
    node.scratch = place(*step.scratch);
}

kiln_node EntryBuilder::node(const plan::Step &step) {
  static const kiln_node_kind kinds[] = {KILN_NODE_SEQUENCE, KILN_NODE_LAUNCH, KILN_NODE_COPY,
                                         KILN_NODE_REPEAT,   KILN_NODE_WHILE,  KILN_NODE_IF};
  kiln_node result = {};
  result.kind = kinds[static_cast<int>(step.kind)];
  result.index_slot = -1;
  result.count = {0, -1};
  result.scratch.offset = -1; // none
  for (kiln_extent &stride : result.scratch.stride)
    stride = {0, -1};
  for (kiln_extent &stride : result.condition.stride)
    stride = {0, -1};
  std::vector<kiln_place> places;
  for (const plan::Place &p : step.places)
    places.push_back(place(p));
  result.place_count = places.size();
  result.places = pool.array<kiln_place>(places);
  switch (step.kind) {
  case plan::Step::Kind::launch:
    launch(step, result);
    return result;
  case plan::Step::Kind::copy:
    result.count = extent(step.count);
    return result;
  case plan::Step::Kind::repeat:
    result.count = extent(step.count);
    result.index_slot = static_cast<int32_t>(extents.size() + step.level);
    result.reverse = llvm::cast<ScanOp>(step.op).getReverse();
    break;
  case plan::Step::Kind::loop:
  case plan::Step::Kind::branch:
    result.condition = place(step.condition);
    break;
  case plan::Step::Kind::sequence:
    break;
  }
  std::vector<kiln_node> children;
  for (const plan::Step &child : step.children)
    children.push_back(node(child));
  result.child_count = children.size();
  result.children = pool.array<kiln_node>(children);
  return result;
}

EntryDescription EntryBuilder::describe() const {
  EntryDescription description;
  description.arguments = plan.arguments;
  Bounds least = leastOf(plan.function);
  auto limits = plan.function->getAttrOfType<mlir::DictionaryAttr>("kiln.limits");
  auto names = plan.function->getAttrOfType<mlir::DictionaryAttr>("kiln.limit_names");
  for (const std::string &name : plan.symbols) {
    EntryDescription::Symbol &symbol = description.symbols.emplace_back();
    symbol.name = name;
    if (auto bound = plan.bounds.find(name); bound != plan.bounds.end())
      symbol.bound = bound->second;
    if (auto value = least.find(name); value != least.end())
      symbol.least = value->second;
    if (auto value = limits ? limits.getAs<mlir::IntegerAttr>(name) : nullptr)
      symbol.limit = value.getInt();
    if (auto text = names ? names.getAs<mlir::StringAttr>(name) : nullptr)
      symbol.limitName = text.getValue().str();
  }
  if (auto dims = plan.function->getAttrOfType<DimsAttr>("kiln.nonempty"))
    for (const Dim &dim : dims.dims())
      description.nonEmpty.push_back(dim);
  description.extents = extents;
  for (unsigned level = 0; level < levels; ++level)
    description.extents.push_back(loopCounter(level));
  description.lowerBound = plan.lowerBound;
  description.redZones = plan::redZones(plan);
  description.memory = plan::explain(plan);
  return description;
}

/// The states that an optimizer keeps.
static llvm::StringSet<> optimizerStates(mlir::func::FuncOp function) {
  llvm::StringSet<> names;
  auto module = function->getParentOfType<mlir::ModuleOp>();
  auto states = module ? module->getAttrOfType<mlir::ArrayAttr>("kiln.states") : nullptr;
  for (mlir::Attribute one : states ? states.getValue() : llvm::ArrayRef<mlir::Attribute>()) {
    auto state = llvm::dyn_cast<mlir::DictionaryAttr>(one);
    auto name = state ? state.getAs<mlir::StringAttr>("name") : nullptr;
    auto kind = state ? state.getAs<mlir::StringAttr>("kind") : nullptr;
    if (name && kind && kind.getValue() == "optimizer")
      names.insert(name.getValue());
  }
  return names;
}

const ArgumentRow *EntryBuilder::arguments() {
  llvm::StringSet<> optimizers = optimizerStates(plan.function);
  std::vector<ArgumentRow> rows;
  for (auto [number, argument] : llvm::enumerate(plan.arguments)) {
    ArgumentTitle title = titleOf(argument, number);
    ArgumentRow &row = rows.emplace_back();
    row.role = roleOf(title.role, title.role == "state" && optimizers.contains(title.name));
    row.flags = argument.result    ? KILN_ARGUMENT_WRITTEN
                : argument.donated ? KILN_ARGUMENT_READ | KILN_ARGUMENT_WRITTEN
                                   : KILN_ARGUMENT_READ;
    row.name = pool.string(title.name);
    row.dtype = dtypeOf(llvm::cast<mlir::RankedTensorType>(argument.type).getElementType());
    std::vector<kiln_extent> dims;
    bool known = true;
    for (const Dim &dim : dimsOf(argument.type)) {
      known &= dim.constant() || llvm::is_contained(extents, dim);
      dims.push_back(known ? extent(dim) : kiln_extent{0, -1});
    }
    row.rank = static_cast<uint32_t>(dims.size());
    row.dims = known && row.rank ? pool.array<kiln_extent>(dims) : nullptr;
  }
  return pool.array<ArgumentRow>(rows);
}

mlir::LogicalResult EntryBuilder::build(llvm::StringRef name, EntryRow &entry, EntryDescription &description) {
  if (mlir::failed(collect(plan.root)))
    return mlir::failure();
  for (ConstantOp constant : plan.constants) {
    mlir::FailureOr<int64_t> offset = constants.offsetOf(constant);
    if (mlir::failed(offset))
      return mlir::failure();
    constantOffsets.push_back(*offset);
  }
  entry = {};
  entry.name = pool.string(name);
  std::vector<int64_t> bytes;
  for (const plan::Argument &argument : plan.arguments)
    bytes.push_back(upperBound(plan::bytesOf(argument.type), plan.bounds).value_or(0));
  entry.argument_count = bytes.size();
  entry.argument_bytes = pool.array<int64_t>(bytes);
  entry.arguments = arguments();
  entry.extent_count = extents.size() + levels;
  entry.loop_slot_count = levels;
  std::vector<int64_t> extentBounds(entry.extent_count);
  for (auto [bound, dim] : llvm::zip(extentBounds, extents))
    bound = upperBound(dim, plan.bounds).value_or(0);
  entry.extent_bounds = pool.array<int64_t>(extentBounds);
  entry.arena_bytes = plan.arenaBytes;
  entry.root = node(plan.root);
  description = describe();
  return mlir::success();
}

mlir::LogicalResult Entries::add(const plan::FunctionPlan &plan, llvm::StringRef name, Kernels &kernels,
                                 GroupKernels &groupKernels) {
  EntryRow row;
  EntryDescription description;
  if (mlir::failed(EntryBuilder(plan, kernels, groupKernels, constants_, pool_).build(name, row, description)))
    return mlir::failure();
  rows_.push_back(row);
  descriptions_.push_back(std::move(description));
  return mlir::success();
}

} // namespace kiln::host
