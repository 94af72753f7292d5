// The options of each kind of picture, and what its help says of them.
#include "frontend/cli/Plot.h"

#include "runtime/support/Error.h"

#include "CLI/CLI.hpp"
#include "llvm/Support/FileSystem.h"

#include <cstdio>

namespace kiln {

namespace {

CLI::App *addKind(CLI::App *plot, PlotCommand &command, const char *name, const char *what,
                  void (*draw)(const plot::Options &), const char *sources, bool several) {
  plot::Options &options = command.options;
  CLI::App *kind = plot->add_subcommand(name, what);
  CLI::Option *files = kind->add_option("SOURCE", options.sources, sources)->required();
  if (!several)
    files->expected(1);
  kind->add_option("-o,--output", options.output, "the picture to write: FILE.svg or FILE.png")->required();
  kind->add_option("--title", options.title, "what stands above it");
  kind->add_option("--theme", options.theme, "auto (default; an .svg file follows the reader's browser), light or dark")
      ->check(CLI::IsMember({"auto", "light", "dark"}));
  kind->add_option("--scale", options.scale, "pixels of a .png file for a unit of the picture (default: 2)")
      ->check(CLI::Range(0.1, 16.0));
  command.kinds.emplace_back(kind, draw);
  return kind;
}

void addAxes(CLI::App *kind, plot::Options &options) {
  kind->add_option("--width", options.width, "units")->check(CLI::Range(160, 8192));
  kind->add_option("--height", options.height, "units")->check(CLI::Range(120, 8192));
  kind->add_option("--x-label", options.xLabel, "what the x axis counts");
  kind->add_option("--y-label", options.yLabel, "what the y axis counts");
}

CLI::Option *addSeveral(CLI::App *kind, const char *name, std::vector<std::string> &values, const char *what) {
  return kind->add_option(name, values, what)->allow_extra_args(false);
}

constexpr const char *kArray =
    "FILE:NAME: a tensor of a .safetensors file, a column of a .csv, .tsv or .jsonl file; or FILE, a .npy or IDX file";

void addCharts(CLI::App *plot, PlotCommand &command) {
  plot::Options &options = command.options;
  CLI::App *loss = addKind(plot, command, "loss", "loss curves of runs, beside each other", plot::plotLoss,
                           "what `train --json FILE` wrote, one for each run", true);
  addAxes(loss, options);
  addSeveral(loss, "--name", options.names, "what a run is called in the legend, one for each (default: by the files)");
  addSeveral(loss, "--column", options.columns,
             "what is drawn of each line; several may be given (default: loss, and val_loss where it is)");
  loss->add_option("--step", options.step, "what the x axis is by (default: step)");
  loss->add_option("--smooth", options.smooth,
                   "the weight of what came before, 0 (none) to 0.999 (default: by the run's length)")
      ->check(CLI::Range(0.0, 0.9999));
  loss->add_flag("--log-x", options.logX, "a logarithmic x axis");
  loss->add_flag("--log-y", options.logY, "a logarithmic y axis");
  CLI::App *line =
      addKind(plot, command, "line", "lines and marks: series, forecasts, fitted curves", plot::plotLine, kArray, true);
  addAxes(line, options);
  addSeveral(line, "--name", options.names,
             "what a line is called in the legend, one for each (default: by the files)");
  addSeveral(line, "--x", options.x, "the lines' x: one for all, or one for each (default: 0, 1, 2, …)");
  addSeveral(line, "--marks", options.marks, "numbers drawn as dots, what a curve is fitted to; several may be given");
  addSeveral(line, "--marks-x", options.marksX, "their x");
  addSeveral(line, "--dashed", options.dashed, "the name of a line that is dashed; several may be given");
  line->add_option("--take", options.take, "FIRST:END: these rows alone");
  line->add_flag("--log-x", options.logX, "a logarithmic x axis");
  line->add_flag("--log-y", options.logY, "a logarithmic y axis");
  CLI::App *points = addKind(plot, command, "points", "vectors as points of a plane, by PCA or t-SNE", plot::plotPoints,
                             kArray, false);
  addAxes(points, options);
  points->add_option("--method", options.method, "pca (default), tsne, or none (default where a point has two numbers)")
      ->check(CLI::IsMember({"pca", "tsne", "none"}));
  points->add_option("--labels", options.labels,
                     "a text of a label a line, a column FILE:NAME, or weights that were saved with their vocabulary");
  points->add_option("--only", options.only, "labels between white space, or @FILE: these points alone");
  points->add_option("--classes", options.classes,
                     "the points' colours: whole numbers, as FILE:NAME or FILE, or a .txt file of words");
  points->add_option("--take", options.take, "FIRST:END: these rows alone");
  points->add_option("--perplexity", options.perplexity, "of t-SNE: how many neighbours a point has (default: 30)");
  points->add_option("--steps", options.steps, "of t-SNE (default: 1000)")->check(CLI::Range(1, 1000000));
  points->add_option("--seed", options.seed, "of t-SNE (default: 0)")->check(CLI::Range(0, 2147483647));
  CLI::App *roc = addKind(plot, command, "roc", "ROC curves of scores, with their areas", plot::plotRoc, kArray, true);
  addAxes(roc, options);
  roc->add_option("--truth", options.truth, "the true classes, as SOURCE")->required();
  roc->add_option("--positive", options.positive, "the class that is looked for (default: 1)")
      ->check(CLI::Range(0, 1000000));
  addSeveral(roc, "--name", options.names, "what a curve is called in the legend, one for each");
}

void addCells(CLI::App *plot, PlotCommand &command) {
  plot::Options &options = command.options;
  CLI::App *attention =
      addKind(plot, command, "attention", "a map of attention over tokens", plot::plotAttention, kArray, false);
  attention->add_option("--rows", options.rows, "the rows' tokens, between white space, or @FILE");
  attention->add_option("--columns", options.cells, "the columns' tokens, between white space, or @FILE");
  attention->add_option("--at", options.at, "where there are more axes, the places along the first ones, as 0,3");
  attention->add_flag("--values", options.values, "write the shares into the cells");
  CLI::App *confusion =
      addKind(plot, command, "confusion", "which classes are taken for which", plot::plotConfusion, kArray, false);
  confusion->add_option("--truth", options.truth, "the true classes, as SOURCE")->required();
  addSeveral(confusion, "--name", options.names, "a class's name, one for each class");
  for (CLI::App *map : {attention, confusion}) {
    map->add_option("--x-label", options.xLabel, "what the columns are");
    map->add_option("--y-label", options.yLabel, "what the rows are");
  }
  CLI::App *images = addKind(plot, command, "images", "a grid of images", plot::plotImages, kArray, true);
  images->add_option("--columns", options.gridColumns, "images in a row (default: 8)")->check(CLI::Range(1, 256));
  images->add_option("--most", options.most, "how many of each file (default: 64)")->check(CLI::Range(1, 4096));
  images->add_option("--take", options.take, "FIRST:END: these images alone");
  images->add_option("--cell", options.cell, "units of an image's longer side (default: 56)")
      ->check(CLI::Range(4, 2048));
  images->add_option("--low", options.low, "what is black (default: 0)");
  images->add_option("--high", options.high, "what is white (default: 1)");
  addSeveral(images, "--name", options.names,
             "what a file's rows are called, one for each; with --boxes a class's name, one for each");
  images->add_option("--captions", options.captions, "a word below each image, between white space, or @FILE");
  images->add_option("--boxes", options.boxes,
                     "[images, boxes, 4]: boxes by their middles' x and y, width and height, as shares of the image's");
  images->add_option("--scores", options.scores,
                     "[images, boxes, classes]: the boxes' scores before softmax; the last class is none");
  images->add_option("--threshold", options.threshold, "how sure a box is that is drawn (default: 0.5)")
      ->check(CLI::Range(0.0, 1.0));
}

} // namespace

void addPlot(CLI::App &app, PlotCommand &command) {
  CLI::App *plot = app.add_subcommand("plot", "pictures of what programs write, as SVG or PNG")->require_subcommand(1);
  addCharts(plot, command);
  addCells(plot, command);
}

bool isPlot(const PlotCommand &command) {
  for (const auto &[kind, draw] : command.kinds)
    if (kind->parsed())
      return true;
  return false;
}

int commandPlot(PlotCommand &command) {
  command.options.kiln = llvm::sys::fs::getMainExecutable(nullptr, nullptr);
  try {
    plot::checkOutput(command.options);
    for (const auto &[kind, draw] : command.kinds)
      if (kind->parsed())
        draw(command.options);
    return 0;
  } catch (const UsageError &error) {
    std::fprintf(stderr, "kiln: %s\n", error.what());
    return 2;
  } catch (const Error &error) {
    std::fprintf(stderr, "kiln: error: %s\n", error.what());
    return 1;
  }
}

} // namespace kiln
