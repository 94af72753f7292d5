// What `kiln bench` found, as a table or for another program.
#pragma once

#include "frontend/cli/Peak.h"

// MLIR is built without exceptions.
#define JSON_NOEXCEPTION
#include "nlohmann/json.hpp"

#include <string>
#include <vector>

namespace kiln {

/// What a backend made of the model.
struct BenchRow {
  std::string backend, error;
  double compileSeconds = 0;
  uint64_t programBytes = 0;
  nlohmann::ordered_json context, run; ///< the program's own report
  std::string agreement = "not checked";

  double number(const char *key) const;
  size_t workingSet() const;
};

/// `format`: "csv", "json" (Google Benchmark's schema), "md", or empty for a table for people. To standard output.
void printBench(const std::vector<BenchRow> &rows, const MachinePeak &peak, const std::string &model,
                const std::string &format);

} // namespace kiln
