// kiln check --against: the model on two backends, op by op.
#include "backends/api/kiln_text.h"
#include "frontend/cli/Commands.h"
#include "frontend/cli/InStep.h"
#include "frontend/cli/Installed.h"
#include "frontend/driver/Link.h"
#include "passes/Decompose/Decompose.h"
#include "passes/Fuse/Fuse.h"
#include "runtime/backend/Tree.h"

#include "absl/strings/str_cat.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/TargetParser/Host.h"

#include <cstdio>
#include <thread>

namespace kiln {

namespace {

/// Primitives, every op its own kernel, so that what differs has a name and both backends launch the same.
absl::Status singleOps(mlir::ModuleOp module) {
  mlir::PassManager passes(module.getContext());
  passes.addPass(createDecompose()); // attention too
  if (mlir::failed(passes.run(module)))
    return absl::InternalError("the model's composites cannot be decomposed");
  for (auto function : module.getOps<mlir::func::FuncOp>())
    if (!function.isPrivate() && mlir::failed(fuseFunction(function, FuseLevel::single)))
      return absl::InternalError("the model's ops cannot be taken one by one");
  return absl::OkStatus();
}

/// Objects linked to a library that is gone when this is.
class TemporaryLibrary {
public:
  ~TemporaryLibrary() {
    if (!path_.empty())
      (void)llvm::sys::fs::remove(path_);
  }
  absl::Status make(const std::vector<host::Blob> &blobs) {
    llvm::SmallString<128> path;
    if (std::error_code error = llvm::sys::fs::createTemporaryFile("kiln-check", "so", path))
      return absl::UnavailableError(absl::StrCat("no temporary file: ", error.message()));
    path_ = path.str().str();
    LinkJob job;
    job.shared = true;
    job.output = path_;
    for (const host::Blob &blob : blobs)
      job.objects.push_back({blob.bytes.data(), blob.bytes.size()});
    return link(job);
  }
  const std::string &path() const { return path_; }

private:
  std::string path_;
};

/// A backend of the two, with what it compiles for.
struct Side {
  std::shared_ptr<host::Backend> backend;
  std::string triple = llvm::sys::getDefaultTargetTriple(), profile, cpu, math;
  host::Capabilities capabilities;

  absl::Status open(const std::string &name, const ModelOptions &options) {
    std::string why;
    backend = installed().backends().find(name, why);
    if (!backend)
      return absl::InvalidArgumentError(why);
    if (!backend->canCompile() || !backend->canRun())
      return absl::InvalidArgumentError(absl::StrCat("the backend ", name, " does not both compile and run"));
    profile = installed().profileOf(name, options);
    cpu = options.targetCpu;
    math = options.math;
    if (!backend->capabilities(target(), capabilities, why))
      return absl::InvalidArgumentError(why);
    return absl::OkStatus();
  }
  kiln_target target() const {
    kiln_target target{};
    target.size = sizeof target;
    target.triple = text(triple);
    target.cpu = text(cpu);
    target.device = text(profile);
    target.math = text(math);
    target.jobs = std::max(1u, std::thread::hardware_concurrency());
    return target;
  }

  /// The program's kernels compiled, with its manifest and its plan.
  absl::Status compile(const host::OwnedProgram &program, TemporaryLibrary &library, InStepProgram &out) const {
    std::string why;
    std::vector<host::Blob> blobs;
    if (!backend->compile(program.program(), target(), blobs, why))
      return absl::InternalError(why);
    const kiln_program &plan = program.program();
    out.backend = backend->name();
    out.function = backend->function();
    out.manifest = program.manifest();
    out.constants.assign(plan.constants, plan.constants + plan.constant_bytes);
    for (host::Blob &blob : blobs)
      if (blob.kind == KILN_BLOB_BYTES)
        out.artifact = std::move(blob.bytes);
    if (!out.artifact.empty())
      return absl::OkStatus();
    out.symbol = capabilities.artifactSymbol;
    if (absl::Status linked = library.make(blobs); !linked.ok())
      return linked;
    out.library = library.path();
    return absl::OkStatus();
  }
};

/// The two programs, and what they are linked to.
struct Pair {
  Side one, other;
  TemporaryLibrary libraryA, libraryB;
  InStepProgram a, b;
  std::string notAsBuilt; ///< why the program is taken apart; empty where it runs as it is built
};

host::BuildOptions trainingStep(mlir::ModuleOp module, const ModelOptions &options) {
  host::BuildOptions build;
  build.describeInputs = true;
  build.verify = options.verifyStages;
  if (module.lookupSymbol("train_step"))
    build.entries = {"train_step"};
  return build;
}

/// Whether a branch or a `while` stands in the tree: it runs as a whole, with the scratch that the plan has for it.
bool holdsControl(const kiln_node &node) {
  return !forEachNode(node, [](const kiln_node &one) { return !traitsOf(one).tests; });
}

/// Each kernel's scratch on this side; false with a sentence where it does not take one of them as it is.
bool scratchOf(const Side &side, const kiln_program &program, std::vector<int64_t> &scratch, std::string &why) {
  for (size_t k = 0; k < program.kernel_count; ++k) {
    const kiln_kernel &kernel = program.kernels[k];
    host::Answer answer;
    if (!side.backend->claim(kernel, side.target(), answer, why))
      return false;
    if (!answer.whole(kernel.op_count)) {
      why = absl::StrCat(side.backend->name(), " does not take kernel ", toString(kernel.name), " as it is");
      return false;
    }
    scratch.push_back(answer.parts.front().scratchBytes);
  }
  return true;
}

/// The program as `kiln build` makes it, every kernel and its places in memory; the same on the other backend.
absl::Status pairAsBuilt(const ModelOptions &options, Pair &pair) {
  Compilation compilation(installed(), options);
  absl::Status status = loadPrinting(compilation);
  if (status.ok())
    status = compilation.runPasses();
  if (status.ok())
    status = compilation.plan(trainingStep(compilation.module(), options));
  if (!status.ok())
    return status;
  const host::OwnedProgram &program = compilation.program();
  if (program.usedBackends().size() > 1) {
    pair.notAsBuilt = absl::StrCat(pair.one.backend->name(), " takes a part of it");
    return absl::OkStatus();
  }
  const kiln_program &plan = program.program();
  bool fits = scratchOf(pair.one, plan, pair.a.scratch, pair.notAsBuilt) &&
              scratchOf(pair.other, plan, pair.b.scratch, pair.notAsBuilt);
  for (size_t k = 0; fits && k < plan.kernel_count; ++k)
    for (size_t e = 0; e < plan.entry_count && pair.b.scratch[k] > pair.a.scratch[k]; ++e)
      if (holdsControl(plan.entries[e].root)) {
        pair.notAsBuilt = absl::StrCat(pair.other.backend->name(), " needs more scratch within a branch");
        fits = false;
        break;
      }
  if (!fits)
    return absl::OkStatus();
  status = pair.one.compile(program, pair.libraryA, pair.a);
  return status.ok() ? pair.other.compile(program, pair.libraryB, pair.b) : status;
}

/// Every op its own kernel, each side with a plan of its own; what a backend refuses is an error that names the op.
absl::Status pairOfSingleOps(const ModelOptions &options, Pair &pair) {
  ModelOptions plain = options; // the module is the same for every device
  plain.targetDevice = pair.other.profile.empty() ? options.targetDevice : "";
  Compilation compilation(installed(), plain);
  absl::Status status = loadPrinting(compilation);
  if (status.ok())
    status = compilation.runPasses("rematerialize");
  if (status.ok())
    status = singleOps(compilation.module());
  auto compile = [&](const Side &side, TemporaryLibrary &library, InStepProgram &out) -> absl::Status {
    out = {};
    mlir::OwningOpRef<mlir::ModuleOp> copy = compilation.module().clone();
    absl::StatusOr<std::unique_ptr<host::OwnedProgram>> program = host::buildProgram(
        *copy, host::Target{side.backend.get(), side.target()}, trainingStep(compilation.module(), options));
    return program.ok() ? side.compile(**program, library, out) : program.status();
  };
  if (status.ok())
    status = compile(pair.one, pair.libraryA, pair.a);
  return status.ok() ? compile(pair.other, pair.libraryB, pair.b) : status;
}

} // namespace

int commandAgainst(const ModelOptions &options, const CheckOptions &check) {
  Pair pair;
  absl::Status status = pair.one.open(options.backend, options);
  if (status.ok())
    status = pair.other.open(check.against, options);
  if (status.ok())
    status = pairAsBuilt(options, pair);
  if (status.ok() && !pair.notAsBuilt.empty())
    status = pairOfSingleOps(options, pair);
  if (!status.ok())
    return report(status);
  InStepResult result = runInStep(pair.a, pair.b, std::max(1u, std::thread::hardware_concurrency()), check.seed);
  if (!result.error.empty())
    return report(absl::InternalError(result.error));
  std::printf("%s: '%s' on %s and %s, %s, with %s\n", options.file.c_str(), result.entry.c_str(),
              pair.a.backend.c_str(), pair.b.backend.c_str(),
              pair.notAsBuilt.empty() ? "kernel by kernel in the program's own memory"
                                      : absl::StrCat("op by op (", pair.notAsBuilt, ")").c_str(),
              result.realData ? "the recipe's first batch" : "made-up inputs (the recipe's data is not there)");
  std::fflush(stdout);
  if (!result.parting.empty())
    return report(absl::InternalError(absl::StrCat("the results part at ", result.parting)));
  std::printf("all %lld launches agree%s\n", static_cast<long long>(result.launches),
              pair.notAsBuilt.empty() ? ", and none wrote beside its results" : "");
  return 0;
}

} // namespace kiln
