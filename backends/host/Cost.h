// What a kernel's launch does, counted from its ops.
#pragma once

#include "runtime/backend/Tables.h"

#include <vector>

namespace kiln::host {

/// A sum of products of the kernel's extents.
struct CostSum {
  struct Term {
    std::vector<int32_t> slots; ///< ascending, one for each factor
    double factor;
  };
  std::vector<Term> terms; ///< no two with the same slots

  void add(Term term);
  double at(const std::vector<int64_t> &extents) const;
};

struct Cost {
  /// Of products, convolutions and attention, a multiply-add as two; other arithmetic is not counted.
  CostSum flops;
  /// What the operands and results hold.
  CostSum bytes;
};

Cost costOf(const kiln_kernel &kernel);

/// What a value of the kernel holds when the kernel's extents are these.
double bytesOf(const kiln_kernel &kernel, uint32_t value, const std::vector<int64_t> &extents);

} // namespace kiln::host
