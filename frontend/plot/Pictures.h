// `kiln plot`: from what the command line says to a drawing in a file.
#pragma once

#include "frontend/plot/Drawing.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::plot {

struct Options {
  std::vector<std::string> sources; // FILE or FILE:NAME
  std::string output, title, xLabel, yLabel, theme = "auto";
  double width = 0, height = 0, scale = 2; // 0: the picture's own
  std::vector<std::string> names;          // in the legend, or beside rows
  std::string take;                        // FIRST:END of the leading axis

  // loss, line
  std::vector<std::string> columns; // what of each run
  std::string step;                 // what the runs' x axis counts
  double smooth = -1;               // below 0: by the length of the run
  bool logX = false, logY = false;
  std::vector<std::string> x, marks, marksX, dashed;

  // points
  std::string method, labels, classes, only;
  double perplexity = 30;
  int64_t steps = 1000, seed = 0;
  std::string kiln; // this program, which compiles and runs models/tsne

  // attention, confusion
  std::string rows, cells, at;
  bool values = false;
  std::string truth;

  // images
  int64_t gridColumns = 8, most = 64;
  double cell = 56, low = 0, high = 1;
  std::string boxes, scores, captions;
  double threshold = 0.5;

  // roc
  int64_t positive = 1;
};

/// Throws Error, before any work, where it could not be written, and UsageError where it is neither .svg nor .png.
void checkOutput(const Options &options);

/// Each draws and writes `output`; throws Error, or UsageError.
void plotLoss(const Options &options);
void plotLine(const Options &options);
void plotPoints(const Options &options);
void plotAttention(const Options &options);
void plotConfusion(const Options &options);
void plotImages(const Options &options);
void plotRoc(const Options &options);

} // namespace kiln::plot
