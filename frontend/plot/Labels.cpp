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

Box Labels::beside(const Wanted &one, int x, int y, double gap) {
  double width = textWidth(one.text, kSize), along = gap * (y ? 0.6 : 1), across = gap * (x ? 0.4 : 1);
  double left = x > 0 ? one.at.x + along : x < 0 ? one.at.x - along - width : one.at.x - width / 2;
  double top = y > 0 ? one.at.y + across : y < 0 ? one.at.y - across - kSize : one.at.y - kSize / 2;
  return {left, top, left + width, top + kSize};
}

size_t Labels::place(Drawing &drawing) {
  size_t dropped = 0;
  for (const Wanted &one : wanted_) {
    bool found = false;
    for (double away : {0.0, 12.0, 26.0}) { // what stands further off has a line that leads to it
      for (Side side : kSides) {
        Box box = beside(one, side.x, side.y, one.radius + 2 + away);
        Point to = {std::clamp(one.at.x, box.left, box.right), std::clamp(one.at.y, box.top, box.bottom)};
        Box way = {std::min(one.at.x, to.x) - 1, std::min(one.at.y, to.y) - 1, std::max(one.at.x, to.x) + 1,
                   std::max(one.at.y, to.y) + 1};
        auto meets = [&](const Box &other) { return way.meets(other); };
        bool crosses = away > 0 && (std::any_of(placed_.begin(), placed_.end(), meets) ||
                                    std::count_if(points_.begin(), points_.end(), meets) > 1); // its own is one
        if (found || crosses || !isFree(box))
          continue;
        found = true;
        placed_.push_back(box);
        if (away > 0) {
          placed_.push_back(way);
          drawing.line(one.at, to, {Role::Muted}, 0.8);
        }
        drawing.add(Text{{box.left, box.top + kSize * 0.82}, one.text, kSize});
      }
    }
    dropped += !found;
  }
  return dropped;
}

} // namespace kiln::plot
