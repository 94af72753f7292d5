// Runs a program and catches what it says.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace kiln::test {

struct Outcome {
  int code = -1; ///< exit code; 128 + signal where a signal ended it
  std::string out;
  std::string err;
  double peak = 0; ///< the most memory that it held, in bytes; no less than what the test does
};

/// Waits for the command; argv[0] is a path.
Outcome run(const std::vector<std::string> &argv);

/// The folder of the sources, the built `kiln`, and an empty folder for a test's files.
std::string sourceFolder();
std::string kilnProgram();
std::string freshFolder(const std::string &name);

/// All of a file.
std::string bytes(const std::string &path);
/// What --json has printed, a line each.
std::vector<nlohmann::json> jsonLines(const std::string &text);

} // namespace kiln::test
