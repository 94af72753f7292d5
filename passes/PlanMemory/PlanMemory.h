// Where every value of a fused function lives, and in what order its kernels run. Told in docs/memory.md.
#pragma once

#include "ir/Bounds.h"
#include "passes/Fuse/Donation.h"

#include "mlir/Pass/Pass.h"

namespace kiln::plan {

/// Bytes of a tensor, as an expression.
Dim bytesOf(mlir::Type type);

/// Bytes of tensors at the bounds, each type's found once.
class BoundSizes {
public:
  explicit BoundSizes(const Bounds &bounds) : bounds(bounds) {}

  /// nullopt where a dimension has no bound.
  std::optional<int64_t> find(mlir::Type type) {
    auto [entry, isNew] = known.try_emplace(type);
    if (isNew)
      entry->second = upperBound(bytesOf(type), bounds);
    return entry->second;
  }
  /// 0 where a dimension has no bound.
  int64_t of(mlir::Type type) { return find(type).value_or(0); }

private:
  const Bounds &bounds;
  llvm::DenseMap<mlir::Type, std::optional<int64_t>> known;
};

struct Place {
  enum class Space { arena, argument, constant };
  Space space = Space::arena;
  unsigned index = 0; ///< of the buffer, the argument, or the constant in the plan's list
  int64_t offset = 0; ///< bytes within it
  /// Bytes added for each iteration of the enclosing loops, outermost first; may be shorter than there are loops.
  llvm::SmallVector<Dim, 2> strides;
};

/// A piece of the arena.
struct Buffer {
  int64_t bytes = 0;
  mlir::Value origin;            ///< the value that it was made for; null for scratch
  mlir::Operation *op = nullptr; ///< who writes it
  unsigned home = 0; ///< how many loops are around the place where it was made: it lives within one of their iterations
  int64_t begin = -1, end = -1; ///< the steps at which it is live, both included
  int64_t offset = 0;
};

struct Step {
  enum class Kind { sequence, launch, copy, repeat, loop, branch };
  Kind kind = Kind::sequence;
  mlir::Operation *op = nullptr;   ///< group, scan, while or if
  llvm::SmallVector<Place> places; ///< launch: inputs without loop indices, then outputs; copy: from, to
  Dim count;                       ///< repeat: iterations; copy: bytes
  unsigned level = 0;              ///< repeat, loop: the number of loops around it
  std::optional<Place> scratch;    ///< launch
  Place condition;                 ///< loop, branch
  std::vector<Step> children;      ///< loop: condition, body; branch: then, else
  int64_t begin = 0, end = 0;      ///< linear time
};

struct Argument {
  mlir::DictionaryAttr attributes;
  mlir::Type type;
  bool result = false;  ///< memory for a result; else an argument of the function
  bool donated = false; ///< an argument whose memory takes a result's value
};

struct FunctionPlan {
  mlir::func::FuncOp function;
  Bounds bounds;
  std::vector<std::string> symbols; ///< in the order of their first appearance in the signature
  std::vector<Argument> arguments;
  std::vector<unsigned> resultArguments; ///< for each result, the argument whose memory it ends in
  std::vector<Buffer> buffers;
  std::vector<ConstantOp> constants;
  Step root;
  int64_t alignment = 64; ///< of buffers
  int64_t redZone = 0;    ///< bytes at least between any two buffers; each then has its memory to itself
  int64_t arenaBytes = 0, lowerBound = 0;
};

struct Options {
  /// Bytes of scratch that a group's kernel needs at the bounds; the group says by then which of its results lie in an
  /// operand's memory, and a backend may need more for that.
  std::function<mlir::FailureOr<int64_t>(GroupOp)> scratchBytes;
  int64_t alignment = 64; ///< of buffers in the arena: a power of two
  /// Bytes that nobody may write around each buffer; no memory is used twice then. 0: none.
  int64_t redZone = 0;
};

/// Orders the function's ops (in the IR), gives every value a place, and checks the result with `verifyPlan`.
mlir::FailureOr<FunctionPlan> planFunction(mlir::func::FuncOp function, const Options &options);

/// A piece of the arena that no kernel may write.
struct RedZone {
  int64_t offset = 0, bytes = 0;
  std::string after; ///< the buffer in front of it: "scratch of ...", "add  m.kiln:3:9"; empty for the first zone
};
/// All that lies between the buffers, where the plan has red zones.
std::vector<RedZone> redZones(const FunctionPlan &plan);

/// Bytes that are live at each step, each buffer's rounded up to the alignment.
std::vector<int64_t> liveBytes(const FunctionPlan &plan, int64_t alignment);

/// Shown by `kiln explain --memory`.
std::string explain(const FunctionPlan &plan);

/// True for the loop counter of a scan: it needs no memory, kernels read it from the extents.
bool isLoopIndex(mlir::Value value);
/// The value whose memory this one is: reshapes looked through.
mlir::Value rootOf(mlir::Value value);
/// The op of `block` that is `op` or has it inside; null when there is none.
mlir::Operation *ancestorIn(mlir::Block *block, mlir::Operation *op);

//===-- The parts of planFunction, in the order in which they run ----------------------------------------------===//

/// Reorders the ops of a block and of those inside: readers of what is overwritten come before the writer, and what
/// frees memory comes as early as it can.
void scheduleBlock(mlir::Block &block, BoundSizes &sizes);

mlir::LogicalResult assignPlaces(FunctionPlan &plan, const Options &options, BoundSizes &sizes);
void computeLifetimes(FunctionPlan &plan);
void assignOffsets(FunctionPlan &plan);

} // namespace kiln::plan

namespace kiln {
#define GEN_PASS_DECL
#include "passes/PlanMemory/PlanMemory.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/PlanMemory/PlanMemory.h.inc"

/// The pass over the program's entries of these names (all where none is named), whose plans it adds to `plans`, which
/// outlives it. `annotate`: also writes them into the module, for people and `verifyPlanned`.
std::unique_ptr<mlir::Pass> createPlanMemory(plan::Options options, llvm::ArrayRef<std::string> entries,
                                             std::vector<plan::FunctionPlan> &plans, bool annotate);

/// Every group of the function has as many places as its launch reads and writes, and the function an arena; else an
/// error at what has not.
mlir::LogicalResult verifyPlanned(mlir::func::FuncOp function);
} // namespace kiln
