// From a manifest to the kiln_program structs that a backend runs.
#pragma once

#include "runtime/backend/Placement.h"
#include "runtime/program/Manifest.h"

#include <deque>
#include <memory>

namespace kiln {

/// Owns a kiln_program and all that it points to. Every number in the manifest's plans is checked here: indices of
/// kernels, arguments, slots and spaces, offsets against what they point into, depth of nesting.
class Plan {
public:
  /// `manifest` must outlive the plan. Throws Error.
  Plan(const Manifest &manifest, const uint8_t *constants, uint64_t constantBytes);
  Plan(const Plan &) = delete;

  const kiln_program &program() const { return program_; }
  /// By backend; one of them where all kernels are on the first.
  const Placement &placement() const { return *placement_; }

private:
  friend class PlanReader;
  void setTypes(kiln_kernel &kernel, const KernelSpec &spec);
  void setArguments(EntryRow &entry, const EntrySpec &spec, const Manifest &manifest);
  kiln_program program_ = {};
  std::unique_ptr<Placement> placement_;
  std::deque<std::vector<ValueRow>> values_;
  std::deque<std::vector<uint32_t>> numbers_;
  std::vector<kiln_kernel> kernels_;
  std::vector<EntryRow> entries_;
  std::deque<std::vector<kiln_node>> nodes_;
  std::deque<std::vector<kiln_place>> places_;
  std::deque<std::vector<kiln_extent>> extents_;
  std::deque<std::vector<int64_t>> bytes_;
  std::deque<std::vector<ArgumentRow>> arguments_;
};

} // namespace kiln
