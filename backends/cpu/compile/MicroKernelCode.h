// What the bodies of the micro-kernels share.
#pragma once

#include "backends/cpu/compile/MicroKernel.h"

namespace kiln::cpu {

/// A call of LLVM's intrinsic of that name.
mlir::Value intrinsic(Code &code, llvm::StringRef name, mlir::Type result, mlir::ValueRange arguments);
/// `bytes` further.
mlir::Value advance(Code &code, mlir::Value pointer, mlir::Value bytes);
/// The elements from number p on of a row of `memory`'s type, as `vector` holds them; all of them without a mask.
mlir::Value loadAs(Code &code, mlir::VectorType vector, kiln_dtype memory, mlir::Value row, mlir::Value p,
                   mlir::Value mask);

// MicroKernelPack.cpp.
void definePack(Code &code, const PackShape &shape, llvm::StringRef name);
void defineSplit(Code &code, const SplitShape &shape, llvm::StringRef name);

} // namespace kiln::cpu
