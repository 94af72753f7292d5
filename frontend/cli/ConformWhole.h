// For `kiln conform`: composites and ops of a user's own that a backend names, each beside what it is made of.
#pragma once

#include "backends/conformance/Case.h"
#include "frontend/driver/Compile.h"

namespace kiln {

/// Models that hold every composite: a function each, with dynamic dimensions.
extern const char conformComposites[];

/// A case for each composite and custom op of the model, and each custom one's gradient, that is among `names`, which
/// the backend of `options` is to be offered whole.
absl::StatusOr<std::vector<conformance::Case>> wholeCases(const ModelOptions &options,
                                                          const std::vector<std::string> &names, uint32_t seed);

} // namespace kiln
