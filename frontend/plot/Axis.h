// An axis: from numbers to places, with ticks at round numbers.
#pragma once

#include <string>
#include <vector>

namespace kiln::plot {

class Axis {
public:
  /// Of all that is between `low` and `high`, widened to round numbers where `round` says so, in some `wanted` steps.
  Axis(double low, double high, bool logarithmic, int wanted, bool round);

  /// 0 at the low end, 1 at the high one.
  double place(double value) const;
  const std::vector<double> &ticks() const { return ticks_; }
  std::string label(double tick) const;
  double low() const { return low_; }
  double high() const { return high_; }

private:
  double low_, high_, step_ = 0;
  bool logarithmic_;
  std::vector<double> ticks_;
};

/// 12,345.6 with so many digits behind the point; 1e-7 where it is very small or large.
std::string plainNumber(double value, int decimals);

} // namespace kiln::plot
