// A program of many kernels, each in an entry of its own, where operands and results are arguments.
#pragma once

#include "backends/conformance/Case.h"
#include "backends/conformance/Session.h"

namespace kiln::conformance {

class KernelProgram {
public:
  struct Part {
    Case *made;
    int64_t scratchBytes;
  };
  explicit KernelProgram(std::vector<Part> parts);
  KernelProgram(const KernelProgram &) = delete;

  const kiln_program &program() const { return program_; }
  /// Where results have arguments of their own, or where those that may lie in an input's memory do.
  uint32_t entry(size_t part, bool inPlace) const { return static_cast<uint32_t>(2 * part + inPlace); }
  /// With guards around the scratch; `guardBytes` lie before each argument, too.
  int64_t arena(size_t part) const {
    return parts_[part].scratchBytes ? parts_[part].scratchBytes + 2 * static_cast<int64_t>(guardBytes) : 0;
  }
  size_t size() const { return parts_.size(); }
  Case &made(size_t part) const { return *parts_[part].made; }

private:
  void addEntry(const Part &part, uint32_t kernel, bool inPlace);

  std::vector<Part> parts_;
  std::vector<kiln_kernel> kernels_;
  std::vector<EntryRow> entries_;
  std::deque<std::vector<kiln_place>> places_;
  std::deque<std::vector<kiln_extent>> extents_;
  std::deque<std::vector<int64_t>> bytes_;
  std::deque<std::vector<ArgumentRow>> arguments_;
  std::deque<std::string> names_;
  kiln_program program_{};
};

} // namespace kiln::conformance
