// In which blocks a program keeps weights that come in some.
#pragma once

#include "frontend/driver/Options.h"
#include "passes/StoreWeights/StoreWeights.h"

#include "absl/status/statusor.h"

#include <string>

namespace kiln {

/// Those of a model from elsewhere, as its import leaves them, or of the file that `--weights-as` names.
absl::StatusOr<StoredForms> storedForms(const ModelOptions &options);

} // namespace kiln
