// The kiln program's commands. Each prints its errors on stderr and returns the exit code: 0, 1 (failed) or 2 (usage).
#pragma once

#include "frontend/cli/Apart.h"
#include "frontend/driver/Options.h"

#include "absl/status/status.h"

#include <optional>
#include <string>
#include <vector>

namespace kiln {

struct EmitOptions {
  std::string kind = "exe";
  std::string output;
};

struct CheckOptions {
  bool gradients = false;
  std::string against;                   ///< a backend to run beside the first one
  std::vector<std::string> inputs, data; ///< NAME=FILE, NAME=PATH: what gradients are computed with; the rest is drawn
  uint32_t seed = 0;
};

struct ExplainOptions {
  bool memory = false;
  bool fusion = false;
  bool placement = false;
  std::optional<std::string>
      profile; ///< a trace of the program's: the kernels' times beside what they take at the least
};

struct ConformOptions {
  std::string backend; ///< a name or a plugin's path
  bool full = false;
  uint32_t seed = 1;
  unsigned device = 0;
  std::string json;                        ///< a file for the rows; empty: none
  std::string expected;                    ///< a file with the names of rows that are known to fail
  std::string only;                        ///< patterns between '|': these rows alone
  std::string model;                       ///< a file, or FILE:NAME: its kernels are judged too
  std::string targetCpu = "native";        ///< or a processor that LLVM knows, on which this one can stand in
  std::string targetDevice;                ///< a profile that the backend knows; empty: portable
  std::vector<std::string> backendOptions; ///< "[BACKEND.]NAME=VALUE"
  int silence = 300;                       ///< seconds without a sign of life that are a failure
};

/// Prints an error where the status has one to tell; the exit code, 0 or 1.
int report(const absl::Status &status);

/// Says to the programs that are started where the model lies, and the files that it takes declarations from: their
/// recipes' paths are seen from there.
absl::Status tellFolders(const ModelOptions &options);

int commandBuild(const ModelOptions &options, const EmitOptions &emit);
int commandCheck(const ModelOptions &options, const CheckOptions &check);
/// Runs the model on two backends in step and names the first op whose results part.
int commandAgainst(const ModelOptions &options, const CheckOptions &check);
int commandExplain(const ModelOptions &options, const ExplainOptions &explain);
/// The backends that can be found, with their versions and devices.
int commandBackends(const ApartOptions &apartness);
/// Proves a backend right, or says where it is wrong (docs/conformance.md).
int commandConform(const ConformOptions &options);
/// Builds into the cache unless it is there, then becomes the program, run with `command` and `arguments`.
int commandProgram(const ModelOptions &options, const std::string &command, const std::vector<std::string> &arguments,
                   const ApartOptions &apartness);

} // namespace kiln
