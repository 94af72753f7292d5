// Elementary functions as polynomial code.
//
// On f32 and f64, scalars and vectors alike. Errors (measured by tests/backends/cpu/MathTest.cpp, which fails above
// them) in units of the last place: exp, log, rsqrt 2; expm1, log1p, tanh, sigmoid, erf, sin, cos 4. f64 pow, erf, sin
// and cos, and f32 sin and cos of arguments above 1e6, call libm.
#pragma once

#include "backends/cpu/compile/Code.h"

namespace kiln::cpu {

mlir::Value emitExp(Code &code, mlir::Value x);
mlir::Value emitExpm1(Code &code, mlir::Value x);
mlir::Value emitLog(Code &code, mlir::Value x);
mlir::Value emitLog1p(Code &code, mlir::Value x);
mlir::Value emitTanh(Code &code, mlir::Value x);
mlir::Value emitSigmoid(Code &code, mlir::Value x);
mlir::Value emitErf(Code &code, mlir::Value x);
mlir::Value emitSin(Code &code, mlir::Value x);
mlir::Value emitCos(Code &code, mlir::Value x);
mlir::Value emitPow(Code &code, mlir::Value x, mlir::Value y);

/// A function of libm on each lane.
mlir::Value emitLibraryCall(Code &code, llvm::StringRef name, mlir::Value x, mlir::Value y = {});

} // namespace kiln::cpu
