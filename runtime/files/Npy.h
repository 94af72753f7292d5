// NumPy's .npy files (format 1 to 3; little-endian; C order read and written, Fortran order refused).
#pragma once

#include "runtime/support/Tensor.h"

#include <string>
#include <string_view>

namespace kiln {

Tensor parseNpy(std::string_view bytes, const std::string &what);
Tensor readNpy(const std::string &path);
/// Atomically. bf16 has no NumPy dtype and is written as f32.
void writeNpy(const std::string &path, const TensorView &tensor);

} // namespace kiln
