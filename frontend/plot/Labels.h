// Labels beside points: each where nothing else is, or nowhere.
#pragma once

#include "frontend/plot/Drawing.h"

namespace kiln::plot {

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
  bool meets(const Box &other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

class Labels {
public:
  explicit Labels(Box inside) : inside_(inside) {}

  void add(Point at, double radius, std::string text) { wanted_.push_back({at, radius, std::move(text)}); }
  void keepClear(Point at, double radius) {
    points_.push_back({at.x - radius, at.y - radius, at.x + radius, at.y + radius});
  }
  /// Draws them, the first added first; how many found no place.
  size_t place(Drawing &drawing);

private:
  struct Wanted {
    Point at;
    double radius;
    std::string text;
  };
  bool isFree(const Box &box) const;
  /// Where the text stands on a side of its point: -1 left or above, 1 right or below.
  static Box beside(const Wanted &one, int x, int y, double gap);

  Box inside_;
  std::vector<Wanted> wanted_;
  std::vector<Box> points_, placed_;
};

} // namespace kiln::plot
