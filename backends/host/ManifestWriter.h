// The JSON that a program carries, from the structs that say the same: docs/architecture.md, "Programs and manifests".
#pragma once

#include "backends/host/Answers.h"
#include "backends/host/Entries.h"

#include "mlir/IR/BuiltinOps.h"

namespace kiln::host {

struct ManifestSource {
  mlir::ModuleOp module; ///< parameters, states, data, recipe
  const std::vector<Asked> &backends;
  const std::vector<uint32_t> &used; ///< of these, those that have kernels
  const Kernels &kernels;
  const Entries &entries;
  bool describeInputs; ///< also where there is one backend
};

std::string writeManifest(const ManifestSource &source);

/// The same with the model's recipes alone: their data, and nothing that is computed.
std::string writeRecipes(mlir::ModuleOp module);

} // namespace kiln::host
