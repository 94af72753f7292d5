// Frames, axes and legends around what is drawn, and lines made thinner than the pixels can tell.
#include "frontend/plot/Chart.h"

#include "frontend/plot/Axis.h"
#include "frontend/plot/Labels.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace kiln::plot {

namespace {

struct Range {
  double low = INFINITY, high = -INFINITY;
  void take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

class Frame {
public:
  Frame(const Chart &chart, Drawing &drawing) : chart_(chart), drawing_(drawing) {
    drawing.width = chart.width;
    drawing.height = chart.height;
    drawing.title = chart.title;
    Range x, y;
    bool dots = false;
    for (const Curve &curve : chart.curves) {
      for (double value : curve.x)
        x.take(value);
      for (double value : curve.y)
        y.take(value);
      dots = dots || curve.form == Form::Dots;
    }
    if (!chart.logX && dots && !chart.diagonal) { // marks keep clear of the frame
      double by = (x.high - x.low) / 40;
      x = {x.low - by, x.high + by};
    }
    header();
    bottom_ = chart.height - kEdge - 16 - (chart.xLabel.empty() ? 0 : 20);
    axisY_.emplace(y.low, y.high, chart.logY,
                   std::max(3, static_cast<int>((bottom_ - top_) / (chart.diagonal ? 90 : 55))), !chart.equal);
    double widest = 0;
    for (double tick : axisY_->ticks())
      widest = std::max(widest, textWidth(axisY_->label(tick), kSmall));
    left_ = kEdge + widest + 8;
    right_ = chart.width - kEdge - 14;
    axisX_.emplace(x.low, x.high, chart.logX, std::max(3, static_cast<int>((right_ - left_) / 90)), false);
    if (chart.equal)
      equalise();
  }

  Point place(double x, double y) const {
    return {left_ + axisX_->place(x) * (right_ - left_), bottom_ - axisY_->place(y) * (bottom_ - top_)};
  }
  Box inside() const { return {left_, top_, right_, bottom_}; }

  void axes() {
    for (double tick : axisY_->ticks()) {
      double y = bottom_ - axisY_->place(tick) * (bottom_ - top_);
      drawing_.line({left_, y}, {right_, y}, {Role::Grid});
      drawing_.add(Text{{left_ - 8, y + 4}, axisY_->label(tick), kSmall, {Role::Muted}, Anchor::End});
    }
    double behind = 0; // where the label before ends
    for (double tick : axisX_->ticks()) {
      double x = left_ + axisX_->place(tick) * (right_ - left_);
      if (chart_.equal)
        drawing_.line({x, top_}, {x, bottom_}, {Role::Grid});
      drawing_.line({x, bottom_}, {x, bottom_ + 4}, {Role::Muted});
      double half = textWidth(axisX_->label(tick), kSmall) / 2;
      if (x - half < behind + 6 || x + half > chart_.width - 2)
        continue;
      drawing_.add(Text{{x, bottom_ + 18}, axisX_->label(tick), kSmall, {Role::Muted}, Anchor::Middle});
      behind = x + half;
    }
    drawing_.line({left_, bottom_}, {right_, bottom_}, {Role::Muted});
    if (!chart_.xLabel.empty())
      drawing_.add(Text{{(left_ + right_) / 2, chart_.height - 12},
                        shortened(chart_.xLabel, kSmall, right_ - left_),
                        kSmall,
                        {Role::Muted},
                        Anchor::Middle});
    if (chart_.diagonal)
      drawing_.add(Path{{{{left_, bottom_}, {right_, top_}}}, {Role::Muted}, {}, 1, true});
  }

private:
  /// The title, the legend in as many rows as it takes, and what the y axis counts.
  void header() {
    top_ = kEdge;
    if (!chart_.title.empty()) {
      drawing_.add(Text{{kEdge, top_ + kTitle},
                        shortened(chart_.title, kTitle, chart_.width - 2 * kEdge),
                        kTitle,
                        {Role::Ink},
                        Anchor::Start,
                        true});
      top_ += kTitle + 12;
    }
    size_t named = 0;
    for (const Curve &curve : chart_.curves)
      named += !curve.name.empty();
    if (named > 1 || (named == 1 && chart_.curves.size() > 2)) {
      double x = kEdge;
      for (const Curve &curve : chart_.curves) {
        if (curve.name.empty())
          continue;
        std::string name = shortened(curve.name, kSmall, chart_.width - 2 * kEdge - 30);
        double wide = 28 + textWidth(name, kSmall);
        if (x > kEdge && x + wide > chart_.width - kEdge) {
          x = kEdge;
          top_ += 20;
        }
        Point at = {x, top_ + 8};
        if (curve.form == Form::Dots)
          drawing_.add(mark(curve, {{at.x + 11, at.y}}, 4));
        else
          drawing_.add(Path{{{at, {at.x + 21, at.y}}}, series(curve.colour), {}, 2, curve.form == Form::Dashed});
        drawing_.add(Text{{x + 28, top_ + 12}, name, kSmall});
        x += wide + 18;
      }
      top_ += 28;
    }
    if (!chart_.yLabel.empty()) {
      drawing_.add(
          Text{{kEdge, top_ + 11}, shortened(chart_.yLabel, kSmall, chart_.width - 2 * kEdge), kSmall, {Role::Muted}});
      top_ += 22;
    }
    top_ += 4;
  }
  void equalise() {
    double wide = axisX_->high() - axisX_->low(), high = axisY_->high() - axisY_->low();
    double unit = std::max(wide / (right_ - left_), high / (bottom_ - top_)) * 1.1;
    double moreX = (unit * (right_ - left_) - wide) / 2, moreY = (unit * (bottom_ - top_) - high) / 2;
    Axis x(axisX_->low() - moreX, axisX_->high() + moreX, false, static_cast<int>((right_ - left_) / 90), false),
        y(axisY_->low() - moreY, axisY_->high() + moreY, false, static_cast<int>((bottom_ - top_) / 60), false);
    *axisX_ = x;
    *axisY_ = y;
  }

public:
  /// Colours go round after ten; the second ten are rings.
  Shape mark(const Curve &curve, std::vector<Point> places, double radius) const {
    if (curve.colour < kSeries)
      return Dots{std::move(places), series(curve.colour, places.size() > 200 ? 0.7 : 0.95), radius};
    Path rings{{}, series(curve.colour), {}, 1.4};
    for (Point place : places) {
      std::vector<Point> &ring = rings.pieces.emplace_back();
      for (int i = 0; i <= 12; ++i)
        ring.push_back(
            {place.x + (radius - 0.7) * std::cos(i * 0.5235988), place.y + (radius - 0.7) * std::sin(i * 0.5235988)});
    }
    return rings;
  }

private:
  const Chart &chart_;
  Drawing &drawing_;
  std::optional<Axis> axisX_, axisY_;
  double left_ = 0, right_ = 0, top_ = 0, bottom_ = 0;
};

/// A line of more points than there are places: the lowest and the highest of each unit, or part of one, are enough.
std::vector<Point> thinned(const std::vector<Point> &line, double parts) {
  std::vector<Point> kept;
  for (size_t at = 0; at < line.size();) {
    size_t end = at, low = at, high = at;
    for (; end < line.size() && std::floor(parts * line[end].x) == std::floor(parts * line[at].x); ++end) {
      low = line[end].y < line[low].y ? end : low;
      high = line[end].y > line[high].y ? end : high;
    }
    std::vector<size_t> some = {at, low, high, end - 1};
    std::sort(some.begin(), some.end());
    some.erase(std::unique(some.begin(), some.end()), some.end());
    for (size_t i : some)
      kept.push_back(line[i]);
    at = end;
  }
  return kept;
}

} // namespace

Drawing drawChart(const Chart &chart, size_t &dropped) {
  Drawing drawing;
  Frame frame(chart, drawing);
  frame.axes();
  Labels labels(frame.inside());
  for (const Curve &curve : chart.curves) {
    std::vector<Point> places;
    for (size_t i = 0; i < curve.x.size(); ++i)
      places.push_back(frame.place(curve.x[i], curve.y[i]));
    if (curve.form == Form::Dots) {
      double radius = places.size() > 2000 ? 1.5 : places.size() > 300 ? 2.2 : 3.5;
      for (size_t i = 0; i < curve.labels.size(); ++i)
        labels.add(places[i], radius, curve.labels[i]);
      for (Point place : places)
        labels.keepClear(place, radius);
      drawing.add(frame.mark(curve, std::move(places), radius));
      continue;
    }
    bool rising = std::is_sorted(places.begin(), places.end(), [](Point a, Point b) { return a.x < b.x; });
    drawing.add(Path{{rising ? thinned(places, curve.form == Form::Faint ? 0.8 : 2) : places},
                     series(curve.colour, curve.form == Form::Faint ? 0.25 : 1),
                     {},
                     curve.form == Form::Faint ? 1.0 : 2.0,
                     curve.form == Form::Dashed});
  }
  dropped = labels.place(drawing);
  return drawing;
}

} // namespace kiln::plot
