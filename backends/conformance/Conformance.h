// The kit that proves a backend right: see docs/conformance.md. No MLIR: programs of whole models come from the caller.
#pragma once

#include "backends/conformance/Case.h"
#include "backends/conformance/Report.h"
#include "backends/conformance/Session.h"
#include "runtime/backend/Settings.h"

namespace kiln::conformance {

/// A program that the caller builds for the backend under test, to be run beside the reference.
struct Model {
  std::string name; ///< "mlp, train_step"
  int steps = 1;    ///< executions, each on what the one before left in the arguments

  struct Built {
    const kiln_program *program = nullptr; ///< every kernel claimed by the backend
    const kiln_program *judge = nullptr;   ///< the same, every kernel claimed by the reference
    uint32_t entry = 0;
    std::shared_ptr<void> keeps; ///< what the programs live in
    Outcome otherwise = Outcome::Failure;
    std::string why; ///< of a refusal or a failure, where there is no program
    /// Where the backend has a part of the kernels: runs each beside the reference, and says so in the row.
    std::function<void(Row &)> kernelByKernel;
  };
  std::function<Built()> build;
};

struct Options {
  bool full = false;
  bool edges = true; ///< extents at and beside the widths of vectors, dynamic and constant
  uint32_t seed = 1;
  unsigned device = 0;
  std::string targetCpu = "native";
  std::string targetDevice;                 ///< a profile that the backend knows; empty: its default
  std::string only;                         ///< as Report has it
  SettingList compileSettings, runSettings; ///< what a user set of the backend's options
  std::vector<Model> models;
  /// Composites that the backend names, and ops of a user's own, each with its definition.
  std::vector<Case> whole;
};

/// Runs everything. Nothing that the backend does wrong within the interface's reach ends the process.
void run(const std::shared_ptr<host::Backend> &backend, const Linker &linker, const Options &options, Report &report);

// The sections.
struct Context {
  const std::shared_ptr<host::Backend> &backend;
  const Linker &linker;
  const Options &options;
  Report &report;
  kiln_target target{};
  uint32_t flags = 0; ///< KILN_BACKEND_*, of the device and of the capabilities
};
Row rowOf(const Case &made);
void checkOps(Context &context);
void checkInterface(Context &context);
void checkThreads(Context &context);
void checkModels(Context &context);

} // namespace kiln::conformance
