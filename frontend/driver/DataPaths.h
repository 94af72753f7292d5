// Other files for a recipe's data, within the module that says which it has.
#pragma once

#include "absl/status/status.h"
#include "mlir/IR/BuiltinOps.h"

#include <string>
#include <utility>
#include <vector>

namespace kiln {

/// What a program reads where it is not told otherwise: `paths` by name ("data", "data.test", "finetune.data").
absl::Status setDataPaths(mlir::ModuleOp module, const std::vector<std::pair<std::string, std::string>> &paths);

} // namespace kiln
