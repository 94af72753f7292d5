// Those who may take groups: backends, as the passes see them.
#pragma once

#include "passes/Fuse/Cluster.h"

namespace kiln::claim {

/// What a claimant says of a group.
struct Answer {
  bool whole = false; ///< it takes the group as it is
  /// Else the sets of the group's ops that it would take, one kernel each. They are closed and do not meet.
  llvm::SmallVector<fuse::OpSet> parts;
  std::string reason;       ///< where not whole: why
  int64_t scratchBytes = 0; ///< of the whole, at the bounds
  double seconds = 0;       ///< of a launch of the whole, by the claimant's word; 0: it does not say
  /// Operands of the whole that had better lie otherwise: axis order[k] the k-th in memory, the outermost first.
  llvm::SmallVector<std::pair<unsigned, llvm::SmallVector<int64_t>>> layouts;
};

/// What a copy between the process's memory and a claimant's takes. Rough where the claimant does not say: the question
/// is whether a handful of numbers goes to a device and back, not which of two good ways is the better one.
struct Link {
  double copySeconds = 10e-6, bytesPerSecond = 10e9;
};

/// To go from one claimant to another and back: between two that work in the process's memory, where nothing is copied,
/// and as a part of the program beside the copies. And what a processor reads and writes.
constexpr double secondsOfChange = 2e-7, secondsOfPart = 40e-6, memoryBytesPerSecond = 10e9;

class Claimant {
public:
  virtual ~Claimant() = default;
  virtual std::string name() const = 0;
  /// Fails, with an error at the group, where the claimant itself does. The answer is for the group as it is now: with
  /// the aliases that it carries.
  virtual mlir::FailureOr<Answer> claim(GroupOp group) = 0;
  /// About how long a launch of the group takes, at the bounds.
  virtual double secondsOf(GroupOp group) = 0;
  /// It is to be offered ops of this name whole, before they are decomposed.
  virtual bool namesWhole(llvm::StringRef op) const { return false; }
  virtual Link link() const { return {}; }
  /// Equal for groups that it answers alike, at equal bounds; empty where it cannot tell.
  virtual std::string keyOf(GroupOp group) { return ""; }
  /// It works in this process's memory: between two that do nothing is copied.
  virtual bool hostMemory() const = 0;
};

/// In the order in which they are asked. The first is the one that the program is for, its home.
using Claimants = llvm::ArrayRef<Claimant *>;

/// A claimant without a backend, for kiln-opt and tests: takes whatever holds no op of a list.
class Choosy final : public Claimant {
public:
  struct Options {
    std::string name;
    llvm::SmallVector<std::string> refused; ///< names of ops, without the dialect
    bool parts = false;                     ///< takes the rest of a group that has some of these, op by op
    bool hostMemory = true;
    bool loops = false; ///< is offered loops whole
  };
  explicit Choosy(Options options) : options(std::move(options)) {}

  std::string name() const override { return options.name; }
  mlir::FailureOr<Answer> claim(GroupOp group) override;
  /// Ten bytes of operands and results a nanosecond, a millisecond for each product.
  double secondsOf(GroupOp group) override;
  bool namesWhole(llvm::StringRef op) const override { return options.loops && op == "scan"; }
  bool hostMemory() const override { return options.hostMemory; }

private:
  Options options;
};

} // namespace kiln::claim
