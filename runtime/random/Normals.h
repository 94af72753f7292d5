// Many normal numbers at once.
#pragma once

#include "runtime/random/Philox.h"

namespace kiln {

/// The most that is asked of the processor; what it lacks is not used.
enum class NormalsBy : uint8_t { Plain, AVX2, AVX512 };
/// The widest that this processor has and its operating system keeps.
NormalsBy widestNormals();

/// to[i] = mean + deviation * random.normal(first + i) rounded to f32, to the bit, for `count` of them; `first` is
/// even.
void fillNormals(const RandomStream &random, double mean, double deviation, uint64_t first, int64_t count, float *to,
                 NormalsBy most = NormalsBy::AVX512);

} // namespace kiln
