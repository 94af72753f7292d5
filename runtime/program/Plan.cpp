// The tree, its places and costs, checked against the entry's arguments.

#include "runtime/program/Plan.h"
#include "backends/api/kiln_text.h"

#include "runtime/backend/Tree.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <optional>
#include <set>

namespace kiln {

/// Reads the plan of one entry.
class PlanReader {
public:
  PlanReader(Plan &plan, const EntrySpec &entry, uint64_t constantBytes, std::set<uint32_t> &launched)
      : plan_(plan), entry_(entry), kernelCount_(plan.kernels_.size()), constantBytes_(constantBytes),
        launched_(launched) {}

  kiln_node node(const Json &json, int depth, int loops) {
    if (depth > 100)
      fail("the plan is nested more than 100 levels deep");
    const std::string &kind = json.at("node").string();
    kiln_node node = {};
    node.index_slot = -1;
    node.scratch.space = KILN_SPACE_ARENA;
    node.scratch.offset = -1;
    noStrides(node.scratch);
    noStrides(node.condition);
    int32_t number = nodeKindOf(kind);
    if (number < 0)
      fail("unknown node '%s'", kind.c_str());
    node.kind = static_cast<kiln_node_kind>(number);
    const kiln_node_traits &traits = traitsOf(node);
    if (isLaunch(node)) {
      launch(json, node, loops);
      return node;
    }
    if (traits.loops && loops >= KILN_MAX_LOOPS)
      fail("more than %d loops are nested", KILN_MAX_LOOPS);
    if (traits.places > 0) {
      places(json.at("places"), node, loops);
      if (node.place_count != static_cast<size_t>(traits.places))
        fail("a %s needs %d places", traits.name, traits.places);
    }
    if (traits.counts)
      node.count = extent(json.at(traits.loops ? "count" : "bytes"));
    if (traits.loops)
      loop(json, node);
    if (traits.tests)
      node.condition = place(json.at("condition"), loops);
    if (traits.children != 0)
      children(json, node, depth, loops + traits.loops);
    if (traits.children >= 0 && node.child_count != static_cast<size_t>(traits.children))
      fail("'%s' needs %d children", traits.name, traits.children);
    return node;
  }

private:
  static void noStrides(kiln_place &place) {
    for (kiln_extent &stride : place.stride)
      stride = {0, -1};
  }

  kiln_extent extent(const Json &json) {
    const std::vector<Json> &pair = json.array();
    if (pair.size() != 2)
      fail("'%s': an extent is [value, slot]", json.key().c_str());
    kiln_extent extent;
    extent.value = pair[0].integer();
    extent.slot = static_cast<int32_t>(pair[1].integer(-1, static_cast<int64_t>(entry_.extentCount()) - 1));
    return extent;
  }

  kiln_place place(const Json &json, int loops) {
    const std::vector<Json> &parts = json.array();
    if (parts.size() < 3 || parts.size() > 4)
      fail("'%s': a place is [space, argument, offset, strides]", json.key().c_str());
    kiln_place place = {};
    noStrides(place);
    const std::string &space = parts[0].string();
    int64_t limit = 0;
    if (space == "arg") {
      place.space = KILN_SPACE_ARGUMENT;
      place.argument = static_cast<uint32_t>(parts[1].integer(0, static_cast<int64_t>(entry_.arguments.size()) - 1));
      limit = entry_.arguments[place.argument].bytes;
    } else if (space == "arena") {
      place.space = KILN_SPACE_ARENA;
      limit = entry_.arenaBytes;
    } else if (space == "const") {
      place.space = KILN_SPACE_CONSTANT;
      limit = static_cast<int64_t>(constantBytes_);
    } else {
      fail("unknown space '%s'", space.c_str());
    }
    place.offset = parts[2].integer(0, limit);
    if (parts.size() == 4) {
      const std::vector<Json> &strides = parts[3].array();
      if (static_cast<int>(strides.size()) > loops)
        fail("a place has strides for more loops than surround it");
      for (size_t i = 0; i < strides.size(); ++i)
        place.stride[i] = extent(strides[i]);
    }
    return place;
  }

  void places(const Json &json, kiln_node &node, int loops) {
    std::vector<kiln_place> &list = plan_.places_.emplace_back();
    for (const Json &item : json.array())
      list.push_back(place(item, loops));
    node.place_count = list.size();
    node.places = list.data();
  }

  void loop(const Json &json, kiln_node &node) {
    node.reverse = json.booleanOr("reverse", false);
    node.index_slot =
        static_cast<int32_t>(json.at("index").integer(-1, static_cast<int64_t>(entry_.extentCount()) - 1));
    if (node.index_slot >= 0 && node.index_slot < static_cast<int64_t>(entry_.extents.size()))
      fail("a loop's index is written to a slot that is not a loop's");
  }

  void launch(const Json &json, kiln_node &node, int loops) {
    node.kernel = static_cast<uint32_t>(json.at("kernel").integer(0, static_cast<int64_t>(kernelCount_) - 1));
    places(json.at("places"), node, loops);
    std::vector<kiln_extent> &list = plan_.extents_.emplace_back();
    if (const Json *extents = json.find("extents"))
      for (const Json &item : extents->array())
        list.push_back(extent(item));
    const kiln_kernel &kernel = plan_.kernels_[node.kernel];
    if (kernel.value_count && node.place_count != kernel.value_count)
      fail("kernel %u is launched with %zu places, it has %zu", node.kernel, node.place_count, kernel.value_count);
    for (size_t v = 0; v < kernel.value_count; ++v)
      for (uint32_t d = 0; d < kernel.values[v].rank; ++d)
        if (kernel.values[v].dims[d].slot >= static_cast<int64_t>(list.size()))
          fail("kernel %u has a dimension with an extent that its launch does not give", node.kernel);
    node.extent_count = list.size();
    node.extents = list.data();
    size_t &count = plan_.kernels_[node.kernel].extent_count;
    if (!launched_.insert(node.kernel).second && count != list.size())
      fail("kernel %u is launched with %zu extents, elsewhere with %zu", node.kernel, list.size(), count);
    count = list.size();
    if (const Json *scratch = json.find("scratch"))
      node.scratch.offset = scratch->integer(-1, entry_.arenaBytes);
  }

  void children(const Json &json, kiln_node &node, int depth, int loops) {
    std::vector<kiln_node> list;
    for (const Json &child : json.at("children").array())
      list.push_back(this->node(child, depth + 1, loops));
    node.child_count = list.size();
    node.children = plan_.nodes_.emplace_back(std::move(list)).data();
  }

  Plan &plan_;
  const EntrySpec &entry_;
  size_t kernelCount_;
  uint64_t constantBytes_;
  std::set<uint32_t> &launched_; // kernels whose number of extents is known
};

Plan::Plan(const Manifest &manifest, const uint8_t *constants, uint64_t constantBytes) {
  if (static_cast<uint64_t>(manifest.constantBytes) != constantBytes)
    fail("the program is damaged: its manifest says %lld bytes of constants, it carries %llu",
         static_cast<long long>(manifest.constantBytes), static_cast<unsigned long long>(constantBytes));
  for (const KernelSpec &spec : manifest.kernels) {
    kiln_kernel kernel = {};
    kernel.name = text(spec.name);
    if (spec.backend != 0 || (manifest.backends.size() > 1 && spec.inputTypes.size() == spec.inputs))
      setTypes(kernel, spec);
    kernels_.push_back(kernel);
  }
  std::set<uint32_t> launched;
  for (const EntrySpec &spec : manifest.entries) {
    EntryRow entry = {};
    entry.name = text(spec.name);
    entry.argument_count = spec.arguments.size();
    std::vector<int64_t> &bytes = bytes_.emplace_back();
    for (const ArgumentSpec &argument : spec.arguments)
      bytes.push_back(argument.bytes);
    entry.argument_bytes = bytes.data();
    setArguments(entry, spec, manifest);
    entry.extent_count = spec.extentCount();
    entry.loop_slot_count = spec.loopSlots;
    entry.arena_bytes = spec.arenaBytes;
    try {
      entry.root = PlanReader(*this, spec, constantBytes, launched).node(spec.plan, 0, 0);
    } catch (const Error &error) {
      fail("the program's manifest is damaged: entry '%s': %s", spec.name.c_str(), error.what());
    }
    entries_.push_back(entry);
  }
  program_.kernel_count = kernels_.size();
  program_.kernels = kernels_.data();
  program_.entry_count = entries_.size();
  program_.entries = entries_.data();
  program_.constants = constants;
  program_.constant_bytes = constantBytes;
  std::vector<uint32_t> backendOf;
  backendOf.reserve(manifest.kernels.size());
  for (const KernelSpec &spec : manifest.kernels)
    backendOf.push_back(spec.backend);
  placement_ = std::make_unique<Placement>(program_, std::move(backendOf),
                                           static_cast<uint32_t>(std::max<size_t>(manifest.backends.size(), 1)));
}

/// A dimension as an extent of the entry's; null where its table does not hold it.
static std::optional<kiln_extent> extentOf(const Dim &dim, const EntrySpec &spec,
                                           const std::map<std::string, int64_t> &bounds) {
  if (std::optional<int64_t> constant = dim.constant())
    return kiln_extent{*constant, -1};
  auto found = std::find(spec.extents.begin(), spec.extents.end(), dim);
  if (found == spec.extents.end())
    return std::nullopt;
  return kiln_extent{dim.evaluate(bounds).value_or(0), static_cast<int32_t>(found - spec.extents.begin())};
}

void Plan::setArguments(EntryRow &entry, const EntrySpec &spec, const Manifest &manifest) {
  std::map<std::string, int64_t> bounds;
  for (const SymbolSpec &symbol : spec.symbols)
    bounds[symbol.name] = symbol.bound;
  auto isOptimizers = [&](const std::string &name) {
    return std::any_of(manifest.states.begin(), manifest.states.end(),
                       [&](const StateSpec &state) { return state.name == name && state.kind == "optimizer"; });
  };
  std::vector<ArgumentRow> &rows = arguments_.emplace_back();
  for (const ArgumentSpec &argument : spec.arguments) {
    ArgumentRow row = {};
    row.role = roleOf(roleName(argument.role), argument.role == Role::State && isOptimizers(argument.name));
    row.flags = argument.result    ? KILN_ARGUMENT_WRITTEN
                : argument.donated ? KILN_ARGUMENT_READ | KILN_ARGUMENT_WRITTEN
                                   : KILN_ARGUMENT_READ;
    row.name = text(argument.name);
    row.dtype = argument.type.dtype;
    row.rank = static_cast<uint32_t>(argument.type.shape.size());
    std::vector<kiln_extent> dims;
    for (const Dim &dim : argument.type.shape)
      if (std::optional<kiln_extent> extent = extentOf(dim, spec, bounds))
        dims.push_back(*extent);
    bool known = dims.size() == row.rank;
    row.dims = extents_.emplace_back(std::move(dims)).data();
    if (!known || !row.rank)
      row.dims = nullptr;
    rows.push_back(row);
  }
  entry.arguments = rows.data();
}

/// Values of a kernel off the first backend: its inputs, then its outputs.
void Plan::setTypes(kiln_kernel &kernel, const KernelSpec &spec) {
  std::vector<ValueRow> &values = values_.emplace_back();
  for (const auto *types : {&spec.inputTypes, &spec.outputs})
    for (const KernelSpec::Output &type : *types)
      values.push_back({type.dtype, static_cast<uint32_t>(type.dims.size()), type.dims.data()});
  std::vector<uint32_t> &numbers = numbers_.emplace_back();
  for (uint32_t i = 0; i < values.size(); ++i)
    numbers.push_back(i);
  kernel.value_count = values.size();
  kernel.values = values.data();
  kernel.input_count = spec.inputTypes.size();
  kernel.inputs = numbers.data();
  kernel.output_count = spec.outputs.size();
  kernel.outputs = numbers.data() + kernel.input_count;
}

} // namespace kiln
