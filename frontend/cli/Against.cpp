// kiln check --against: the model on two backends, op by op.
#include "frontend/cli/Commands.h"
#include "frontend/cli/Compile.h"
#include "frontend/cli/InStep.h"
#include "frontend/cli/Link.h"
#include "passes/Decompose/Decompose.h"
#include "passes/Fuse/Fuse.h"

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

kiln_string view(const std::string &text) { return {text.data(), text.size()}; }

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

/// The module as one backend has it; what it refuses is an error that names the op.
absl::Status compileFor(const std::string &name, mlir::ModuleOp module, const ModelOptions &options,
                        TemporaryLibrary &library, InStepProgram &out) {
  std::string why, triple = llvm::sys::getDefaultTargetTriple();
  std::shared_ptr<host::Backend> backend = backends().find(name, why);
  if (!backend)
    return absl::InvalidArgumentError(why);
  if (!backend->canCompile() || !backend->canRun())
    return absl::InvalidArgumentError(absl::StrCat("the backend ", name, " does not both compile and run"));
  kiln_target target{};
  target.size = sizeof target;
  target.triple = view(triple);
  target.cpu = view(options.targetCpu);
  std::string profile = profileOf(name, options);
  target.device = view(profile);
  target.math = view(options.math);
  target.jobs = std::max(1u, std::thread::hardware_concurrency());
  host::Capabilities capabilities;
  if (!backend->capabilities(target, capabilities, why))
    return absl::InvalidArgumentError(why);
  mlir::OwningOpRef<mlir::ModuleOp> copy = module.clone();
  host::BuildOptions build;
  build.describeInputs = true;
  if (module.lookupSymbol("train_step"))
    build.entries = {"train_step"};
  absl::StatusOr<std::unique_ptr<host::OwnedProgram>> program =
      host::buildProgram(*copy, host::Target{backend.get(), target}, build);
  if (!program.ok())
    return program.status();
  std::vector<host::Blob> blobs;
  if (!backend->compile((*program)->program(), target, blobs, why))
    return absl::InternalError(why);
  const kiln_program &plan = (*program)->program();
  out.backend = backend->name();
  out.function = backend->function();
  out.manifest = (*program)->manifest();
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

} // namespace

int commandAgainst(const ModelOptions &options, const CheckOptions &check) {
  ModelOptions plain = options; // the module is the same for every device
  plain.targetDevice = profileOf(check.against, options).empty() ? options.targetDevice : "";
  Compilation compilation(plain);
  absl::Status status = compilation.load();
  if (status.ok())
    status = compilation.runPasses("rematerialize");
  if (status.ok())
    status = singleOps(compilation.module());
  TemporaryLibrary libraryA, libraryB;
  InStepProgram a, b;
  if (status.ok())
    status = compileFor(options.backend, compilation.module(), options, libraryA, a);
  if (status.ok())
    status = compileFor(check.against, compilation.module(), options, libraryB, b);
  if (!status.ok())
    return report(status);
  InStepResult result = runInStep(a, b, std::max(1u, std::thread::hardware_concurrency()), check.seed);
  if (!result.error.empty())
    return report(absl::InternalError(result.error));
  std::printf("%s: '%s' on %s and %s, op by op, with %s\n", options.file.c_str(), result.entry.c_str(),
              a.backend.c_str(), b.backend.c_str(),
              result.realData ? "the recipe's first batch" : "made-up inputs (the recipe's data is not there)");
  std::fflush(stdout);
  if (!result.parting.empty())
    return report(absl::InternalError(absl::StrCat("the results part at ", result.parting)));
  std::printf("all %lld launches agree\n", static_cast<long long>(result.launches));
  return 0;
}

} // namespace kiln
