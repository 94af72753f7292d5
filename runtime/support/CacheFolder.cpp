// From the environment: our own variable, else as freedesktop.org has it.
#include "runtime/support/CacheFolder.h"

#include <cstdlib>

namespace kiln {

const std::string &cacheFolder() {
  static const std::string folder = [] {
    if (const char *own = std::getenv("KILN_CACHE_DIR"); own && *own)
      return std::string(own);
    if (const char *xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg)
      return std::string(xdg) + "/kiln";
    const char *home = std::getenv("HOME");
    return home && *home ? std::string(home) + "/.cache/kiln" : std::string();
  }();
  return folder;
}

} // namespace kiln
