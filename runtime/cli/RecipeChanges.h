// What has changed in a recipe since a checkpoint was written.
#pragma once

#include "runtime/program/Manifest.h"

#include <string>
#include <vector>

namespace kiln {

/// The recipe as a checkpoint keeps it: JSON of `train` and `data`.
std::string recipeText(const Manifest &manifest);

struct RecipeChanges {
  std::vector<std::string> told;    ///< "optimizer.lr: 0.01, now 0.001": a run may go on with them
  std::vector<std::string> refused; ///< with these what the optimizer keeps means nothing
  bool otherMetric = false;         ///< the best so far was measured by something else
};

/// How long to train, how often to log and to write checkpoints are no changes. `was`: recipeText of an earlier
/// program. Throws Error where it cannot be read.
RecipeChanges changesSince(const std::string &was, const Manifest &manifest, const std::string &what);

} // namespace kiln
