// From a manifest to the kiln_program structs that a backend runs.
#pragma once

#include "runtime/backend/Tables.h"
#include "runtime/program/Manifest.h"

#include <deque>

namespace kiln {

/// Owns a kiln_program and all that it points to. Every number in the manifest's plans is checked here: indices of
/// kernels, arguments, slots and spaces, offsets against what they point into, depth of nesting.
class Plan {
public:
  /// `manifest` must outlive the plan. Throws Error.
  Plan(const Manifest &manifest, const uint8_t *constants, uint64_t constantBytes);
  Plan(const Plan &) = delete;

  const kiln_program &program() const { return program_; }

private:
  friend class PlanReader;
  kiln_program program_ = {};
  std::vector<kiln_kernel> kernels_;
  std::vector<EntryRow> entries_;
  std::deque<std::vector<kiln_node>> nodes_;
  std::deque<std::vector<kiln_place>> places_;
  std::deque<std::vector<kiln_extent>> extents_;
  std::deque<std::vector<int64_t>> bytes_;
};

} // namespace kiln
