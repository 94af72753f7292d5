#include "backends/host/Program.h"

#include "backends/host/Storage.h"
#include "passes/Fuse/Fuse.h"

#include "absl/status/status.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/FormatVariadic.h"

namespace kiln::host {

OwnedProgram::OwnedProgram() : storage_(std::make_unique<Storage>()) {}
OwnedProgram::~OwnedProgram() = default;
const kiln_program &OwnedProgram::program() const { return storage_->program; }
const std::string &OwnedProgram::manifest() const { return storage_->manifestText; }

std::string OwnedProgram::explainMemory(llvm::StringRef entry) const {
  for (const auto &[name, text] : storage_->memoryTexts)
    if (entry.empty() || entry == name)
      return text;
  return "no entry named " + entry.str() + "\n";
}

const kiln_program &OwnedProgram::programOf(uint32_t backend) const { return storage_->placement->program(backend); }
const std::vector<uint32_t> &OwnedProgram::usedBackends() const { return storage_->used; }

std::string OwnedProgram::explainPlacement() const {
  std::string result;
  for (uint32_t target : storage_->used) {
    size_t count = llvm::count(storage_->kernelTarget, target);
    result += storage_->targets[target].backend->name() + ": " + std::to_string(count) +
              (count == 1 ? " kernel\n" : " kernels\n");
    for (size_t i = 0; i < storage_->kernels.size(); ++i)
      if (storage_->kernelTarget[i] == target) {
        const kiln_string &name = storage_->kernels[i].name;
        result += "  " + std::string(name.data, name.size);
        if (!storage_->kernelReasons[i].empty())
          result += "  (not on " + storage_->targets[0].backend->name() + ": " + storage_->kernelReasons[i] + ")";
        result += "\n";
      }
  }
  for (size_t entry = 0; storage_->used.size() > 1 && entry < storage_->entries.size(); ++entry) {
    const kiln_string &name = storage_->entries[entry].name;
    result += std::string(name.data, name.size) + ": " + std::to_string(storage_->placement->parts(entry).size()) +
              " parts, one after another\n";
  }
  return result;
}

std::string OwnedProgram::explainFusion() const {
  std::string result;
  for (const kiln_kernel &kernel : storage_->kernels) {
    result +=
        std::string(kernel.name.data, kernel.name.size) + " (" + std::string(kernel.kind.data, kernel.kind.size) + "):";
    for (size_t i = 0; i < kernel.op_count; ++i)
      result += " " + std::string(kernel.ops[i].name.data, kernel.ops[i].name.size);
    if (kernel.op_count && kernel.ops[kernel.op_count - 1].location.line) {
      const kiln_location &at = kernel.ops[kernel.op_count - 1].location;
      result += "  [" + std::string(at.file.data, at.file.size) + ":" + std::to_string(at.line) + "]";
    }
    result += "\n";
  }
  for (const std::string &refusal : storage_->refusals)
    result += "refused: " + refusal + "\n";
  return result;
}

// A function's name in the program; empty for those that are no entries.
static std::string entryName(mlir::func::FuncOp function) {
  llvm::StringRef name = function.getName();
  if (function.isPrivate() || function.isExternal() || name == "loss.train")
    return "";
  return name == "loss.eval" ? "eval" : name.str();
}

// Every op that computes is in a group, in loops too.
static bool isFused(mlir::func::FuncOp function) {
  return !function.getBody()
              .walk<mlir::WalkOrder::PreOrder>([](mlir::Operation *op) {
                if (llvm::isa<GroupOp>(op))
                  return mlir::WalkResult::skip();
                bool stays = llvm::isa<ReshapeOp, ConstantOp, ScanOp, IfOp, WhileOp>(op) ||
                             op->hasTrait<mlir::OpTrait::IsTerminator>();
                return stays ? mlir::WalkResult::advance() : mlir::WalkResult::interrupt();
              })
              .wasInterrupted();
}

// Wider than any vector, and than a tile's row.
static constexpr int64_t redZoneBytes = 512;

// `eval.pool` goes with `eval`: the two make one measurement.
static bool isWanted(llvm::StringRef name, const std::vector<std::string> &entries) {
  return entries.empty() || llvm::is_contained(entries, name == "eval.pool" ? "eval" : name);
}

static mlir::LogicalResult build(mlir::ModuleOp module, const BuildOptions &options, OwnedProgram::Storage &storage) {
  for (auto function : module.getOps<mlir::func::FuncOp>()) {
    std::string name = entryName(function);
    if (name.empty() || !isWanted(name, options.entries))
      continue;
    if (!isFused(function) && mlir::failed(fuseFunction(function, FuseLevel::full)))
      return mlir::failure();
    if (mlir::failed(claimGroups(function, storage)))
      return mlir::failure();
    plan::Options planOptions;
    planOptions.alignment = storage.alignment;
    planOptions.redZone = options.redZones ? redZoneBytes : 0;
    planOptions.scratchBytes = [&](GroupOp group) { return claimedScratch(group, storage); };
    mlir::FailureOr<plan::FunctionPlan> plan = plan::planFunction(function, planOptions);
    if (mlir::failed(plan) || mlir::failed(addEntry(*plan, name, storage)))
      return mlir::failure();
    storage.memoryTexts.push_back({name, plan::explain(*plan)});
  }
  return mlir::success();
}

// One program for each target that has kernels.
static void placeKernels(OwnedProgram::Storage &storage) {
  std::vector<uint32_t> numbers(storage.targets.size(), 0), backendOf;
  for (uint32_t target = 0; target < storage.targets.size(); ++target) {
    if (target != 0 && !llvm::is_contained(storage.kernelTarget, target))
      continue;
    numbers[target] = static_cast<uint32_t>(storage.used.size());
    storage.used.push_back(target);
  }
  for (uint32_t target : storage.kernelTarget)
    backendOf.push_back(numbers[target]);
  storage.placement =
      std::make_unique<Placement>(storage.program, std::move(backendOf), static_cast<uint32_t>(storage.used.size()));
}

// A buffer that one of the backends cannot allocate in one piece; empty where there is none.
static std::string tooLarge(const OwnedProgram::Storage &storage) {
  for (uint32_t target : storage.used) {
    int64_t limit = storage.capabilities[target].maxAllocationBytes;
    for (const EntryRow &entry : storage.entries) {
      int64_t largest = entry.arena_bytes;
      for (size_t i = 0; i < entry.argument_count; ++i)
        largest = std::max(largest, entry.argument_bytes[i]);
      if (limit > 0 && largest > limit)
        return llvm::formatv(
                   "'{0}' needs a buffer of {1} bytes ({2}), and the backend {3} allocates at most {4} in one "
                   "piece: lower the batch or a --bound",
                   llvm::StringRef(entry.name.data, entry.name.size), largest,
                   largest == entry.arena_bytes ? "its temporaries" : "an argument",
                   storage.targets[target].backend->name(), limit)
            .str();
    }
  }
  return "";
}

absl::StatusOr<std::unique_ptr<OwnedProgram>> buildProgram(mlir::ModuleOp module, llvm::ArrayRef<Target> targets,
                                                           const BuildOptions &options) {
  auto owned = std::make_unique<OwnedProgram>();
  OwnedProgram::Storage &storage = owned->storage();
  storage.targets.assign(targets.begin(), targets.end());
  storage.describeInputs = options.describeInputs;
  for (const Target &target : targets) {
    Capabilities capabilities;
    std::string why;
    if (!target.backend->capabilities(target.target, capabilities, why))
      return absl::InvalidArgumentError(why);
    storage.alignment = std::max(storage.alignment, capabilities.alignment);
    storage.capabilities.push_back(std::move(capabilities));
  }
  std::string errors;
  mlir::ScopedDiagnosticHandler handler(module.getContext(), [&](mlir::Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != mlir::DiagnosticSeverity::Error)
      return mlir::failure();
    std::string at = locationText(diagnostic.getLocation());
    errors += (errors.empty() ? "" : "\n") + (at.empty() ? at : at + ": ") + "error: " + diagnostic.str();
    return mlir::success();
  });
  if (mlir::failed(build(module, options, storage)))
    return absl::InvalidArgumentError(errors);
  for (const std::string &wanted : options.entries)
    if (llvm::none_of(storage.memoryTexts, [&](const auto &entry) { return entry.first == wanted; }))
      return absl::NotFoundError("the model has no function for the entry '" + wanted + "'");
  storage.program.kernel_count = storage.kernels.size();
  storage.program.kernels = storage.kernels.data();
  storage.program.entry_count = storage.entries.size();
  storage.program.entries = storage.entries.data();
  storage.program.constants = reinterpret_cast<const uint8_t *>(storage.constants.data());
  storage.program.constant_bytes = storage.constants.size();
  placeKernels(storage);
  if (std::string error = tooLarge(storage); !error.empty())
    return absl::ResourceExhaustedError(error);
  storage.manifestText = writeManifest(module, storage);
  return owned;
}

} // namespace kiln::host
