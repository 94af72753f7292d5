// A program that fits: as it is, else with logits in small blocks, else with more and more of the forward half computed
// once more.

#include "frontend/driver/Compile.h"

#include "passes/Checkpoint/Checkpoint.h"
#include "runtime/program/Manifest.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/STLExtras.h"

#include <algorithm>

namespace kiln {

bool parseBytes(const std::string &text, int64_t &bytes) {
  static const std::pair<const char *, double> units[] = {{"", 1},          {"B", 1},         {"kB", 1e3},
                                                          {"KB", 1e3},      {"MB", 1e6},      {"GB", 1e9},
                                                          {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1LL << 30}};
  size_t digits = text.find_first_not_of("0123456789.");
  double number = 0;
  if (digits == 0 || !absl::SimpleAtod(text.substr(0, digits), &number))
    return false;
  std::string unit = digits == std::string::npos ? "" : text.substr(digits);
  for (const auto &[name, size] : units)
    if (unit == name && number * size >= 1 && number * size < 1e18) {
      bytes = static_cast<int64_t>(number * size);
      return true;
    }
  return false;
}

/// Rows of a block of logits, where memory is short: a product has few rows left below (docs/memory.md).
constexpr int64_t fewRows = 256;
/// Each tried in turn; beyond, a segment is less than a layer of the deepest models.
constexpr int64_t segmentCounts[] = {2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64};

/// What an entry holds while it runs, lengths at their bounds: its arguments and results, and the arena.
static int64_t heldBy(const EntrySpec &entry) {
  int64_t sum = entry.arenaBytes;
  for (const ArgumentSpec &argument : entry.arguments)
    sum += argument.bytes;
  return sum;
}

/// The training steps that hold more than `budget`.
static std::vector<const EntrySpec *> above(const Manifest &manifest, int64_t budget) {
  std::vector<const EntrySpec *> found;
  for (const EntrySpec &entry : manifest.entries) {
    auto [role, rest] = llvm::StringRef(entry.name).split('.');
    bool cut = manifest.mostShards() > 0; // then shards are what a training runs
    if (role == (cut ? "shard" : "train_step") && heldBy(entry) > budget)
      found.push_back(&entry);
  }
  return found;
}

static std::string bytesText(int64_t bytes) {
  if (bytes < 100'000)
    return absl::StrCat(bytes, " bytes");
  return bytes < 1'000'000'000 ? absl::StrFormat("%.2f MB", static_cast<double>(bytes) / 1e6)
                               : absl::StrFormat("%.3f GB", static_cast<double>(bytes) / 1e9);
}

/// What a step that does not fit is told.
static absl::Status tooLarge(const MemoryTry &least, int64_t budget) {
  std::string how = least.segments > 1
                        ? absl::StrCat(" in ", least.segments, " segments, all but one of which are computed twice,")
                        : std::string();
  return absl::ResourceExhaustedError(
      absl::StrCat("--memory-budget: '", least.entry, "' holds ", bytesText(least.held), how,
                   " at the least, and the budget is ", bytesText(budget),
                   ": a smaller batch takes less, shorter texts, large logits in smaller blocks (--block-rows), an "
                   "optimizer with fewer states, or no clipping "
                   "(`kiln explain --memory` tells what is held)"));
}

absl::Status Compilation::plan(host::BuildOptions build) {
  if (build.entries.empty())
    build.entries = options_.entries;
  absl::Status built = buildProgram(build);
  return built.ok() && wholeModule_ ? fitMemory(build) : built;
}

absl::Status Compilation::fitMemory(const host::BuildOptions &build) {
  std::map<std::string, MemoryTry> least;
  size_t next = 0;
  bool triedRows = false;
  while (true) {
    Manifest manifest = Manifest::parse(program_->manifest());
    std::vector<const EntrySpec *> large = above(manifest, options_.memoryBudget);
    bool better = false;
    for (const EntrySpec &entry : manifest.entries) {
      if (!segmentsOf_.contains(entry.name) && !llvm::is_contained(large, &entry))
        continue;
      int64_t segments = segmentsOf_.try_emplace(entry.name, 1).first->second;
      memoryTries_.push_back({entry.name, options_.blockRows, segments, heldBy(entry)});
      const MemoryTry &now = memoryTries_.back();
      auto [best, first] = least.try_emplace(entry.name, now);
      if (!first && now.held >= best->second.held)
        continue;
      best->second = now;
      better = true;
    }
    if (large.empty())
      return absl::OkStatus();
    if (triedRows && options_.blockRows == fewRows && next == 0 && !better)
      options_.blockRows = 0; // there are no such logits: blocks would cost time alone
    bool rows = options_.blockRows == 0 && !triedRows;
    triedRows |= rows;
    if (next == std::size(segmentCounts)) {
      const EntrySpec *largest =
          *std::max_element(large.begin(), large.end(), [&](const EntrySpec *a, const EntrySpec *b) {
            return least.at(a->name).held < least.at(b->name).held;
          });
      return tooLarge(least.at(largest->name), options_.memoryBudget);
    }
    if (rows)
      options_.blockRows = fewRows;
    else
      for (const EntrySpec *entry : large)
        segmentsOf_[entry->name] = segmentCounts[next];
    next += !rows;
    if (absl::Status built = rebuild(build); !built.ok())
      return built;
  }
}

absl::Status Compilation::rebuild(const host::BuildOptions &build) {
  module_ = mlir::OwningOpRef<mlir::ModuleOp>(wholeModule_->clone());
  mlir::Builder builder(context_.get());
  for (auto function : module_->getOps<mlir::func::FuncOp>())
    if (auto found = segmentsOf_.find(function.getName().str()); found != segmentsOf_.end())
      function->setAttr(segmentsAttr, builder.getI64IntegerAttr(found->second));
  if (absl::Status passed = runStages("narrow", "fuse"); !passed.ok())
    return passed;
  return buildProgram(build);
}

std::string Compilation::explainBudget() const {
  std::string text;
  for (const MemoryTry &tried : memoryTries_)
    absl::StrAppend(&text, tried.entry, ": holds ", bytesText(tried.held),
                    tried.segments > 1 ? absl::StrCat(" in ", tried.segments, " segments") : " in one piece",
                    tried.blockRows ? absl::StrCat(", logits in blocks of ", tried.blockRows, " rows") : "",
                    tried.held <= options_.memoryBudget ? ": taken\n" : "\n");
  return text;
}

} // namespace kiln
