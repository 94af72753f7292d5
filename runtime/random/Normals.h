// Many normal numbers at once.
#pragma once

#include "runtime/random/Philox.h"

namespace kiln {

/// to[i] = mean + deviation * random.normal(first + i) rounded to f32, to the bit, for `count` of them; `first` is
/// even.
void fillNormals(const RandomStream &random, double mean, double deviation, uint64_t first, int64_t count, float *to);

} // namespace kiln
