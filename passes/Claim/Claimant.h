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
};

class Claimant {
public:
  virtual ~Claimant() = default;
  virtual std::string name() const = 0;
  /// Fails, with an error at the group, where the claimant itself does. The answer is for the group as it is now: with
  /// the aliases that it carries.
  virtual mlir::FailureOr<Answer> claim(GroupOp group) = 0;
  /// About how long a launch of the group takes, at the bounds.
  virtual double secondsOf(GroupOp group) = 0;
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
  };
  explicit Choosy(Options options) : options(std::move(options)) {}

  std::string name() const override { return options.name; }
  mlir::FailureOr<Answer> claim(GroupOp group) override;
  /// Ten bytes of operands and results a nanosecond, a millisecond for each product.
  double secondsOf(GroupOp group) override;
  bool hostMemory() const override { return options.hostMemory; }

private:
  Options options;
};

} // namespace kiln::claim
