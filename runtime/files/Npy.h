// NumPy's .npy files (format 1 to 3; little-endian; C and Fortran order read, C order written).
#pragma once

#include "runtime/support/Tensor.h"

#include <string>
#include <string_view>

namespace kiln {

/// Rows one behind the other, without a name: where they lie in `bytes`, which may be at any address, so that elements
/// need not be aligned; of an array in Fortran order in `turned`. Throws Error.
TensorView viewNpy(std::string_view bytes, const std::string &what, Memory &turned);
Tensor parseNpy(std::string_view bytes, const std::string &what);
Tensor readNpy(const std::string &path);
/// Atomically. bf16 has no NumPy dtype and is written as f32.
void writeNpy(const std::string &path, const TensorView &tensor);

} // namespace kiln
