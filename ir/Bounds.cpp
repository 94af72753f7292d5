#include "ir/Bounds.h"

#include <algorithm>
#include <vector>

namespace kiln {

static Bounds readBounds(mlir::func::FuncOp function, llvm::StringRef name) {
  Bounds bounds;
  if (auto dictionary = function->getAttrOfType<mlir::DictionaryAttr>(name))
    for (mlir::NamedAttribute bound : dictionary)
      if (auto value = llvm::dyn_cast<mlir::IntegerAttr>(bound.getValue()))
        bounds[bound.getName().str()] = value.getInt();
  return bounds;
}

Bounds boundsOf(mlir::func::FuncOp function) { return readBounds(function, "kiln.bounds"); }
Bounds leastOf(mlir::func::FuncOp function) { return readBounds(function, "kiln.least"); }

std::optional<int64_t> upperBound(const Dim &dim, const Bounds &bounds) {
  if (std::optional<int64_t> constant = dim.constant())
    return constant;
  std::vector<std::string> symbols = dim.symbols();
  if (symbols.size() > 10)
    return std::nullopt;
  for (const std::string &symbol : symbols)
    if (!bounds.contains(symbol))
      return std::nullopt;
  // Dimensions are linear in each symbol for itself (or grow with it), so that the largest value is at a corner.
  std::optional<int64_t> result;
  for (unsigned corner = 0; corner < (1u << symbols.size()); ++corner) {
    std::map<std::string, int64_t> values;
    for (size_t i = 0; i < symbols.size(); ++i)
      values[symbols[i]] = corner >> i & 1 ? 1 : bounds.at(symbols[i]);
    std::optional<int64_t> value = dim.evaluate(values);
    if (!value)
      return std::nullopt;
    result = std::max(result.value_or(*value), *value);
  }
  return result;
}

} // namespace kiln
