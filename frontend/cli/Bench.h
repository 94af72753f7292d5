// kiln bench: one model on several backends, side by side.
#pragma once

#include "frontend/cli/Apart.h"
#include "frontend/driver/Options.h"

#include <string>
#include <vector>

namespace kiln {

struct BenchOptions {
  std::vector<std::string> backends;  ///< names or plugins' paths
  std::string format;                 ///< "": a table for people; "md", "csv" or "json"
  std::string minTime;                ///< seconds of measuring a backend; empty: 1
  std::string profile;                ///< a file for a Chrome trace of all of them; empty: none
  std::vector<std::string> arguments; ///< for the programs: --data, --threads, a function's name
};

/// Builds the model for each backend, runs each program's `bench` (one after another, each in processes of its own: one
/// that fails, or crashes, does not hide the others), and prints what they say, with this machine's own limits measured
/// between them and whether the first losses (or a function's results) agree with the reference backend's. The exit
/// code: 1 where a backend failed or does not agree.
int commandBench(const ModelOptions &options, const BenchOptions &bench, const ApartOptions &apartness);

} // namespace kiln
