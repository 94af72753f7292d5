// Types and attributes walked by MLIR's replacer.

#include "ir/Symbols.h"

#include "mlir/IR/AttrTypeSubElements.h"
#include "llvm/ADT/STLExtras.h"

namespace kiln {

void fixSymbol(mlir::Operation *function, const std::string &symbol, int64_t value) {
  std::map<std::string, Dim> values = {{symbol, Dim(value)}};
  auto fixed = [&](llvm::ArrayRef<Dim> dims) {
    return llvm::to_vector(llvm::map_range(dims, [&](const Dim &dim) { return dim.substitute(values); }));
  };
  mlir::AttrTypeReplacer replacer;
  replacer.addReplacement([&](DimsAttr dims) { return DimsAttr::get(dims.getContext(), fixed(dims.dims())); });
  replacer.addReplacement([&](mlir::RankedTensorType type) -> std::pair<mlir::Type, mlir::WalkResult> {
    return {tensorType(fixed(dimsOf(type)), type.getElementType()), mlir::WalkResult::skip()};
  });
  replacer.recursivelyReplaceElementsIn(function, /*replaceAttrs=*/true, /*replaceLocs=*/false, /*replaceTypes=*/true);
}

} // namespace kiln
