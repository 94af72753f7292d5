// The way from a module to what backends compile: the stages of passes/Pipelines.cpp behind fuse, then "compile" of the
// same story.
#include "backends/host/Program.h"

#include "backends/api/kiln_text.h"
#include "backends/host/Claimants.h"
#include "backends/host/Entries.h"
#include "backends/host/ManifestWriter.h"
#include "passes/Fuse/Fuse.h"
#include "passes/Fuse/Verify.h"
#include "passes/Pipelines.h"
#include "passes/support/Entries.h"
#include "runtime/backend/Placement.h"

#include "absl/status/status.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/FormatVariadic.h"

namespace kiln::host {

struct OwnedProgram::Contents {
  Contents(std::vector<Asked> backends, int64_t alignment) : answers(std::move(backends)), entries(alignment) {}

  Answers answers;
  Kernels kernels;
  Entries entries;
  kiln_program program = {};
  std::vector<uint32_t> used; ///< the backends that have kernels; the first where none has
  std::unique_ptr<Placement> placement;
  std::string manifest;

  const std::string &nameOf(uint32_t backend) const { return answers.backends()[backend].backend->name(); }
};

OwnedProgram::OwnedProgram(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}
OwnedProgram::~OwnedProgram() = default;
const kiln_program &OwnedProgram::program() const { return contents_->program; }
const std::string &OwnedProgram::manifest() const { return contents_->manifest; }

std::string OwnedProgram::explainMemory(llvm::StringRef entry) const {
  const Entries &entries = contents_->entries;
  for (auto [row, description] : llvm::zip(entries.rows(), entries.descriptions()))
    if (entry.empty() || entry == toString(row.name))
      return description.memory;
  return "no entry named " + entry.str() + "\n";
}

const kiln_program &OwnedProgram::programOf(uint32_t backend) const { return contents_->placement->program(backend); }
const std::vector<uint32_t> &OwnedProgram::usedBackends() const { return contents_->used; }

std::string OwnedProgram::explainPlacement() const {
  std::string result;
  const Kernels &kernels = contents_->kernels;
  if (contents_->used.front() != 0)
    result += contents_->nameOf(0) + ": 0 kernels\n";
  for (uint32_t target : contents_->used) {
    size_t count = llvm::count_if(kernels.origins(), [&](const Kernels::Origin &one) { return one.target == target; });
    result += contents_->nameOf(target) + ": " + std::to_string(count) + (count == 1 ? " kernel\n" : " kernels\n");
    for (auto [kernel, origin] : llvm::zip(kernels.rows(), kernels.origins()))
      if (origin.target == target) {
        result += "  " + toString(kernel.name);
        if (!origin.reason.empty())
          result += "  (" + (target ? "not on " + contents_->nameOf(0) + ": " : "") + origin.reason + ")";
        result += "\n";
      }
  }
  const std::vector<EntryRow> &entries = contents_->entries.rows();
  for (size_t entry = 0; contents_->used.size() > 1 && entry < entries.size(); ++entry)
    result += toString(entries[entry].name) + ": " + std::to_string(contents_->placement->parts(entry).size()) +
              " parts, one after another\n";
  return result;
}

std::string OwnedProgram::explainFusion(const std::vector<std::string> &work) const {
  std::string result;
  for (size_t k = 0; k < contents_->kernels.rows().size(); ++k) {
    const kiln_kernel &kernel = contents_->kernels.rows()[k];
    const std::string &form = contents_->kernels.form(k);
    result += toString(kernel.name) + " (" + stringifyGroupShape(static_cast<GroupShape>(kernel.shape)).str() +
              (form.empty() ? "" : " as " + form) + "):";
    for (size_t i = 0; i < kernel.op_count; ++i)
      result += " " + toString(kernel.ops[i].name);
    if (kernel.op_count && kernel.ops[kernel.op_count - 1].location.line) {
      const kiln_location &at = kernel.ops[kernel.op_count - 1].location;
      result += "  [" + toString(at.file) + ":" + std::to_string(at.line) + "]";
    }
    result += "\n";
    if (k < work.size())
      result += work[k];
  }
  for (const std::string &refusal : contents_->answers.refusals())
    result += "refused: " + refusal + "\n";
  return result;
}

// Wider than any vector, and than a tile's row.
static constexpr int64_t redZoneBytes = 512;

// The stages behind fuse, over the entries that are wanted.
static mlir::LogicalResult runStages(mlir::ModuleOp module, const BuildOptions &options, Answers &answers,
                                     GroupKernels &groupKernels, int64_t alignment,
                                     std::vector<plan::FunctionPlan> &plans) {
  for (mlir::func::FuncOp function : entriesOf(module, options.entries)) {
    GroupKernels::clear(function);
    if (findUnfused(function) && mlir::failed(fuseFunction(function, FuseLevel::full)))
      return mlir::failure();
  }
  BackendClaimants claimants(answers, groupKernels);
  PipelineOptions pipeline;
  pipeline.after = "fuse";
  pipeline.afterStage = options.afterStage;
  pipeline.verify = options.verify;
  pipeline.claimants = claimants.get();
  pipeline.entries = options.entries;
  pipeline.plan.alignment = alignment;
  pipeline.plan.redZone = options.redZones ? redZoneBytes : 0;
  pipeline.plans = &plans;
  mlir::PassManager passes(module.getContext());
  passes.enableVerifier(options.verify);
  if (options.times)
    timePasses(passes, *options.times);
  buildCompilePipeline(passes, pipeline);
  return passes.run(module);
}

// One program for each backend that has kernels.
static std::unique_ptr<Placement> placeKernels(const kiln_program &program, const Kernels &kernels, size_t backends,
                                               std::vector<uint32_t> &used) {
  std::vector<uint32_t> numbers(backends, 0), backendOf;
  for (uint32_t target = 0; target < backends; ++target) {
    bool has = llvm::any_of(kernels.origins(), [&](const auto &one) { return one.target == target; });
    if (!has && (target != 0 || !kernels.origins().empty()))
      continue;
    numbers[target] = static_cast<uint32_t>(used.size());
    used.push_back(target);
  }
  for (const Kernels::Origin &origin : kernels.origins())
    backendOf.push_back(numbers[origin.target]);
  return std::make_unique<Placement>(program, std::move(backendOf), static_cast<uint32_t>(used.size()));
}

// A buffer that one of the backends cannot allocate in one piece; empty where there is none.
static std::string tooLarge(const std::vector<Asked> &backends, const std::vector<uint32_t> &used,
                            const Entries &entries) {
  for (uint32_t target : used) {
    int64_t limit = backends[target].capabilities.maxAllocationBytes;
    for (const EntryRow &entry : entries.rows()) {
      int64_t largest = entry.arena_bytes;
      for (size_t i = 0; i < entry.argument_count; ++i)
        largest = std::max(largest, entry.argument_bytes[i]);
      if (limit > 0 && largest > limit)
        return llvm::formatv(
                   "'{0}' needs a buffer of {1} bytes ({2}), and the backend {3} allocates at most {4} in one "
                   "piece: lower the batch or a --bound",
                   toString(entry.name), largest, largest == entry.arena_bytes ? "its temporaries" : "an argument",
                   backends[target].backend->name(), limit)
            .str();
    }
  }
  return "";
}

absl::StatusOr<std::unique_ptr<OwnedProgram>> buildProgram(mlir::ModuleOp module, llvm::ArrayRef<Target> targets,
                                                           const BuildOptions &options) {
  int64_t alignment = 64; // of places in the arena and the constants: what the strictest backend asks for
  std::vector<Asked> backends;
  for (const Target &target : targets) {
    Asked &asked = backends.emplace_back(Asked{target.backend, target.target, {}});
    std::string why;
    if (!target.backend->capabilities(target.target, asked.capabilities, why))
      return absl::InvalidArgumentError(why);
    alignment = std::max(alignment, asked.capabilities.alignment);
  }
  auto contents = std::make_unique<OwnedProgram::Contents>(std::move(backends), alignment);
  std::string errors;
  mlir::ScopedDiagnosticHandler handler(module.getContext(), [&](mlir::Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != mlir::DiagnosticSeverity::Error)
      return mlir::failure();
    if (options.diagnosed)
      options.diagnosed(diagnostic);
    errors += (errors.empty() ? "" : "\n") + errorText(diagnostic);
    return mlir::success();
  });
  GroupKernels groupKernels;
  std::vector<plan::FunctionPlan> plans;
  if (mlir::failed(runStages(module, options, contents->answers, groupKernels, alignment, plans)))
    return absl::InvalidArgumentError(errors);
  for (const plan::FunctionPlan &plan : plans)
    if (mlir::failed(contents->entries.add(plan, entryName(plan.function), contents->kernels, groupKernels)))
      return absl::InvalidArgumentError(errors);
  const std::vector<EntryRow> &entries = contents->entries.rows();
  for (const std::string &wanted : options.entries)
    if (llvm::none_of(entries, [&](const EntryRow &entry) { return isEntryOf(toString(entry.name), wanted); }))
      return absl::NotFoundError("the model has no function for the entry '" + wanted + "'");
  const std::vector<kiln_kernel> &kernels = contents->kernels.rows();
  const std::string &constants = contents->entries.constants();
  contents->program = {kernels.size(),
                       kernels.data(),
                       entries.size(),
                       entries.data(),
                       reinterpret_cast<const uint8_t *>(constants.data()),
                       constants.size()};
  contents->placement =
      placeKernels(contents->program, contents->kernels, contents->answers.backends().size(), contents->used);
  if (std::string error = tooLarge(contents->answers.backends(), contents->used, contents->entries); !error.empty())
    return absl::ResourceExhaustedError(error);
  contents->manifest = writeManifest({module, contents->answers.backends(), contents->used, contents->kernels,
                                      contents->entries, options.describeInputs});
  return std::make_unique<OwnedProgram>(std::move(contents));
}

} // namespace kiln::host
