// What a backend takes, in a few lines.
#pragma once

#include "backends/host/Backend.h"

#include <string>
#include <vector>

namespace kiln {

/// Offers the backend each op in each of its dtypes, as the conformance kit has them, and says what it takes: ops that
/// have the same dtypes stand in one line; "op*" is taken in some forms only. Then what it refuses throughout, with the
/// reasons.
std::vector<std::string> claimLines(const host::Backend &backend);

} // namespace kiln
