// MNIST's IDX files, plain or gzip.
#pragma once

#include "runtime/support/Tensor.h"

#include <string>
#include <string_view>

namespace kiln {

/// Unsigned bytes only (type 0x08), which is what image and label files hold. Throws Error.
Tensor parseIdx(std::string_view bytes, const std::string &what);
Tensor readIdx(const std::string &path);

} // namespace kiln
