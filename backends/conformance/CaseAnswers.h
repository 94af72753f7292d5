// What a backend says of cases, each asked once: a claim may be dear.
#pragma once

#include "backends/conformance/Conformance.h"

#include <map>

namespace kiln::conformance {

class CaseAnswers {
public:
  /// Both outlive it.
  CaseAnswers(const host::Backend &backend, const kiln_target &target) : backend(backend), target(target) {}

  struct Said {
    host::Answer answer;
    std::string error;  ///< where the backend failed; else empty
    bool whole = false; ///< it takes the kernel as it is
  };
  const Said &of(Case &made) {
    auto [found, fresh] = said.try_emplace(rowOf(made).id());
    if (fresh) {
      const kiln_kernel &kernel = made.kernel->table("k");
      Said &one = found->second;
      one.whole = backend.claim(kernel, target, one.answer, one.error) && one.answer.whole(kernel.op_count);
    }
    return found->second;
  }

private:
  const host::Backend &backend;
  const kiln_target &target;
  std::map<std::string, Said> said;
};

} // namespace kiln::conformance
