// The way of a model from text to objects, for every command that needs some part of it.
#pragma once

#include "frontend/cli/Files.h"
#include "frontend/cli/Link.h"
#include "frontend/cli/Options.h"

#include "absl/status/statusor.h"
#include "backends/host/Program.h"
#include "backends/host/Registry.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/SmallVector.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kiln {

/// One model on its way. The steps are taken in order; each may be the last. Errors of the model's text are printed on
/// stderr as they are found; the status then only says that there were some.
class Compilation {
public:
  explicit Compilation(ModelOptions options);

  /// Text to a verified module in the form that docs/architecture.md calls "import".
  absl::Status load();
  /// The passes up to and including a stage ("simplify"); all where empty. Writes the stages where asked to.
  absl::Status runPasses(const std::string &until = "");
  /// Claims, memory plan, program and manifest; of the entries that the options name where `build` names none.
  absl::Status plan(host::BuildOptions build = {});
  /// The backend's objects, or what it leaves at a stage ("object", "llvm", "asm", "mlir").
  absl::Status generate(const std::string &emit = "");
  /// The finished program, replaced atomically.
  absl::Status linkProgram(const std::string &output);
  /// The finished library, replaced atomically, and its header beside it ("libgpt.so": "gpt.h").
  absl::Status linkLibrary(const std::string &output);

  mlir::ModuleOp module() { return module_.get(); }
  mlir::MLIRContext &context() { return *context_; }
  const host::OwnedProgram &program() const { return *program_; }
  /// What the backends left, those of the first one first.
  const std::vector<host::Blob> &blobs() const { return blobs_; }
  /// What --time-passes prints.
  std::string timings() const;

private:
  kiln_target target() const;
  absl::Status openBackends();
  absl::Status describeBackends(struct ImageParts &parts, LinkJob &job, const std::string &output);
  absl::Status linkWith(LinkJob job, const std::string &output);
  absl::Status timed(const char *step, const std::function<absl::Status()> &work);
  absl::Status writeStage(llvm::StringRef stage, mlir::ModuleOp module);

  ModelOptions options_;
  std::unique_ptr<mlir::MLIRContext> context_;
  mlir::OwningOpRef<mlir::ModuleOp> module_;
  std::unique_ptr<host::OwnedProgram> program_;
  std::vector<host::Blob> blobs_;
  /// The one that was asked for, then those that take what it refuses.
  struct Part {
    std::shared_ptr<host::Backend> backend;
    kiln_target target{};
    host::Capabilities capabilities;
    size_t blobBegin = 0, blobEnd = 0;
  };
  std::vector<Part> parts_;
  std::vector<std::pair<std::string, double>> seconds_;
  std::vector<std::string> newFiles_; ///< plugins put beside a program that is still to be linked
  std::string diagnostics_;           ///< of MLIR's passes and verifiers
  int stageCount_ = 0;
};

/// Where the header of a library goes: "libgpt.so": "gpt.h" beside it.
std::string headerPath(const std::string &library);

/// What a command about a model reads.
std::vector<InputFile> inputsOf(const ModelOptions &options);

/// Where what programs link with lies: beside an installed or a built kiln, ../lib.
std::string libraryFolder();

/// The backends that the kiln program can find.
host::Registry &backends();

/// For commands about several backends: --target-device as one of them gets it, empty where that one has no such
/// profile.
std::string profileOf(const std::string &backend, const ModelOptions &options);

} // namespace kiln
