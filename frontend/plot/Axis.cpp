#include "frontend/plot/Axis.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln::plot {

namespace {

/// 1, 2 or 5 times a power of ten, near `rough`.
double roundStep(double rough) {
  double power = std::pow(10, std::floor(std::log10(rough))), rest = rough / power;
  return (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10) * power;
}

} // namespace

std::string plainNumber(double value, int decimals) {
  std::string text = format("%.*f", decimals, value);
  size_t point = text.find('.'), digits = text[0] == '-' ? 1 : 0;
  for (size_t at = (point == std::string::npos ? text.size() : point); at > digits + 3;)
    text.insert(at -= 3, ",");
  return text.find_first_not_of("-0.,") == std::string::npos && text[0] == '-' ? text.substr(1) : text;
}

Axis::Axis(double low, double high, bool logarithmic, int wanted, bool round)
    : low_(low), high_(high), logarithmic_(logarithmic) {
  if (logarithmic) {
    if (high <= low * 1.001) {
      low_ = low / 2;
      high_ = high * 2;
    }
    double decades = std::log10(high_) - std::log10(low_); // whose quotient may overflow
    int every = std::max(1, static_cast<int>(std::ceil(decades / wanted)));
    for (int power = static_cast<int>(std::floor(std::log10(low_))); std::pow(10, power) <= high_ * 1.0001; ++power)
      for (double factor : {1.0, 2.0, 5.0})
        if (double tick = factor * std::pow(10, power);
            tick >= low_ * 0.9999 && tick <= high_ * 1.0001 && (factor == 1 ? power % every == 0 : decades < 2.5))
          ticks_.push_back(tick);
    return;
  }
  if (high - low <= 1e-12 * std::max(std::abs(low), std::abs(high)) || high == low) {
    double by = low == 0 ? 1 : std::abs(low) / 10;
    low_ = low - by;
    high_ = high + by;
  }
  step_ = roundStep((high_ - low_) / wanted);
  if (round) {
    low_ = step_ * std::floor(low_ / step_ + 1e-9);
    high_ = step_ * std::ceil(high_ / step_ - 1e-9);
  }
  for (double at = std::ceil(low_ / step_ - 1e-9); at * step_ <= high_ + step_ * 1e-9; ++at)
    ticks_.push_back(at * step_);
}

double Axis::place(double value) const {
  return logarithmic_ ? (std::log(value) - std::log(low_)) / (std::log(high_) - std::log(low_))
                      : (value - low_) / (high_ - low_);
}

std::string Axis::label(double tick) const {
  double size = std::max(std::abs(low_), std::abs(high_));
  if (logarithmic_ ? tick < 1e-3 || tick >= 1e6 : size >= 1e7 || size < 1e-3)
    return tick == 0 ? "0" : shortest(static_cast<float>(tick));
  double step = logarithmic_ ? tick : step_;
  int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  return plainNumber(tick, decimals);
}

} // namespace kiln::plot
