#include "tests/support/Compiled.h"

#include "backends/cpu/Backend.h"
#include "backends/host/Kernel.h"
#include "backends/host/Program.h"
#include "frontend/cli/Link.h"
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

absl::StatusOr<std::unique_ptr<Compiled>> Compiled::create(mlir::ModuleOp module, unsigned threads,
                                                           std::string targetCpu) {
  auto result = std::unique_ptr<Compiled>(new Compiled);
  result->context_ = module.getContext();
  mlir::OwningOpRef<mlir::ModuleOp> copy = module.clone();
  mlir::PassManager passes(module.getContext());
  buildCompilePipeline(passes);
  if (mlir::failed(passes.run(*copy)))
    return absl::InternalError("the passes failed");
  kiln_target target{};
  target.size = sizeof(target);
  target.cpu = {targetCpu.data(), targetCpu.size()};
  target.jobs = 1;
  std::string why;
  std::shared_ptr<host::Backend> backend = host::Backend::create(kiln_cpu_backend, "built in", why);
  if (!backend)
    return absl::InternalError(why);
  absl::StatusOr<std::unique_ptr<host::OwnedProgram>> program = host::buildProgram(*copy, host::Target{backend.get(), target});
  if (!program.ok())
    return program.status();
  result->fusion_ = (*program)->explainFusion();
  std::vector<host::Blob> blobs;
  const kiln_program &plan = (*program)->program();
  if (!backend->compile(plan, target, blobs, why))
    return absl::InternalError(why);
  LinkJob job;
  for (const host::Blob &blob : blobs)
    job.objects.push_back({blob.bytes.data(), blob.bytes.size()});
  static int number = 0;
  const char *folder = getenv("TMPDIR");
  job.output = absl::StrCat(folder ? folder : "/tmp", "/kiln-test-", getpid(), "-", number++, ".so");
  job.shared = true;
  if (absl::Status linked = link(job); !linked.ok())
    return linked;
  result->loaded_ =
      Loaded::open(job.output, (*program)->manifest(),
                   std::vector<uint8_t>(plan.constants, plan.constants + plan.constant_bytes), threads, why);
  unlink(job.output.c_str());
  if (!result->loaded_)
    return absl::InternalError(why);
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
  std::map<std::string, HostTensor> named;
  for (PlainTensor &result : results) {
    HostTensor tensor = HostTensor::zeros(elementOf(context_, result.dtype), result.shape);
    tensor.floats = std::move(result.floats);
    tensor.integers = std::move(result.integers);
    named.emplace(result.name, std::move(tensor));
  }
  return named;
}

} // namespace kiln::test
