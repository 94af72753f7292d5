// Floats to integers, without what C++ leaves undefined.
#pragma once

#include <cmath>
#include <cstdint>

namespace kiln {

/// Toward zero; the nearest that there is, and 0 for NaN.
inline int64_t toInteger(double value) {
  if (std::isnan(value))
    return 0;
  return value >= 0x1p63 ? INT64_MAX : value < -0x1p63 ? INT64_MIN : static_cast<int64_t>(value);
}

} // namespace kiln
