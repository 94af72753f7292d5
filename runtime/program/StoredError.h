// How far a matrix is from what it was.
#pragma once

#include <string>

namespace kiln {

/// Of a matrix that was put into blocks: the root of its mean squared error, over that of its elements.
struct StoredError {
  std::string name;
  double relative = 0;
  bool byImportance = false; ///< where inputs are small it is far, and was chosen so
};

} // namespace kiln
