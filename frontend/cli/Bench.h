// kiln bench: one model on several backends, side by side.
#pragma once

#include "frontend/cli/Options.h"

#include <string>
#include <vector>

namespace kiln {

struct BenchOptions {
  std::vector<std::string> backends;  ///< names or plugins' paths
  std::string format;                 ///< "": a table for people; "md", "csv" or "json"
  std::string minTime = "1";          ///< seconds of measuring a backend
  std::vector<std::string> arguments; ///< for the programs: --data, --threads, a function's name
};

/// Builds the model for each backend, runs each program's `bench` (one after another), and prints what they say, with
/// this machine's own limits measured beside them and whether the first losses agree with the reference backend's.
/// The exit code: 1 where a backend failed or does not agree.
int commandBench(const ModelOptions &options, const BenchOptions &bench);

} // namespace kiln
