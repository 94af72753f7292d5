// The kit that proves a backend right: see docs/conformance.md. No MLIR: programs of whole models come from the caller.
#pragma once

#include "backends/conformance/Report.h"
#include "backends/conformance/Session.h"

namespace kiln::conformance {

/// A program that the caller built for the backend under test, to be run beside the reference.
struct Model {
  std::string name;            ///< "mlp: train_step"
  const kiln_program *program; ///< every kernel claimed by the backend
  const kiln_program *judge;   ///< the same, every kernel claimed by the reference
  uint32_t entry;
  int steps = 1; ///< executions, each on what the one before left in the arguments
};

struct Options {
  bool full = false;
  uint32_t seed = 1;
  unsigned device = 0;
  std::string only; ///< rows of ops whose name matches; empty: all sections
  std::vector<Model> models;
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
void checkOps(Context &context);
void checkInterface(Context &context);
void checkThreads(Context &context);
void checkModels(Context &context);

} // namespace kiln::conformance
