#include "ir/Places.h"

namespace kiln {

mlir::FileLineColLoc fileLocation(mlir::Location location) {
  if (auto file = llvm::dyn_cast<mlir::FileLineColLoc>(location))
    return file;
  if (auto name = llvm::dyn_cast<mlir::NameLoc>(location))
    return fileLocation(name.getChildLoc());
  if (auto call = llvm::dyn_cast<mlir::CallSiteLoc>(location))
    return fileLocation(call.getCallee());
  if (auto fused = llvm::dyn_cast<mlir::FusedLoc>(location))
    for (mlir::Location part : llvm::reverse(fused.getLocations()))
      if (mlir::FileLineColLoc file = fileLocation(part))
        return file;
  return {};
}

std::string locationText(mlir::Location location) {
  mlir::FileLineColLoc file = fileLocation(location);
  if (!file)
    return "";
  return file.getFilename().str() + ":" + std::to_string(file.getLine()) + ":" + std::to_string(file.getColumn());
}

} // namespace kiln
