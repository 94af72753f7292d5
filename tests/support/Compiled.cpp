#include "tests/support/Compiled.h"

#include "backends/cpu/Backend.h"
#include "backends/host/Kernel.h"
#include "backends/host/Program.h"
#include "frontend/driver/Link.h"
#include "passes/Pipelines.h"
#include "tests/support/Loaded.h"

#include "absl/strings/str_cat.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"

#include <unistd.h>

namespace kiln::test {

namespace {

mlir::Type elementOf(mlir::MLIRContext *context, kiln_dtype dtype) {
  mlir::Builder builder(context);
  switch (dtype) {
  case KILN_F64:
    return builder.getF64Type();
  case KILN_BF16:
    return builder.getBF16Type();
  case KILN_F16:
    return builder.getF16Type();
  case KILN_I8:
    return builder.getIntegerType(8);
  case KILN_U8:
    return builder.getIntegerType(8, false);
  case KILN_I32:
    return builder.getI32Type();
  case KILN_U32:
    return builder.getIntegerType(32, false);
  case KILN_I64:
    return builder.getI64Type();
  case KILN_BOOL:
    return builder.getI1Type();
  default:
    return builder.getF32Type();
  }
}

} // namespace

Compiled::~Compiled() = default;

/// A module's program and what a backend compiled it to.
struct Compiled::Build {
  std::unique_ptr<host::OwnedProgram> program;
  std::unique_ptr<host::OwnedProgram> watched; // the same with red zones, where asked for
  std::vector<host::Blob> blobs;
  std::vector<uint8_t> constants() const {
    const kiln_program &plan = program->program();
    return std::vector<uint8_t>(plan.constants, plan.constants + plan.constant_bytes);
  }
};

absl::StatusOr<Compiled::Build> Compiled::build(mlir::ModuleOp module, kiln_backend_fn function,
                                                const CompileOptions &options, bool watched) {
  Build result;
  mlir::OwningOpRef<mlir::ModuleOp> copy = module.clone();
  mlir::PassManager passes(module.getContext());
  PipelineOptions pipeline;
  pipeline.until = "fuse";
  pipeline.segments = options.segments;
  pipeline.blockRows = options.blockRows;
  pipeline.compute = options.compute;
  pipeline.weightsAs = options.weightsAs;
  pipeline.storedForms = options.storedForms;
  buildCompilePipeline(passes, pipeline);
  if (mlir::failed(passes.run(*copy)))
    return absl::InternalError("the passes failed");
  kiln_target target{};
  target.size = sizeof(target);
  target.cpu = {options.targetCpu.data(), options.targetCpu.size()};
  target.math = {options.math.data(), options.math.size()};
  target.jobs = 1;
  std::string why;
  std::shared_ptr<host::Backend> backend = host::Backend::create(function, "built in", why);
  if (!backend)
    return absl::InternalError(why);
  if (watched) { // kernels know nothing of where their buffers lie
    mlir::OwningOpRef<mlir::ModuleOp> another = copy->clone();
    host::BuildOptions zones;
    zones.redZones = true;
    auto apart = host::buildProgram(*another, host::Target{backend.get(), target}, zones);
    if (!apart.ok())
      return apart.status();
    result.watched = std::move(*apart);
  }
  absl::StatusOr<std::unique_ptr<host::OwnedProgram>> program =
      host::buildProgram(*copy, host::Target{backend.get(), target});
  if (!program.ok())
    return program.status();
  result.program = std::move(*program);
  if (!backend->compile(result.program->program(), target, result.blobs, why))
    return absl::InternalError(why);
  return result;
}

static absl::StatusOr<std::string> linkedLibrary(const std::vector<host::Blob> &blobs) {
  LinkJob job;
  for (const host::Blob &blob : blobs)
    job.objects.push_back({blob.bytes.data(), blob.bytes.size()});
  static int number = 0;
  const char *folder = getenv("TMPDIR");
  job.output = absl::StrCat(folder ? folder : "/tmp", "/kiln-test-", getpid(), "-", number++, ".so");
  job.shared = true;
  if (absl::Status linked = link(job); !linked.ok())
    return linked;
  return job.output;
}

absl::StatusOr<std::unique_ptr<Compiled>> Compiled::create(mlir::ModuleOp module, unsigned threads,
                                                           const std::string &targetCpu) {
  CompileOptions options;
  options.targetCpu = targetCpu;
  absl::StatusOr<Build> built = build(module, kiln_cpu_backend, options);
  if (!built.ok())
    return built.status();
  absl::StatusOr<std::string> library = linkedLibrary(built->blobs);
  if (!library.ok())
    return library.status();
  std::string why;
  auto loaded = Loaded::open(*library, built->program->manifest(), built->constants(), threads, why);
  unlink(library->c_str());
  return finish(module, *built, std::move(loaded), why);
}

absl::StatusOr<std::pair<std::unique_ptr<Compiled>, std::unique_ptr<Compiled>>>
Compiled::createWatched(mlir::ModuleOp module, unsigned threads, const CompileOptions &options) {
  absl::StatusOr<Build> built = build(module, kiln_cpu_backend, options, true);
  if (!built.ok())
    return built.status();
  absl::StatusOr<std::string> library = linkedLibrary(built->blobs);
  if (!library.ok())
    return library.status();
  std::string why;
  auto plain = Loaded::open(*library, built->program->manifest(), built->constants(), threads, why);
  auto watched = Loaded::open(*library, built->watched->manifest(), built->constants(), threads, why);
  unlink(library->c_str());
  auto one = finish(module, *built, std::move(plain), why), other = finish(module, *built, std::move(watched), why);
  if (!one.ok() || !other.ok())
    return one.ok() ? other.status() : one.status();
  return std::make_pair(std::move(*one), std::move(*other));
}

absl::StatusOr<std::unique_ptr<Compiled>> Compiled::createOn(mlir::ModuleOp module, const char *name,
                                                             kiln_backend_fn backend, const CompileOptions &options) {
  absl::StatusOr<Build> built = build(module, backend, options);
  if (!built.ok())
    return built.status();
  if (built->blobs.size() != 1 || built->blobs[0].kind != KILN_BLOB_BYTES)
    return absl::InternalError("the backend's artifact is not one blob of bytes");
  std::string why;
  auto loaded =
      Loaded::openBytes(name, backend, built->blobs[0].bytes, built->program->manifest(), built->constants(), 1, why);
  return finish(module, *built, std::move(loaded), why);
}

absl::StatusOr<std::unique_ptr<Compiled>> Compiled::finish(mlir::ModuleOp module, const Build &built,
                                                           std::unique_ptr<Loaded> loaded, const std::string &why) {
  if (!loaded)
    return absl::InternalError(why);
  auto result = std::unique_ptr<Compiled>(new Compiled);
  result->context_ = module.getContext();
  result->fusion_ = built.program->explainFusion();
  result->loaded_ = std::move(loaded);
  return result;
}

absl::StatusOr<std::map<std::string, HostTensor>> Compiled::run(const std::string &entry,
                                                                const std::map<std::string, HostTensor> &arguments,
                                                                uint32_t seed, int64_t step) {
  std::vector<PlainTensor> plain, results;
  for (const auto &[name, tensor] : arguments)
    plain.push_back({name, host::dtypeOf(tensor.element), tensor.shape, tensor.floats, tensor.integers});
  std::string why;
  if (!loaded_->run(entry, plain, seed, step, results, why))
    return absl::InternalError(why);
  return toHost(std::move(results));
}

std::vector<std::pair<std::string, std::string>> Compiled::runAll() { return loaded_->runAll(); }

std::map<std::string, HostTensor> Compiled::memory() { return toHost(loaded_->memory()); }

std::map<std::string, HostTensor> Compiled::toHost(std::vector<PlainTensor> plain) {
  std::map<std::string, HostTensor> named;
  for (PlainTensor &result : plain) {
    HostTensor tensor = HostTensor::zeros(elementOf(context_, result.dtype), result.shape);
    tensor.floats = std::move(result.floats);
    tensor.integers = std::move(result.integers);
    named.emplace(result.name, std::move(tensor));
  }
  return named;
}

} // namespace kiln::test
