#include "frontend/plot/Labels.h"

#include <algorithm>

namespace kiln::plot {

namespace {

constexpr double kSize = 11;

struct Side {
  int x, y; // of the point: -1 left or above, 1 right or below
};
constexpr Side kSides[] = {{1, 0}, {-1, 0}, {0, -1}, {0, 1}, {1, -1}, {1, 1}, {-1, -1}, {-1, 1}};

} // namespace

bool Labels::isFree(const Box &box) const {
  auto meets = [&](const Box &other) { return box.meets(other); };
  return box.left >= inside_.left && box.right <= inside_.right && box.top >= inside_.top &&
         box.bottom <= inside_.bottom && std::none_of(points_.begin(), points_.end(), meets) &&
         std::none_of(placed_.begin(), placed_.end(), meets);
}

size_t Labels::place(Drawing &drawing) {
  size_t dropped = 0;
  for (const Wanted &one : wanted_) {
    double width = textWidth(one.text, kSize), height = kSize, gap = one.radius + 2;
    bool found = false;
    for (Side side : kSides) {
      double left = side.x > 0   ? one.at.x + gap * (side.y ? 0.6 : 1)
                    : side.x < 0 ? one.at.x - gap * (side.y ? 0.6 : 1) - width
                                 : one.at.x - width / 2;
      double top = side.y > 0   ? one.at.y + gap * (side.x ? 0.4 : 1)
                   : side.y < 0 ? one.at.y - gap * (side.x ? 0.4 : 1) - height
                                : one.at.y - height / 2;
      Box box = {left, top, left + width, top + height};
      if (!isFree(box))
        continue;
      placed_.push_back(box);
      drawing.add(Text{{left, top + height * 0.82}, one.text, kSize});
      found = true;
      break;
    }
    dropped += !found;
  }
  return dropped;
}

} // namespace kiln::plot
