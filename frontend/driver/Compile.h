// A model's way from a file to an artifact. Nothing is printed and nothing is global: what there is to say is data, so
// that a command line, a language server or another language can stand on it.
#pragma once

#include "frontend/driver/Diagnostic.h"
#include "frontend/driver/Files.h"
#include "frontend/driver/Link.h"
#include "frontend/driver/Options.h"

#include "absl/status/statusor.h"
#include "backends/host/Program.h"
#include "backends/host/Registry.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "runtime/backend/Settings.h"
#include "runtime/program/StoredError.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/MemoryBuffer.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kiln {

/// An installed or a built Kiln: what programs link with, and the backends that can be found.
class Installation {
public:
  /// `libraries`: the folder of libkiln_program.a; the backends that come with Kiln lie in kiln/backends below it.
  explicit Installation(std::string libraries);

  const std::string &libraries() const { return libraries_; }
  /// The folder of what programs for a target are linked with: this machine's own, or one below it.
  std::string librariesFor(const std::string &triple) const;
  host::Registry &backends() { return backends_; }
  /// For what compares several backends: the options' device profile as one of them gets it, empty where that one has
  /// no such profile.
  std::string profileOf(const std::string &backend, const ModelOptions &options);
  /// Likewise: of the options' backendOptions those that this one has, or the cpu, which takes what it refuses.
  std::vector<std::string> backendOptionsOf(const std::string &backend, const ModelOptions &options);

private:
  std::string libraries_;
  host::Registry backends_;
};

/// Whether programs for the target run here as they are.
bool isThisMachine(const std::string &triple);

/// A training step, and what it holds while it runs in this form.
struct MemoryTry {
  std::string entry;
  int64_t blockRows = 0, segments = 1, held = 0;
};

/// One model on its way. The steps are taken in order; each may be the last. A step that fails says why in its status
/// (an empty one: the model's text has errors, and `diagnostics` has them).
class Compilation {
public:
  /// The installation outlives the compilation.
  Compilation(Installation &installation, ModelOptions options);

  /// Text to a verified module in the form that docs/architecture.md calls "import".
  absl::Status load();
  /// The stages up to and including one ("simplify"); up to "fuse" where empty. Writes them where asked to.
  absl::Status runPasses(const std::string &until = "");
  /// The stages behind that, for the backends: claim, place and plan; then the program and its manifest, of the entries
  /// that the options name where `build` names none.
  absl::Status plan(host::BuildOptions build = {});
  /// The backend's objects, or what it leaves at a stage ("object", "llvm", "asm", "mlir").
  absl::Status generate(const std::string &emit = "");
  /// The finished program, replaced atomically. `ownPlugins`: plugins beside it have its name before theirs, where
  /// other programs lie in the same folder.
  absl::Status linkProgram(const std::string &output, bool ownPlugins = false);
  /// The finished library, replaced atomically, and its header beside it ("libgpt.so": "gpt.h").
  absl::Status linkLibrary(const std::string &output);

  mlir::ModuleOp module() { return module_.get(); }
  mlir::MLIRContext &context() { return *context_; }
  const host::OwnedProgram &program() const { return *program_; }
  /// The one that was asked for, by its own name.
  const std::string &backend() const { return parts_.front().backend->name(); }
  /// Of the options' backendOptions, those for the program's start, as "BACKEND.NAME=VALUE".
  const std::vector<std::string> &startOptions() const { return startOptions_; }
  /// The others, likewise: the program is another with others.
  const std::vector<std::string> &buildSettings() const { return buildSettings_; }
  /// Finds the backends, and checks what is set of them: load() begins with it.
  absl::Status openBackends();
  /// What the backends left, those of the first one first.
  const std::vector<host::Blob> &blobs() const { return blobs_; }
  /// Whether the program that was linked is one file, from backends that make the same of the same.
  bool repeats() const;
  /// What was found so far.
  const std::vector<driver::Diagnostic> &diagnostics() const { return diagnostics_; }
  /// The errors of the model's text for a terminal: each with its source line and a caret.
  const std::string &renderedText() const { return renderedText_; }
  /// Of the matrices that a link has put into blocks.
  const std::vector<StoredError> &storedErrors() const { return storedErrors_; }
  /// Where there is a memory budget: what was tried for it, a line each.
  std::string explainBudget() const;
  /// How long each step took, for people.
  std::string timings() const;

private:
  kiln_target target() const;
  absl::Status findBackends();
  absl::Status readBackendOptions();
  absl::Status runStages(llvm::StringRef after, llvm::StringRef until);
  absl::Status buildProgram(const host::BuildOptions &build);
  /// Builds the program anew until its training steps hold no more than the budget; or tells the least that they take.
  absl::Status fitMemory(const host::BuildOptions &build);
  absl::Status rebuild(const host::BuildOptions &build);
  absl::Status checkWeights();
  absl::Status storeWeights();
  /// Whether --weights-as has taken the model's recipe away.
  bool lostTraining() const;
  /// `openBatches`: a training batch's rows are a symbol.
  absl::Status loadText(bool openBatches = false);
  /// The same for --shards: with the recipes' losses once more, their batch a symbol, as @loss.shard.
  absl::Status loadShards();
  absl::Status describeBackends(struct ImageParts &parts, LinkJob &job, const std::string &output);
  absl::Status linkWith(LinkJob job, const std::string &output);
  absl::Status findWeights(LinkJob &job, std::unique_ptr<llvm::MemoryBuffer> &file, std::string &header);
  absl::Status timed(const char *step, const std::function<absl::Status(PassTimes &times)> &work);
  absl::Status writeStage(llvm::StringRef stage, mlir::ModuleOp module);

  Installation &installation_;
  ModelOptions options_;
  std::unique_ptr<mlir::MLIRContext> context_;
  mlir::OwningOpRef<mlir::ModuleOp> module_;
  /// With a memory budget: the module behind `narrow`, from which it is built anew.
  mlir::OwningOpRef<mlir::ModuleOp> wholeModule_;
  std::map<std::string, int64_t> segmentsOf_; ///< of each training step that did not fit in one piece
  std::vector<MemoryTry> memoryTries_;
  std::unique_ptr<host::OwnedProgram> program_;
  std::vector<StoredError> storedErrors_;
  bool hadRecipe_ = false;
  std::vector<host::Blob> blobs_;
  /// The one that was asked for, then those that take what it refuses.
  struct Part {
    std::shared_ptr<host::Backend> backend;
    kiln_target target{};
    SettingList settings;
    host::Capabilities capabilities;
    size_t blobBegin = 0, blobEnd = 0;
  };
  std::vector<Part> parts_;
  std::vector<std::string> startOptions_, buildSettings_;
  struct Step {
    std::string name;
    double seconds = 0;
    PassTimes passes; ///< of which so much is theirs
  };
  std::vector<Step> steps_;
  bool ownPlugins_ = false;
  std::vector<std::string> newFiles_; ///< plugins put beside a program that is still to be linked
  std::vector<driver::Diagnostic> diagnostics_;
  std::string renderedText_;
  std::string passErrors_; ///< of MLIR's passes and verifiers, as one text
  int stageCount_ = 0;
};

/// Where the header of a library goes: "libgpt.so": "gpt.h" beside it.
std::string headerPath(const std::string &library);

/// What a command about a model reads.
std::vector<InputFile> inputsOf(const ModelOptions &options);

/// What a whole compile ended with.
struct CompileResult {
  bool ok = false;
  std::vector<driver::Diagnostic> diagnostics;
};

/// From a file to a program (to a library, where the output's name ends in ".so"), in one call.
CompileResult compileModel(Installation &installation, const ModelOptions &options, const std::string &output);

} // namespace kiln
