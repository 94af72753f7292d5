// Proves a plan right by running it on names instead of numbers. Shares no decision with the planner.
#pragma once

#include "passes/PlanMemory/PlanMemory.h"

namespace kiln::plan {

/// Walks the plan's steps in order, loops iteration by iteration, keeping which value lies in which bytes of memory.
/// Fails where a kernel would read bytes that do not hold the value its operand names, where a kernel's output overlaps
/// an input it may not be written over, or where a result is not in its memory at the end. `symbols` are the extents to
/// run with: at their bounds, buffers are largest; at other values strides are proved too.
mlir::LogicalResult verifyPlan(const FunctionPlan &plan, const Bounds &symbols);

} // namespace kiln::plan
