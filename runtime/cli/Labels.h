// Names of classes beside the scores that `run` prints.
#pragma once

#include "runtime/cli/Commands.h"

#include <string>
#include <vector>

namespace kiln {

/// What the entries of a result's last axis are called. (An interface, so that programs without names have no more of
/// it.)
class ClassNames {
public:
  virtual ~ClassNames() = default;

  /// For a result of floats whose last axis has as many entries as there are names; else null.
  virtual const std::vector<std::string> *of(const TensorView &view) const = 0;
  /// Prints the result: each row of scores with the name of the largest behind it; or, of `top` > 0, so many of them,
  /// the largest first, a line each with its name.
  virtual void print(const TensorView &view, int64_t top) const = 0;
  /// The names of the largest, as JSON: a list in a list for each axis but the last; of `top` > 0 in a list of so many.
  virtual std::string json(const TensorView &view, int64_t top) const = 0;
};

} // namespace kiln
