// Where what saves time at the next build or start is kept.
#pragma once

#include <string>

namespace kiln {

/// $KILN_CACHE_DIR, else $XDG_CACHE_HOME/kiln, else ~/.cache/kiln, whether it is there or not; empty where neither is
/// named.
const std::string &cacheFolder();

} // namespace kiln
