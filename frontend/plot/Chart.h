// A chart: curves and marks over two axes, with a title, ticks, a legend and labels that keep clear of each other.
#pragma once

#include "frontend/plot/Drawing.h"

namespace kiln::plot {

enum class Form : uint8_t { Line, Faint, Dashed, Dots };

struct Curve {
  std::string name; // in the legend; empty: not there
  Form form = Form::Line;
  int colour = 0;
  std::vector<double> x, y;
  std::vector<std::string> labels; // of dots; one each, or none
};

struct Chart {
  std::string title, xLabel, yLabel;
  double width = 720, height = 440;
  bool logX = false, logY = false;
  bool equal = false;    // a unit is as long on both axes
  bool diagonal = false; // the line from corner to corner
  std::vector<Curve> curves;
};

/// `dropped`: how many labels found no place.
Drawing drawChart(const Chart &chart, size_t &dropped);

} // namespace kiln::plot
