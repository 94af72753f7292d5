// The manifest's text from what the program stores.

#include "backends/host/ManifestWriter.h"

#include "backends/api/kiln_text.h"
#include "backends/host/Cost.h"
#include "runtime/backend/Tree.h"

// MLIR is built without exceptions.
#define JSON_NOEXCEPTION
#include "nlohmann/json.hpp"

namespace kiln::host {

using json = nlohmann::ordered_json;

static json shapeJson(mlir::Type type) {
  json shape = json::array();
  for (const Dim &dim : dimsOf(type)) {
    if (std::optional<int64_t> constant = dim.constant())
      shape.push_back(*constant);
    else
      shape.push_back(dim.str());
  }
  return shape;
}

//===-- What the module says -------------------------------------------------------------------------------------===//

static json toJson(mlir::Attribute attribute) {
  if (auto dictionary = llvm::dyn_cast<mlir::DictionaryAttr>(attribute)) {
    json result = json::object();
    for (mlir::NamedAttribute entry : dictionary) {
      // A tensor type becomes two keys, wherever it stands.
      if (auto type = llvm::dyn_cast<mlir::TypeAttr>(entry.getValue());
          type && llvm::isa<mlir::RankedTensorType>(type.getValue())) {
        auto tensor = llvm::cast<mlir::RankedTensorType>(type.getValue());
        result["dtype"] = dtypeName(dtypeOf(tensor.getElementType())).str();
        result["shape"] = shapeJson(tensor);
      } else {
        result[entry.getName().str()] = toJson(entry.getValue());
      }
    }
    return result;
  }
  if (auto array = llvm::dyn_cast<mlir::ArrayAttr>(attribute)) {
    json result = json::array();
    for (mlir::Attribute element : array)
      result.push_back(toJson(element));
    return result;
  }
  if (auto flag = llvm::dyn_cast<mlir::BoolAttr>(attribute))
    return flag.getValue();
  if (auto integer = llvm::dyn_cast<mlir::IntegerAttr>(attribute))
    return integer.getType().isUnsignedInteger() ? json(integer.getValue().getZExtValue())
                                                 : json(integer.getValue().getSExtValue());
  if (auto number = llvm::dyn_cast<mlir::FloatAttr>(attribute)) {
    double value = number.getValueAsDouble();
    if (std::isfinite(value))
      return value;
    return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"; // JSON has no such numbers
  }
  if (auto text = llvm::dyn_cast<mlir::StringAttr>(attribute))
    return text.getValue().str();
  if (auto symbol = llvm::dyn_cast<mlir::FlatSymbolRefAttr>(attribute))
    return symbol.getValue().str();
  if (auto array = llvm::dyn_cast<mlir::DenseI64ArrayAttr>(attribute))
    return json(array.asArrayRef().vec());
  if (auto dims = llvm::dyn_cast<DimsAttr>(attribute)) {
    json result = json::array();
    for (mlir::StringAttr expr : dims.getExprs())
      result.push_back(expr.getValue().str());
    return result;
  }
  if (llvm::isa<mlir::UnitAttr>(attribute))
    return true;
  return nullptr;
}

ArgumentTitle titleOf(const plan::Argument &argument, size_t number) {
  static const char *named[] = {"input",    "parameter", "state",  "output",  "metric",
                                "gradient", "part",      "weight", "arranged"};
  static const char *plain[] = {"seed", "step", "loss"};
  ArgumentTitle title{argument.result ? "output" : "input", "arg" + std::to_string(number)};
  mlir::DictionaryAttr attributes = argument.attributes;
  for (const char *role : named)
    if (auto name = attributes ? attributes.getAs<mlir::StringAttr>("kiln." + std::string(role)) : nullptr)
      title = {role, name.getValue().str()};
  for (const char *role : plain)
    if (attributes && attributes.contains("kiln." + std::string(role)))
      title = {role, role};
  return title;
}

/// An argument's or result's role, name, dtype and shape.
static json argumentJson(const plan::Argument &argument, size_t number) {
  json result;
  ArgumentTitle title = titleOf(argument, number);
  result["role"] = title.role;
  result["name"] = title.name;
  result["dtype"] = dtypeName(dtypeOf(llvm::cast<mlir::RankedTensorType>(argument.type).getElementType())).str();
  result["shape"] = shapeJson(argument.type);
  if (auto order = argument.attributes ? argument.attributes.getAs<mlir::DenseI64ArrayAttr>("kiln.order") : nullptr)
    result["order"] = order.asArrayRef().vec();
  if (auto below = argument.attributes ? argument.attributes.getAs<mlir::IntegerAttr>("kiln.below") : nullptr)
    result["below"] = below.getInt();
  if (auto by = argument.attributes ? argument.attributes.getAs<mlir::ArrayAttr>("kiln.below_by") : nullptr;
      by && by.size() == 1)
    result["below_by"] = llvm::cast<mlir::StringAttr>(by[0]).getValue().str();
  if (argument.result)
    result["result"] = true;
  if (argument.donated)
    result["donated"] = true;
  return result;
}

//===-- What the program's structs say ---------------------------------------------------------------------------===//

static json extentJson(const kiln_extent &extent) { return json::array({extent.value, extent.slot}); }

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

static json valueJson(const ValueRow &type) {
  json dims = json::array();
  for (uint32_t d = 0; d < type.rank; ++d)
    dims.push_back(extentJson(type.dims[d]));
  return {{"dtype", dtypeName(type.dtype).str()}, {"dims", dims}};
}

static json placeJson(const kiln_place &place) {
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

/// What an output is, so that the run side can look into it when a loss is not finite.
static json outputJson(const kiln_kernel &kernel, uint32_t value) {
  json output = valueJson(kernel.values[value]);
  for (size_t o = 0; o < kernel.op_count; ++o)
    for (size_t r = 0; r < kernel.ops[o].result_count; ++r)
      if (kernel.ops[o].results[r] == value)
        output["op"] = o;
  return output;
}

/// Whether an op of the kernel gives values of the dtype.
static bool computes(const kiln_kernel &kernel, kiln_dtype dtype) {
  for (size_t o = 0; o < kernel.op_count; ++o) {
    const OpRow &op = kernel.ops[o];
    for (size_t r = 0; r < op.result_count; ++r)
      if (kernel.values[op.results[r]].dtype == dtype)
        return true;
    if (op.region && computes(*op.region, dtype))
      return true;
  }
  return false;
}

static json kernelJson(const kiln_kernel &kernel, bool describeInputs) {
  json ops = json::array(), outputs = json::array();
  for (size_t i = 0; i < kernel.op_count; ++i) {
    const kiln_location &at = kernel.ops[i].location;
    std::string location =
        at.line ? toString(at.file) + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) : std::string();
    ops.push_back({{"name", toString(kernel.ops[i].name)}, {"location", location}});
  }
  for (size_t i = 0; i < kernel.output_count; ++i)
    outputs.push_back(outputJson(kernel, kernel.outputs[i]));
  json result = {{"name", toString(kernel.name)},
                 {"shape", stringifyGroupShape(static_cast<GroupShape>(kernel.shape))},
                 {"inputs", kernel.input_count},
                 {"outputs", outputs},
                 {"ops", ops},
                 {"cost", costJson(kernel)}};
  if (describeInputs) { // what it reads is brought to it
    json inputs = json::array();
    for (size_t i = 0; i < kernel.input_count; ++i)
      inputs.push_back(valueJson(kernel.values[kernel.inputs[i]]));
    result["input_types"] = inputs;
    for (kiln_dtype dtype : {KILN_F16, KILN_BF16}) // the coarser one last
      if (kernel.op_count > 1 && computes(kernel, dtype))
        result["narrowest"] = dtypeName(dtype).str();
  }
  return result;
}

static json launchJson(const kiln_node &node) {
  json extents = json::array();
  for (size_t i = 0; i < node.extent_count; ++i)
    extents.push_back(extentJson(node.extents[i]));
  return {{"kernel", node.kernel}, {"extents", extents}, {"scratch", node.scratch.offset}};
}

static json nodeJson(const kiln_node &node) {
  const kiln_node_traits &traits = traitsOf(node);
  json result = {{"node", traits.name}};
  if (traits.places != 0) {
    json places = json::array();
    for (size_t i = 0; i < node.place_count; ++i)
      places.push_back(placeJson(node.places[i]));
    result["places"] = places;
  }
  if (isLaunch(node))
    result.update(launchJson(node));
  if (traits.counts)
    result[traits.loops ? "count" : "bytes"] = extentJson(node.count);
  if (traits.loops) {
    result["index"] = node.index_slot;
    result["reverse"] = node.reverse != 0;
  }
  if (traits.tests)
    result["condition"] = placeJson(node.condition);
  if (traits.children == 0)
    return result;
  json children = json::array();
  for (size_t i = 0; i < node.child_count; ++i)
    children.push_back(nodeJson(node.children[i]));
  result["children"] = std::move(children);
  return result;
}

static json entryJson(const EntryRow &row, const EntryDescription &description) {
  json arguments = json::array(), symbols = json::array(), extents = json::array();
  for (auto [index, argument] : llvm::enumerate(description.arguments)) {
    arguments.push_back(argumentJson(argument, index));
    arguments.back()["bytes"] = row.argument_bytes[index];
  }
  for (const EntryDescription::Symbol &symbol : description.symbols) {
    symbols.push_back({{"name", symbol.name}, {"bound", symbol.bound}});
    if (symbol.least)
      symbols.back()["min"] = *symbol.least;
    if (symbol.limit)
      symbols.back()["limit"] = *symbol.limit;
    if (!symbol.limitName.empty())
      symbols.back()["limit_name"] = symbol.limitName;
  }
  for (const Dim &dim : description.extents)
    extents.push_back(dim.str());
  json result = {{"name", toString(row.name)},    {"arguments", std::move(arguments)},
                 {"symbols", std::move(symbols)}, {"extents", std::move(extents)},
                 {"arena", row.arena_bytes},      {"lower_bound", description.lowerBound},
                 {"plan", nodeJson(row.root)}};
  for (const Dim &dim : description.nonEmpty)
    result["nonempty"].push_back(dim.str());
  for (const plan::RedZone &zone : description.redZones)
    result["red_zones"].push_back({zone.offset, zone.bytes, zone.after});
  return result;
}

/// What a module says of itself in attributes.
static json moduleJson(mlir::ModuleOp module) {
  json result;
  result["format"] = 0;
  result["model"] = module.getName() ? module.getName()->str() : std::string();
  for (const char *key : {"parameters", "states", "data"}) {
    mlir::Attribute value = module->getAttr("kiln." + std::string(key));
    result[key] = value ? toJson(value) : json::array();
  }
  for (const char *key : {"train", "generate"}) {
    mlir::Attribute value = module->getAttr("kiln." + std::string(key));
    result[key] = value ? toJson(value) : json::object();
  }
  for (const char *key : {"audio", "labels", "picture", "stages"})
    if (mlir::Attribute value = module->getAttr("kiln." + std::string(key)))
      result[key] = toJson(value);
  return result;
}

std::string writeRecipes(mlir::ModuleOp module) {
  json result = moduleJson(module);
  result["parameters"] = result["states"] = result["backends"] = result["kernels"] = result["entries"] = json::array();
  return result.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string writeManifest(const ManifestSource &source) {
  const kiln_target &target = source.backends.front().target;
  json result = moduleJson(source.module);
  result["target"] = {{"triple", toString(target.triple)}, {"cpu", toString(target.cpu)}, {"features", json::array()}};
  result["backends"] = json::array();
  for (uint32_t used : source.used)
    result["backends"].push_back(source.backends[used].backend->name());
  for (uint32_t used : source.used) {
    const kiln_target &one = source.backends[used].target;
    for (size_t i = 0; i < one.setting_count; ++i)
      result["backend_options"][source.backends[used].backend->name()][toString(one.settings[i].name)] =
          toString(one.settings[i].value);
  }
  result["kernels"] = json::array();
  for (auto [kernel, origin] : llvm::zip(source.kernels.rows(), source.kernels.origins())) {
    auto number = llvm::find(source.used, origin.target) - source.used.begin();
    json one = kernelJson(kernel, source.used.size() > 1 || source.describeInputs);
    if (number != 0)
      one["backend"] = number;
    result["kernels"].push_back(std::move(one));
  }
  result["constants"] = source.entries.constants().size();
  result["entries"] = json::array();
  for (auto [row, description] : llvm::zip(source.entries.rows(), source.entries.descriptions()))
    result["entries"].push_back(entryJson(row, description));
  return result.dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace kiln::host
