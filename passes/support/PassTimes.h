// How long each pass of a pipeline took.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace mlir {
class PassManager;
} // namespace mlir

namespace kiln {

/// The passes that ran, in their order, each with its seconds, those of a pass that ran several times added up.
using PassTimes = std::vector<std::pair<std::string, double>>;

/// Has `passes` write into `times`, which outlives them. For a context without threads.
void timePasses(mlir::PassManager &passes, PassTimes &times);

} // namespace kiln
