// What a program's entry does in one execution at its bounds, counted from its kernels.
#pragma once

#include "runtime/backend/Tables.h"

#include <vector>

namespace kiln::host {

struct Cost {
  /// Of products, convolutions and attention, a multiply-add as two; other arithmetic is not counted.
  double flops = 0;
  /// The sum of what each launch's operands hold and what each copy moves.
  double bytes = 0;
  double launches = 0;
};

/// What a value of the kernel holds when the kernel's extents are these.
double bytesOf(const kiln_kernel &kernel, uint32_t value, const std::vector<int64_t> &extents);

/// One launch with these extents.
Cost costOf(const kiln_kernel &kernel, const std::vector<int64_t> &extents);

/// Loops count as often as they run; a `while` once; of an `if` the dearer half.
Cost costOf(const kiln_program &program, const EntryRow &entry);

} // namespace kiln::host
