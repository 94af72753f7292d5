// Register-tiled products, shared by all kernels of a program.
//
// A micro-kernel multiplies a packed sliver of the left operand with rows of the right one into a small tile:
//
//   void f(a, b, ldb, c, ldc, k, accumulate):   c[r][j] (+)= sum over p < k of a[p][r] * b[p][j],   r < rows, j <
//   vectors * lanes
//
// a: [k][rows], contiguous. b: k rows, ldb bytes apart. c: rows, ldc bytes apart. The accumulators live in registers.
// A kernel declares those that it calls; one more module, made once a program, holds their bodies.
#pragma once

#include "backends/cpu/compile/Code.h"
#include <set>

namespace kiln::cpu {

/// With rows of b that lie wherever `offsets` say (bytes, one for each p), as the windows of a convolution do:
///
///   void f(a, offsets, b, c, ldc, k, accumulate)
struct MicroShape {
  kiln_dtype dtype = KILN_F32; // of operands and accumulators: f32, f64, i32 or i64
  int64_t rows = 0, vectors = 0, lanes = 0;
  int64_t columns() const { return vectors * lanes; }
};

/// A product along the contiguous axis of both operands, without packing:
///
///   void f(a, lda, b, ldb, c, ldc, k):   c[r][j] = sum over p < k of a[r][p] * b[j][p],   r < rows, j < columns
///
/// Strides are in bytes. Sums are formed lane by lane, then across lanes in a fixed tree.
struct DotShape {
  kiln_dtype dtype = KILN_F32;
  int64_t rows = 0, columns = 0, lanes = 0;
};

/// Packing of operands that lie in memory as they are:
///
///   turn:   void f(from, apart, rows, k, to, stride):      to[p][r] = from[r][p],   r < rows <= lanes
///   copy:   void f(from, apart, columns, k, to, stride):   to[p][j] = from[p][j],   j < columns
///
/// p < k. Rows of `from` are `apart` bytes from each other, rows of `to` `stride` bytes. Whole vectors are stored, in
/// ascending order of p; turn stores up to a multiple of the lanes of p.
struct PackShape {
  kiln_dtype dtype = KILN_F32;
  int64_t lanes = 0;
  bool turn = false;
};

/// Rows cut into panels of `width` columns, each [k][width], `panelBytes` apart; rows are read from end to end:
///
///   void f(from, apart, columns, k, to, panelBytes):   to[j / width][p][j % width] = from[p][j],   j < columns
struct SplitShape {
  kiln_dtype dtype = KILN_F32;
  int64_t width = 0, lanes = 0;
};

/// Calls at the current point; declares the function where the module lacks it.
void callMicroKernel(Code &code, const MicroShape &shape, mlir::Value a, mlir::Value b, mlir::Value ldb, mlir::Value c,
                     mlir::Value ldc, mlir::Value k, mlir::Value accumulate);
void callTapsKernel(Code &code, const MicroShape &shape, mlir::Value a, mlir::Value offsets, mlir::Value b,
                    mlir::Value c, mlir::Value ldc, mlir::Value k, mlir::Value accumulate);
void callDotKernel(Code &code, const DotShape &shape, mlir::Value a, mlir::Value lda, mlir::Value b, mlir::Value ldb,
                   mlir::Value c, mlir::Value ldc, mlir::Value k);

void callPack(Code &code, const PackShape &shape, mlir::Value from, mlir::Value apart, mlir::Value count, mlir::Value k,
              mlir::Value to, mlir::Value stride);

void callSplit(Code &code, const SplitShape &shape, mlir::Value from, mlir::Value apart, mlir::Value columns,
               mlir::Value k, mlir::Value to, mlir::Value panelBytes);

/// Names of the micro-kernels that a module declares and does not define.
void collectMicroKernels(mlir::ModuleOp module, std::set<std::string> &names);

/// Defines them, with external linkage, in code's module. False for a name that is none.
bool defineMicroKernel(Code &code, llvm::StringRef name);

/// In registers: vectors[i][j] becomes vectors[j][i]. As many vectors as lanes, a power of two.
void transposeSquare(Code &code, llvm::MutableArrayRef<mlir::Value> vectors);

} // namespace kiln::cpu
