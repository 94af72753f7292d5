// Backends as the passes see them: groups go over the C ABI as kernels.
#pragma once

#include "backends/host/Answers.h"

#include "passes/Claim/Claimant.h"

namespace kiln::host {

class BackendClaimant final : public claim::Claimant {
public:
  BackendClaimant(uint32_t number, Answers &answers, GroupKernels &groupKernels)
      : number(number), answers(answers), groupKernels(groupKernels) {}

  std::string name() const override { return answers.backends()[number].backend->name(); }
  mlir::FailureOr<claim::Answer> claim(GroupOp group) override;
  double secondsOf(GroupOp group) override;
  bool namesWhole(llvm::StringRef op) const override;
  claim::Link link() const override;
  std::string keyOf(GroupOp group) override;
  bool hostMemory() const override { return answers.backends()[number].capabilities.hostMemory(); }

private:
  uint32_t number;
  Answers &answers;
  GroupKernels &groupKernels;
};

/// The backends of a compile as claimants, the home first. Outlives the passes that have them.
class BackendClaimants {
public:
  /// Both outlive it.
  BackendClaimants(Answers &answers, GroupKernels &groupKernels);
  BackendClaimants(const BackendClaimants &) = delete;
  claim::Claimants get() const { return claimants; }

private:
  std::vector<BackendClaimant> backends;
  llvm::SmallVector<claim::Claimant *> claimants;
};

} // namespace kiln::host
