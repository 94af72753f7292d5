#include "backends/host/Cost.h"
#include "backends/host/Storage.h"

namespace kiln::host {

using json = nlohmann::ordered_json;

static json sumJson(const CostSum &sum) {
  json terms = json::array();
  for (const CostSum::Term &term : sum.terms) {
    json one = json::array({term.factor});
    for (int32_t slot : term.slots)
      one.push_back(slot);
    terms.push_back(one);
  }
  return terms;
}

static json costJson(const kiln_kernel &kernel) {
  Cost cost = costOf(kernel);
  return {{"flops", sumJson(cost.flops)}, {"bytes", sumJson(cost.bytes)}};
}

namespace {
/// One entry's tree: plan steps to nodes, and the same in JSON.
class EntryBuilder {
public:
  EntryBuilder(const plan::FunctionPlan &plan, OwnedProgram::Storage &storage) : plan(plan), storage(storage) {
    for (const std::string &symbol : plan.symbols)
      extents.push_back(Dim::symbol(symbol));
  }

  mlir::LogicalResult build(llvm::StringRef name);

private:
  mlir::LogicalResult collect(const plan::Step &step);
  void note(const Dim &dim) {
    if (!dim.constant() && !llvm::is_contained(extents, dim))
      extents.push_back(dim);
  }
  mlir::FailureOr<uint32_t> kernelOf(GroupOp group, std::vector<Dim> &launchExtents);
  uint32_t addKernel(KernelForm &form, uint32_t target, const std::string &reason);
  mlir::LogicalResult addConstants();

  kiln_extent extent(const Dim &dim) const {
    if (std::optional<int64_t> constant = dim.constant())
      return {*constant, -1};
    std::string text = dim.str();
    if (text[0] == '@')
      return {0, static_cast<int32_t>(extents.size() + std::stoul(text.substr(1)))};
    auto found = llvm::find(extents, dim);
    return {plan::upperBound(dim, plan.bounds).value_or(0), static_cast<int32_t>(found - extents.begin())};
  }
  static json extentJson(const kiln_extent &extent) { return json::array({extent.value, extent.slot}); }
  kiln_place place(const plan::Place &place) const;
  static json placeJson(const kiln_place &place);
  static json valueJson(const ValueRow &type);
  kiln_node node(const plan::Step &step, json &out);
  void launch(const plan::Step &step, kiln_node &node, json &out);

  const plan::FunctionPlan &plan;
  OwnedProgram::Storage &storage;
  std::vector<Dim> extents; // without the loop counters, which follow
  unsigned levels = 0;
  std::vector<int64_t> constantOffsets; // of the plan's constants
  llvm::DenseMap<mlir::Operation *, std::pair<uint32_t, std::vector<Dim>>> launches;
};
} // namespace

uint32_t EntryBuilder::addKernel(KernelForm &form, uint32_t target, const std::string &reason) {
  auto [found, isNew] =
      storage.kernelByKey.try_emplace(std::to_string(target) + ":" + form.key, storage.kernels.size());
  if (!isNew)
    return found->second;
  std::string name = "k" + std::to_string(storage.kernels.size()) + form.title;
  form.kernel.name = storage.pool.string(name);
  storage.kernels.push_back(form.kernel);
  storage.kernelTarget.push_back(target);
  storage.kernelReasons.push_back(reason);
  json ops = json::array();
  for (size_t i = 0; i < form.kernel.op_count; ++i) {
    const OpRow &op = form.kernel.ops[i];
    std::string location;
    if (op.location.line)
      location = std::string(op.location.file.data, op.location.file.size) + ":" + std::to_string(op.location.line) +
                 ":" + std::to_string(op.location.column);
    ops.push_back({{"name", std::string(op.name.data, op.name.size)}, {"location", location}});
  }
  // What each output is, so that the run side can look into it when a loss is not finite.
  json outputs = json::array();
  for (size_t i = 0; i < form.kernel.output_count; ++i) {
    json output = valueJson(form.kernel.values[form.kernel.outputs[i]]);
    for (size_t o = 0; o < form.kernel.op_count; ++o)
      for (size_t r = 0; r < form.kernel.ops[o].result_count; ++r)
        if (form.kernel.ops[o].results[r] == form.kernel.outputs[i])
          output["op"] = o;
    outputs.push_back(output);
  }
  storage.kernelsJson.push_back({{"name", name},
                                 {"kind", std::string(form.kernel.kind.data, form.kernel.kind.size)},
                                 {"inputs", form.kernel.input_count},
                                 {"outputs", outputs},
                                 {"ops", ops},
                                 {"cost", costJson(form.kernel)}});
  if (target != 0 || storage.describeInputs) { // what it reads is brought to it
    json inputs = json::array();
    for (size_t i = 0; i < form.kernel.input_count; ++i)
      inputs.push_back(valueJson(form.kernel.values[form.kernel.inputs[i]]));
    storage.kernelsJson.back()["input_types"] = inputs;
  }
  return found->second;
}

mlir::FailureOr<uint32_t> EntryBuilder::kernelOf(GroupOp group, std::vector<Dim> &launchExtents) {
  mlir::FailureOr<KernelForm> form = formKernel(group, plan.bounds, storage.pool);
  if (mlir::failed(form))
    return mlir::failure();
  launchExtents = form->extents;
  return addKernel(*form, targetOf(group), placementReason(group));
}

mlir::LogicalResult EntryBuilder::collect(const plan::Step &step) {
  for (const plan::Place &place : step.places)
    for (const Dim &stride : place.strides)
      note(stride);
  note(step.count);
  if (step.kind == plan::Step::Kind::repeat)
    levels = std::max(levels, step.level + 1);
  if (step.kind == plan::Step::Kind::launch) {
    auto &[kernel, launchExtents] = launches[step.op];
    mlir::FailureOr<uint32_t> number = kernelOf(llvm::cast<GroupOp>(step.op), launchExtents);
    if (mlir::failed(number))
      return mlir::failure();
    kernel = *number;
    for (const Dim &dim : launchExtents)
      if (dim.str()[0] != '@')
        note(dim);
  }
  for (const plan::Step &child : step.children)
    if (mlir::failed(collect(child)))
      return mlir::failure();
  return mlir::success();
}

mlir::LogicalResult EntryBuilder::addConstants() {
  for (ConstantOp constant : plan.constants) {
    auto [found, isNew] = storage.constantOffsets.try_emplace(constant.getValueAttr(), 0);
    if (isNew) {
      mlir::FailureOr<std::string> data = elementData(constant.getValue());
      if (mlir::failed(data))
        return constant.emitError() << "a constant that is not dense";
      storage.constants.resize(llvm::alignTo(storage.constants.size(), storage.alignment));
      found->second = storage.constants.size();
      storage.constants += *data;
    }
    constantOffsets.push_back(found->second);
  }
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

json EntryBuilder::valueJson(const ValueRow &type) {
  json dims = json::array();
  for (uint32_t d = 0; d < type.rank; ++d)
    dims.push_back(extentJson(type.dims[d]));
  return {{"dtype", dtypeName(type.dtype).str()}, {"dims", dims}};
}

json EntryBuilder::placeJson(const kiln_place &place) {
  static const char *names[] = {"arena", "arg", "const"};
  json result = json::array({names[place.space], place.argument, place.offset});
  size_t used = 0;
  for (size_t level = 0; level < KILN_MAX_LOOPS; ++level)
    if (place.stride[level].value != 0 || place.stride[level].slot >= 0)
      used = level + 1;
  if (used > 0) {
    json strides = json::array();
    for (size_t level = 0; level < used; ++level)
      strides.push_back(extentJson(place.stride[level]));
    result.push_back(strides);
  }
  return result;
}

void EntryBuilder::launch(const plan::Step &step, kiln_node &node, json &out) {
  const auto &[kernel, launchExtents] = launches.find(step.op)->second;
  node.kernel = kernel;
  std::vector<kiln_extent> values;
  json extentsJson = json::array();
  for (const Dim &dim : launchExtents) {
    values.push_back(extent(dim));
    extentsJson.push_back(extentJson(values.back()));
  }
  node.extent_count = values.size();
  node.extents = storage.pool.array<kiln_extent>(values);
  int64_t scratch = -1;
  if (step.scratch) {
    node.scratch = place(*step.scratch);
    scratch = node.scratch.offset;
  }
  out["kernel"] = kernel;
  out["extents"] = extentsJson;
  out["scratch"] = scratch;
}

kiln_node EntryBuilder::node(const plan::Step &step, json &out) {
  static const std::pair<kiln_node_kind, const char *> kinds[] = {
      {KILN_NODE_SEQUENCE, "sequence"}, {KILN_NODE_LAUNCH, "launch"}, {KILN_NODE_COPY, "copy"},
      {KILN_NODE_REPEAT, "repeat"},     {KILN_NODE_WHILE, "while"},   {KILN_NODE_IF, "if"}};
  kiln_node result = {};
  result.kind = kinds[static_cast<int>(step.kind)].first;
  result.index_slot = -1;
  result.count = {0, -1};
  result.scratch.offset = -1; // none
  for (kiln_extent &stride : result.scratch.stride)
    stride = {0, -1};
  for (kiln_extent &stride : result.condition.stride)
    stride = {0, -1};
  out["node"] = kinds[static_cast<int>(step.kind)].second;
  if (!step.places.empty()) {
    std::vector<kiln_place> places;
    json placesJson = json::array();
    for (const plan::Place &p : step.places) {
      places.push_back(place(p));
      placesJson.push_back(placeJson(places.back()));
    }
    result.place_count = places.size();
    result.places = storage.pool.array<kiln_place>(places);
    out["places"] = placesJson;
  } else if (step.kind == plan::Step::Kind::launch) {
    out["places"] = json::array();
  }
  switch (step.kind) {
  case plan::Step::Kind::launch:
    launch(step, result, out);
    return result;
  case plan::Step::Kind::copy:
    result.count = extent(step.count);
    out["bytes"] = extentJson(result.count);
    return result;
  case plan::Step::Kind::repeat:
    result.count = extent(step.count);
    result.index_slot = extents.size() + step.level;
    result.reverse = llvm::cast<ScanOp>(step.op).getReverse();
    out["count"] = extentJson(result.count);
    out["index"] = result.index_slot;
    out["reverse"] = result.reverse != 0;
    break;
  case plan::Step::Kind::loop:
  case plan::Step::Kind::branch:
    result.condition = place(step.condition);
    out["condition"] = placeJson(result.condition);
    break;
  case plan::Step::Kind::sequence:
    break;
  }
  std::vector<kiln_node> children;
  json childrenJson = json::array();
  for (const plan::Step &child : step.children) {
    json childJson;
    children.push_back(node(child, childJson));
    childrenJson.push_back(std::move(childJson));
  }
  result.child_count = children.size();
  result.children = storage.pool.array<kiln_node>(children);
  out["children"] = std::move(childrenJson);
  return result;
}

mlir::LogicalResult EntryBuilder::build(llvm::StringRef name) {
  if (mlir::failed(collect(plan.root)) || mlir::failed(addConstants()))
    return mlir::failure();
  EntryRow entry = {};
  entry.name = storage.pool.string(name);
  std::vector<int64_t> bytes;
  json arguments = json::array();
  for (auto [index, argument] : llvm::enumerate(plan.arguments)) {
    bytes.push_back(plan::upperBound(plan::bytesOf(argument.type), plan.bounds).value_or(0));
    json description = argumentJson(argument, index);
    description["bytes"] = bytes.back();
    arguments.push_back(std::move(description));
  }
  entry.argument_count = bytes.size();
  entry.argument_bytes = storage.pool.array<int64_t>(bytes);
  entry.extent_count = extents.size() + levels;
  entry.loop_slot_count = levels;
  std::vector<int64_t> extentBounds(entry.extent_count);
  for (auto [bound, dim] : llvm::zip(extentBounds, extents))
    bound = plan::upperBound(dim, plan.bounds).value_or(0);
  entry.extent_bounds = storage.pool.array<int64_t>(extentBounds);
  entry.arena_bytes = plan.arenaBytes;
  json tree;
  entry.root = node(plan.root, tree);
  storage.entries.push_back(entry);

  json symbols = json::array(), table = json::array();
  auto least = plan.function->getAttrOfType<mlir::DictionaryAttr>("kiln.least");
  for (const std::string &symbol : plan.symbols) {
    symbols.push_back({{"name", symbol}, {"bound", plan.bounds.contains(symbol) ? plan.bounds.at(symbol) : 0}});
    if (auto value = least ? least.getAs<mlir::IntegerAttr>(symbol) : nullptr)
      symbols.back()["min"] = value.getInt();
  }
  for (const Dim &dim : extents)
    table.push_back(dim.str());
  for (unsigned level = 0; level < levels; ++level)
    table.push_back("@" + std::to_string(level));
  storage.entriesJson.push_back({{"name", name.str()},
                                 {"arguments", std::move(arguments)},
                                 {"symbols", std::move(symbols)},
                                 {"extents", std::move(table)},
                                 {"arena", plan.arenaBytes},
                                 {"lower_bound", plan.lowerBound},
                                 {"plan", std::move(tree)}});
  json zones = json::array();
  for (const plan::RedZone &zone : plan::redZones(plan))
    zones.push_back({zone.offset, zone.bytes, zone.after});
  if (!zones.empty())
    storage.entriesJson.back()["red_zones"] = std::move(zones);
  return mlir::success();
}

mlir::LogicalResult addEntry(const plan::FunctionPlan &plan, llvm::StringRef name, OwnedProgram::Storage &storage) {
  return EntryBuilder(plan, storage).build(name);
}

} // namespace kiln::host
