// `kiln lr-find`: which learning rates a recipe bears.
#pragma once

#include "frontend/cli/Commands.h"

#include <string>

namespace CLI {
class App;
}

namespace kiln {

struct RateFinderOptions {
  double from = 1e-7, to = 10;
  int64_t steps = 100;
  std::string output, json;
  CLI::App *command = nullptr; ///< what remains of its arguments is the program's
};

CLI::App *addRateFinder(CLI::App &app, RateFinderOptions &finding);
/// Trains with a rate that grows from step to step, and says where the loss falls. The exit code.
int commandRateFinder(ModelOptions options, const RateFinderOptions &finding, const ApartOptions &apartness);

} // namespace kiln
