// Places in the source, as locations hold them.
#pragma once

#include "mlir/IR/Location.h"

#include <string>

namespace kiln {

/// The place in the source that a user should look at; null where there is none.
mlir::FileLineColLoc fileLocation(mlir::Location location);
/// "gpt.kiln:12:9"; empty where there is none.
std::string locationText(mlir::Location location);

} // namespace kiln
