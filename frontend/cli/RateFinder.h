// `kiln lr-find`: which learning rates a recipe bears.
#pragma once

#include "frontend/cli/Commands.h"

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace kiln {

struct RateFinderOptions {
  double from = 1e-7, to = 10;
  int64_t steps = 100;
  std::string output, json;
};

CLI::App *addRateFinder(CLI::App &app, RateFinderOptions &finding);
/// Trains with a rate that grows from step to step, and says where the loss falls, and where it leaves. `arguments`:
/// the program's. The exit code.
int commandRateFinder(ModelOptions options, const RateFinderOptions &finding, std::vector<std::string> arguments,
                      const ApartOptions &apartness);

} // namespace kiln
