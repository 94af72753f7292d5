// Elementary functions as polynomial code; by tables in registers where the processor has AVX-512 (VectorTables.cpp).
//
// On f32 and f64, scalars and vectors alike. Errors (measured by tests/backends/cpu/MathTest.cpp, which fails above
// them) in units in the last place: exp, log, rsqrt 2; the others 4. Some of f64, and f32 sin and cos of
// arguments above 1e6, call libm. Sigmoids too small to be normal numbers are 0 where e^-x is infinite.
#pragma once

#include "backends/cpu/compile/Code.h"
#include "backends/cpu/compile/Graph.h"

namespace kiln::cpu {

mlir::Value emitExp(Code &code, mlir::Value x);
mlir::Value emitLog(Code &code, mlir::Value x);
/// An elementwise op of one float operand: exp, tanh, sqrt, floor, ...
mlir::Value emitFunction(Code &code, OpCode op, mlir::Value x);

/// A function of libm on each lane.
mlir::Value emitLibraryCall(Code &code, llvm::StringRef name, mlir::Value x, mlir::Value y = {});

} // namespace kiln::cpu
