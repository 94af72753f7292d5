// What backends say of kernels: asked once, kept.
#pragma once

#include "backends/host/Backend.h"
#include "backends/host/Kernel.h"

#include "llvm/ADT/StringMap.h"

namespace kiln::host {

/// A backend, what it compiles for, and what it says of itself.
struct Asked {
  const Backend *backend;
  kiln_target target;
  Capabilities capabilities;
};

class Answers {
public:
  explicit Answers(std::vector<Asked> backends) : backends_(std::move(backends)) {}

  /// From the answers kept, else from the backend itself. Null, with an error at the group, where the backend fails.
  const Answer *ask(GroupOp group, GroupKernel &formed, uint32_t backend);

  const std::vector<Asked> &backends() const { return backends_; }
  /// What was refused, each kernel once: a sentence for `kiln explain --fusion`.
  const std::vector<std::string> &refusals() const { return refusals_; }

private:
  std::vector<Asked> backends_;
  llvm::StringMap<Answer> answers_; ///< by backend and the kernel's key, aliases included: scratch may depend on them
  std::vector<std::string> refusals_;
};

} // namespace kiln::host
