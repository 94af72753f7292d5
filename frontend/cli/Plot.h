// `kiln plot KIND …`: what it takes on the command line.
#pragma once

#include "frontend/plot/Pictures.h"

#include <functional>
#include <vector>

namespace CLI {
class App;
}

namespace kiln {

struct PlotCommand {
  plot::Options options;
  std::vector<std::pair<CLI::App *, void (*)(const plot::Options &)>> kinds;
};

void addPlot(CLI::App &app, PlotCommand &command);
/// Was one of its kinds asked for?
bool isPlot(const PlotCommand &command);
/// Draws it. The exit code; errors are told on stderr.
int commandPlot(PlotCommand &command);

} // namespace kiln
