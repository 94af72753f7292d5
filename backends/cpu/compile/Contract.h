// Kernels around one dot_general or convolution.
//
// Prologue: what stands between the kernel's inputs and the op's operands is evaluated while they are packed. Epilogue:
// outputs that are elementwise in the op's result are evaluated as its tiles are finished.
#pragma once

#include "backends/cpu/compile/Phases.h"

namespace kiln::cpu {

/// Emits the phases of a kernel with exactly one dot_general or convolution; false, with builder.error set, where it
/// cannot.
bool buildContract(KernelBuilder &builder);

} // namespace kiln::cpu
