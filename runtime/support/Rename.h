// The rule by which a tensor of a file is called otherwise: OLD=NEW.
#pragma once

#include <algorithm>
#include <string_view>

namespace kiln {

/// Whether an old name, a pattern with at most one `*`, and a new one fit: it has no more of them than the old one.
inline bool isRename(std::string_view from, std::string_view to) {
  auto stars = std::count(from.begin(), from.end(), '*');
  return stars <= 1 && std::count(to.begin(), to.end(), '*') <= stars;
}

} // namespace kiln
