// Where backends may keep what saves time at the next start.
#pragma once

#include <string>

namespace kiln {

/// $XDG_CACHE_HOME/kiln, else ~/.cache/kiln, whether it is there or not; empty where neither is named.
const std::string &cacheFolder();

} // namespace kiln
