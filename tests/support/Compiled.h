// A module compiled for the CPU and run in this process, to stand beside the reference interpreter.
#pragma once

#include "backends/api/kiln_backend.h"
#include "ir/interpreter/HostTensor.h"
#include "passes/StoreWeights/StoreWeights.h"

#include "absl/status/statusor.h"
#include "mlir/IR/BuiltinOps.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kiln::test {

class Loaded;
struct PlainTensor;

/// What a compile is told, each as the pipeline or a target has it (PipelineOptions, kiln_target).
struct CompileOptions {
  std::string targetCpu = "native", math, compute, weightsAs;
  int64_t segments = 0, blockRows = 0;
  StoredForms storedForms;
};

class Compiled {
public:
  /// Runs the whole pipeline on a copy of the module: passes, fusion, plan, code, link.
  static absl::StatusOr<std::unique_ptr<Compiled>> create(mlir::ModuleOp module, unsigned threads = 2,
                                                          const std::string &targetCpu = "native");
  /// Twice from the same code: as it is, and with red zones around its buffers, which are looked at after each launch.
  static absl::StatusOr<std::pair<std::unique_ptr<Compiled>, std::unique_ptr<Compiled>>>
  createWatched(mlir::ModuleOp module, unsigned threads = 2, const CompileOptions &options = {});
  /// The same on a backend of this process whose artifact is bytes.
  static absl::StatusOr<std::unique_ptr<Compiled>>
  createOn(mlir::ModuleOp module, const char *name, kiln_backend_fn backend, const CompileOptions &options = {});
  ~Compiled();

  /// Arguments and results by name ("loss", outputs, gradients by their parameter's name).
  absl::StatusOr<std::map<std::string, HostTensor>> run(const std::string &entry,
                                                        const std::map<std::string, HostTensor> &arguments,
                                                        uint32_t seed = 0, int64_t step = 0);
  /// Each entry with its error; see Loaded.
  std::vector<std::pair<std::string, std::string>> runAll();
  /// Parameters and states as the last run left them.
  std::map<std::string, HostTensor> memory();
  /// For the message of a failed comparison.
  const std::string &fusion() const { return fusion_; }

private:
  struct Build;
  Compiled() = default;
  static absl::StatusOr<Build> build(mlir::ModuleOp module, kiln_backend_fn function, const CompileOptions &options,
                                     bool watched = false);
  std::map<std::string, HostTensor> toHost(std::vector<PlainTensor> plain);
  static absl::StatusOr<std::unique_ptr<Compiled>> finish(mlir::ModuleOp module, const Build &built,
                                                          std::unique_ptr<Loaded> loaded, const std::string &why);
  std::unique_ptr<Loaded> loaded_;
  std::string fusion_;
  mlir::MLIRContext *context_ = nullptr;
};

} // namespace kiln::test
