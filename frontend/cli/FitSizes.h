// A model's arguments that say how many words, characters or classes there are, made to fit the data that it is given.
#pragma once

#include "frontend/driver/Options.h"

#include "absl/status/status.h"

#include <string>
#include <vector>

namespace kiln {

/// Adds to `options.set` what the model's own numbers are too small for, and says so on stderr; what the user has set
/// stays. `data`: NAME=PATH; `weights`: safetensors files, which stay as they are where they are `fixed`, whatever the
/// data have. A status where these cannot be read, or no recipe has such data; errors of the model's text are left to
/// the compile that follows.
absl::Status fitSizes(ModelOptions &options, const std::vector<std::string> &data,
                      const std::vector<std::string> &weights, bool fixed);

/// The same for what `kiln train` and the like hand on to the program (--data, --load, --resume): what cannot be read
/// is left to the program, which says it.
void fitSizesTo(const std::string &command, const std::vector<std::string> &arguments, ModelOptions &options);

/// The same for weights alone, of a model that is not to be trained here.
void fitSizesToWeights(ModelOptions &options);

} // namespace kiln
