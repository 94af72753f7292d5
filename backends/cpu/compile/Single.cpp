//===- Single.cpp - ops that are computed as a whole
//----------------------------------------------------------------===//
#include "backends/cpu/compile/Phases.h"

namespace kiln::cpu {

bool buildSingle(KernelBuilder &builder, const Op &op) {
  builder.error = ("the cpu backend has no code for op '" + opName(op.code) + "' yet").str();
  return false;
}

} // namespace kiln::cpu
