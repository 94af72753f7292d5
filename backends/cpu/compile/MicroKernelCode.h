// What the bodies of the micro-kernels share.
#pragma once

#include "backends/cpu/compile/MicroKernel.h"

namespace kiln::cpu {

/// defineMicroKernel reads it back.
std::string nameOf(llvm::StringRef kind, llvm::ArrayRef<kiln_dtype> dtypes, llvm::ArrayRef<int64_t> sizes);
void call(Code &code, llvm::StringRef name, mlir::ValueRange arguments);
/// acc + a * b; of pairs: + both products
mlir::Value multiplyAdd(Code &code, mlir::Value a, mlir::Value b, mlir::Value acc);
mlir::Value zeroOf(Code &code, mlir::Type type);
/// c[r][j] = the lanes of sums[r][j], added up.
void storeSums(Code &code, llvm::ArrayRef<mlir::Value> sums, int64_t rows, int64_t lanes, mlir::Value c,
               mlir::Value ldc, int64_t bytes);
/// A call of LLVM's intrinsic of that name.
mlir::Value intrinsic(Code &code, llvm::StringRef name, mlir::Type result, mlir::ValueRange arguments);
/// `bytes` further.
mlir::Value advance(Code &code, mlir::Value pointer, mlir::Value bytes);
/// Pointers to `count` rows, `apart` bytes from each other.
llvm::SmallVector<mlir::Value> rowsAt(Code &code, mlir::Value base, mlir::Value apart, int64_t count);
/// The elements from number p on of a row of `memory`'s type, as `vector` holds them; all of them without a mask.
mlir::Value loadAs(Code &code, mlir::VectorType vector, kiln_dtype memory, mlir::Value row, mlir::Value p,
                   mlir::Value mask);

// MicroKernelBlocks.cpp. `words`: of a row that is words already.
void defineBlocks(Code &code, const BlocksShape &shape, bool words, llvm::StringRef name);
void defineRound(Code &code, const BlockLayout &layout, int64_t lanes, llvm::StringRef name);
void defineWiden(Code &code, const BlockLayout &layout, int64_t lanes, llvm::StringRef name);

// MicroKernelStream.cpp.
void defineStream(Code &code, const StreamShape &shape, llvm::StringRef name);

// MicroKernelPack.cpp.
void definePack(Code &code, const PackShape &shape, llvm::StringRef name);
void defineSplit(Code &code, const SplitShape &shape, llvm::StringRef name);

/// One vector whose lane i is the sum of vectors[i]'s lanes: halves are added pairwise while the vectors interleave.
mlir::Value sumsOf(Code &code, llvm::SmallVector<mlir::Value> vectors);

} // namespace kiln::cpu
