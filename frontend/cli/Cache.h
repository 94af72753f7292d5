// Programs that `kiln train` and the like have built before.
#pragma once

#include "frontend/cli/Options.h"

#include "absl/status/statusor.h"

#include <string>

namespace kiln {

/// The path that the program of these options has in the cache ($XDG_CACHE_HOME/kiln, else ~/.cache/kiln): its name is
/// a hash of the options, the model's text and kiln itself, so a stale one is never found. Creates the folder.
absl::StatusOr<std::string> cachePath(const ModelOptions &options);

} // namespace kiln
