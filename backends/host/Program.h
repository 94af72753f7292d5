// From a simplified or fused module to what a backend compiles and a program carries.
#pragma once

#include "backends/host/Backend.h"
#include "passes/support/PassTimes.h"
#include "runtime/backend/Tables.h"

#include "absl/status/statusor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kiln::host {

struct BuildOptions {
  /// Entries to build, by their names in the program ("train_step", "eval", ...); empty: all of them.
  std::vector<std::string> entries;
  /// Says in the manifest what every kernel reads, not only those that are not on the first backend.
  bool describeInputs = false;
  /// Red zones between all buffers, which the runtime looks at after each launch: finds kernels that write past theirs.
  bool redZones = false;
  /// Called with the module after each stage behind fuse.
  std::function<void(llvm::StringRef stage, mlir::ModuleOp module)> afterStage;
  /// Looks behind each stage whether it left what it promises.
  bool verify = true;
  /// Where the seconds of the passes go; null: nowhere.
  PassTimes *times = nullptr;
  /// Told of each error beside the status, which has them as one text.
  std::function<void(const mlir::Diagnostic &)> diagnosed;
};

/// A kiln_program and everything that it points to, with the manifest that says the same in JSON.
class OwnedProgram {
public:
  struct Contents;
  explicit OwnedProgram(std::unique_ptr<Contents> contents);
  ~OwnedProgram();
  OwnedProgram(const OwnedProgram &) = delete;
  OwnedProgram &operator=(const OwnedProgram &) = delete;

  const kiln_program &program() const;
  /// The JSON of docs/architecture.md, "Programs and manifests".
  const std::string &manifest() const;
  /// For `kiln explain --memory`: one entry's arena, its lower bound, and what is live at the peak.
  std::string explainMemory(llvm::StringRef entry) const;
  /// For `kiln explain --placement`: which kernel is on which backend, and why not on the first.
  std::string explainPlacement() const;
  /// One program for each backend: what it compiles. One alone is the whole.
  const kiln_program &programOf(uint32_t backend) const;
  /// The backends that have kernels, by their number among those given; the first where there are no kernels.
  const std::vector<uint32_t> &usedBackends() const;
  /// The first backend has all of the kernels.
  bool onFirstAlone() const { return usedBackends() == std::vector<uint32_t>{0}; }
  /// For `kiln explain --fusion`: each kernel with its ops, and what a backend refused and why. `work`: what is printed
  /// below each kernel, by its number; may be empty.
  std::string explainFusion(const std::vector<std::string> &work = {}) const;

private:
  std::unique_ptr<Contents> contents_;
};

/// A backend, and what it compiles for.
struct Target {
  const Backend *backend;
  kiln_target target;
};

/// Offers every group to the first backend (splitting those that it refuses), what it takes in no form to the others in
/// their order, plans memory, verifies the plan, and writes the program. `module` is fused where it is not yet, and
/// keeps the groups that were claimed in the end. An error names the op, the source line, and each backend's reason.
absl::StatusOr<std::unique_ptr<OwnedProgram>> buildProgram(mlir::ModuleOp module, llvm::ArrayRef<Target> targets,
                                                           const BuildOptions &options = {});

} // namespace kiln::host
