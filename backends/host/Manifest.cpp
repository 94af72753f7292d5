#include "backends/host/Storage.h"

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

json toJson(mlir::Attribute attribute) {
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

json argumentJson(const plan::Argument &argument, unsigned number) {
  json result;
  static const char *named[] = {"input", "parameter", "state", "output", "metric", "gradient", "part", "weight"};
  static const char *plain[] = {"seed", "step", "loss"};
  result["role"] = argument.result ? "output" : "input";
  result["name"] = "arg" + std::to_string(number);
  mlir::DictionaryAttr attributes = argument.attributes;
  for (const char *role : named)
    if (auto name = attributes ? attributes.getAs<mlir::StringAttr>("kiln." + std::string(role)) : nullptr) {
      result["role"] = role;
      result["name"] = name.getValue().str();
    }
  for (const char *role : plain)
    if (attributes && attributes.contains("kiln." + std::string(role))) {
      result["role"] = role;
      result["name"] = role;
    }
  result["dtype"] = dtypeName(dtypeOf(llvm::cast<mlir::RankedTensorType>(argument.type).getElementType())).str();
  result["shape"] = shapeJson(argument.type);
  if (argument.result)
    result["result"] = true;
  if (argument.donated)
    result["donated"] = true;
  return result;
}

static std::string text(kiln_string string) { return std::string(string.data ? string.data : "", string.size); }

std::string writeManifest(mlir::ModuleOp module, OwnedProgram::Storage &storage) {
  const kiln_target &target = storage.targets[0].target;
  json result;
  result["format"] = 0;
  result["model"] = module.getName() ? module.getName()->str() : std::string();
  result["target"] = {{"triple", text(target.triple)}, {"cpu", text(target.cpu)}, {"features", json::array()}};
  for (const char *key : {"parameters", "states", "data"}) {
    mlir::Attribute value = module->getAttr("kiln." + std::string(key));
    result[key] = value ? toJson(value) : json::array();
  }
  for (const char *key : {"train", "generate"}) {
    mlir::Attribute value = module->getAttr("kiln." + std::string(key));
    result[key] = value ? toJson(value) : json::object();
  }
  json backends = json::array();
  for (uint32_t used : storage.used)
    backends.push_back(storage.targets[used].backend->name());
  result["backends"] = backends;
  for (size_t i = 0; i < storage.kernels.size(); ++i)
    if (storage.kernelTarget[i] != 0)
      storage.kernelsJson[i]["backend"] = llvm::find(storage.used, storage.kernelTarget[i]) - storage.used.begin();
  result["kernels"] = storage.kernelsJson;
  result["constants"] = storage.constants.size();
  result["entries"] = storage.entriesJson;
  return result.dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace kiln::host
