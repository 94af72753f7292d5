// Register-tiled products, shared by all kernels of a program.
//
// A micro-kernel multiplies a packed sliver of the left operand with rows of the right one into a small tile:
//
//   void f(a, b, ldb, c, ldc, k, accumulate):   c[r][j] (+)= sum over p < k of a[p][r] * b[p][j],   r < rows, j <
//   vectors * lanes
//
// a: [k][rows], contiguous, or in lines: [k / lanes][rows][lanes], as a row that is contiguous along k is packed
// without being turned, or with strides that are known. b: k rows, ldb bytes apart. c: rows, ldc bytes apart. The
// accumulators live in registers. A kernel declares those that it calls; one more module, made once a program, holds
// their bodies.
#pragma once

#include "backends/cpu/compile/Decode.h"
#include <set>

namespace kiln::cpu {

/// With rows of b that lie wherever `offsets` say (bytes, one for each p), as the windows of a convolution do:
///
///   void f(a, offsets, b, c, ldc, k, accumulate)
///
/// bf16: an element of a packed operand is a pair of neighbours along K, four bytes, and p counts pairs; sums are f32.
struct MicroShape {
  kiln_dtype dtype = KILN_F32; // of operands and accumulators: f32, f64, i32 or i64; or bf16
  int64_t rows = 0, vectors = 0, lanes = 0;
  bool lines = false; // how a lies
  /// Where a is not packed but lies as something else has it: elements from one row to the next, and from one p to the
  /// next.
  int64_t acrossRows = 0, alongK = 0;
  /// Where rows are pixels of an image: so many neighbours, then as many of the image's next row, `pitch` elements
  /// further, and so on.
  int64_t inRow = 0, pitch = 0, step = 1; // elements from one of the neighbours to the next
  int64_t columns() const { return vectors * lanes; }
};

/// With a in lines, and wherever there is one, the functions have four more arguments: what is fetched into the second
/// level while the tile is summed. For as many k as there are lanes: `count` lines of memory, `apart` bytes from each
/// other; for the next ones, `step` bytes further. For pairs there is a fifth: each line has another one `second` bytes
/// behind it (0, or null: none), since a pair comes from two rows of memory, or is as long as two elements are.
struct Ahead {
  mlir::Value from, apart, count, step, second = {};
};

/// The few columns that a whole vector would be wasted on: a in lines, each column contiguous along k, up to a multiple
/// of the lanes, where it ends with zeros.
///
///   void f(a, b, ldb, c, ldc, k, accumulate):   c[r][j] (+)= sum over p < k of a[r][p] * b[j][p],   r < rows, j <
///   columns
///
/// Sums are formed lane by lane, then across lanes in a fixed tree.
struct EdgeShape {
  kiln_dtype dtype = KILN_F32; // as MicroShape's
  int64_t rows = 0, columns = 0, lanes = 0;
};

/// A product along the contiguous axis of both operands, without packing:
///
///   void f(a, lda, b, ldb, c, ldc, k):   c[r][j] = sum over p < k of a[r][p] * b[j][p],   r < rows, j < columns
///
/// Strides are in bytes. Sums are formed lane by lane, then across lanes in a fixed tree. Operands of f32 products may
/// lie in memory as bf16 or f16.
struct DotShape {
  kiln_dtype dtype = KILN_F32;
  int64_t rows = 0, columns = 0, lanes = 0;
  kiln_dtype leftMemory = dtype, rightMemory = dtype;
};

/// A product of few rows whose right operand is contiguous along its columns, without packing: `depth` rows of b at
/// once are added to sums that stay in the first level, and the next ones fetched into the second meanwhile.
///
///   void f(a, lda, b, ldb, c, ldc, columns, k):   c[r][j] = sum over p < k of a[r][p] * b[p][j],   r < rows, j <
///   columns
///
/// Strides are in bytes. Sums are formed in the order of k; whole vectors are stored. Operands of f32 products may lie
/// in memory as bf16 or f16.
struct StreamShape {
  kiln_dtype dtype = KILN_F32;
  int64_t rows = 0, depth = 0, lanes = 0;
  kiln_dtype leftMemory = dtype, rightMemory = dtype;
};

/// How numbers lie that are stored in blocks of `size` neighbours along K (kiln.dequantize): bytes, or halves of bytes,
/// of which two blocks share theirs; each block with a scale of `scale`'s type, and with a minimum where they are
/// lifted. Of a coding (kiln.decode): the numbers are what the bytes or halves stand for.
struct BlockLayout {
  kiln_dtype scale = KILN_F16;
  int64_t size = 0;
  bool halves = false, lifted = false;
  Coding coding = Coding::None;
};

/// Where rows of them lie, with the bytes between two. `minimums`: the scales again, where there are none.
struct BlockRows {
  mlir::Value blocks, apart, scales, scalesApart, minimums;
};

/// f32 rows times rows of blocks, all of them widened in registers:
///
///   void f(a, lda, b..., c, ldc, k):   c[r][j] = sum over p < k of a[r][p] * b[j][p],   r < rows, j < columns
///
/// k is a multiple of a block's size (of two where they are halves), and that of the lanes.
struct BlocksShape {
  BlockLayout layout;
  int64_t rows = 0, columns = 0, lanes = 0;
};

/// One f32 row as words: of each block the elements over a power of two, rounded to 16 bits, by which they are products
/// of whole numbers. An element moves by 2^-15 of its block's largest at most; whole numbers below 2^14 stay what they
/// are. In memory: `words` i16[k], `factors` f32[k / size], and for each block what is added to its sums of products:
/// of halves, -8 times the words' sums, as lanes of i32; where lifted, the block's sum f32 instead. `finite` (i64) is 0
/// where an element is not: such a row has no words.
struct WordsPlaces {
  mlir::Value words, factors, extras, finite, room; // room: f32[columns][lanes], which a call may write
};

/// Packing of operands that lie in memory as they are, or in another float type:
///
///   turn:   void f(from, apart, rows, k, to, stride):      to[p][r] = from[r][p],   r < rows <= lanes
///   copy:   void f(from, apart, columns, k, to, stride):   to[p][j] = from[p][j],   j < columns
///   line:   void f(from, apart, rows, k, to, stride):      to[p / lanes][r][p % lanes] = from[r][p],   r < rows
///   across: the same by another way: not one row after the other, but a vector of each
///
/// p < k. Rows of `from` are `apart` bytes from each other, rows of `to` (in lines: groups of them) `stride` bytes.
/// Whole vectors are stored, in ascending order of p; turn and line store up to a multiple of the lanes of p, line
/// zeros. To bf16 go pairs: to[p][r] holds elements 2p and 2p + 1 for p < k / 2, rounded up; what is behind the last
/// one is 0.
enum class Packing { Turn, Copy, Line, Across };
struct PackShape {
  kiln_dtype dtype = KILN_F32; // packed, as MicroShape's
  int64_t lanes = 0;
  Packing packing = Packing::Copy;
  kiln_dtype memory = dtype; // of from: dtype; bf16 or f16 for f32; f32 for bf16
};

/// Rows cut into panels of `width` columns, each [k][width], `panelBytes` apart; rows are read from end to end:
///
///   void f(from, apart, columns, k, to, panelBytes):   to[j / width][p][j % width] = from[p][j],   j < columns
///
/// Pairs and types of memory as above.
struct SplitShape {
  kiln_dtype dtype = KILN_F32;
  int64_t width = 0, lanes = 0;
  kiln_dtype memory = dtype;
};

/// Calls at the current point; declares the function where the module lacks it.
void callMicroKernel(Code &code, const MicroShape &shape, mlir::Value a, mlir::Value b, mlir::Value ldb, mlir::Value c,
                     mlir::Value ldc, mlir::Value k, mlir::Value accumulate, const Ahead &ahead = {});
/// The same sums at the current point, row by row, in registers: for what is done with them there.
llvm::SmallVector<mlir::Value> sumTile(Code &code, const MicroShape &shape, mlir::Value a, mlir::Value b,
                                       mlir::Value ldb, mlir::Value k, const Ahead &ahead = {});
void callTapsKernel(Code &code, const MicroShape &shape, mlir::Value a, mlir::Value offsets, mlir::Value b,
                    mlir::Value c, mlir::Value ldc, mlir::Value k, mlir::Value accumulate);
/// Rows are pixels (shape.inRow): a's element (p, r) lies as far from r's place as `offsets` say in bytes. Fetches.
void callPixelsKernel(Code &code, const MicroShape &shape, mlir::Value a, mlir::Value offsets, mlir::Value b,
                      mlir::Value ldb, mlir::Value c, mlir::Value ldc, mlir::Value k, mlir::Value accumulate,
                      const Ahead &ahead);
void callEdgeKernel(Code &code, const EdgeShape &shape, mlir::Value a, mlir::Value b, mlir::Value ldb, mlir::Value c,
                    mlir::Value ldc, mlir::Value k, mlir::Value accumulate);
void callDotKernel(Code &code, const DotShape &shape, mlir::Value a, mlir::Value lda, mlir::Value b, mlir::Value ldb,
                   mlir::Value c, mlir::Value ldc, mlir::Value k);

void callStream(Code &code, const StreamShape &shape, mlir::Value a, mlir::Value lda, mlir::Value b, mlir::Value ldb,
                mlir::Value c, mlir::Value ldc, mlir::Value columns, mlir::Value k);

void callBlocksKernel(Code &code, const BlocksShape &shape, mlir::Value a, mlir::Value lda, const BlockRows &b,
                      mlir::Value c, mlir::Value ldc, mlir::Value k);

/// Whether the processor multiplies words: what callWordsKernel and callRound ask for.
bool multipliesWords(const Machine &machine, const BlockLayout &layout);
/// a is words of one row (shape.rows is 1); else as callBlocksKernel.
void callWordsKernel(Code &code, const BlocksShape &shape, const WordsPlaces &a, const BlockRows &b, mlir::Value c,
                     mlir::Value k);
void callRound(Code &code, const BlockLayout &layout, mlir::Value row, mlir::Value k, const WordsPlaces &to);

/// Elements k0 to k1 of rows of blocks as f32: to[r][p - k0], rows `stride` bytes apart; k0 is a multiple of the lanes.
void callWiden(Code &code, const BlockLayout &layout, int64_t lanes, const BlockRows &from, mlir::Value rows,
               mlir::Value k0, mlir::Value k1, mlir::Value to, mlir::Value stride);

void callPack(Code &code, const PackShape &shape, mlir::Value from, mlir::Value apart, mlir::Value count, mlir::Value k,
              mlir::Value to, mlir::Value stride);

void callSplit(Code &code, const SplitShape &shape, mlir::Value from, mlir::Value apart, mlir::Value columns,
               mlir::Value k, mlir::Value to, mlir::Value panelBytes);

/// Names of the micro-kernels that a module declares and does not define.
void collectMicroKernels(mlir::ModuleOp module, std::set<std::string> &names);

/// Defines them, with external linkage, in code's module. False for a name that is none.
bool defineMicroKernel(Code &code, llvm::StringRef name);

/// Of MicroShape and PackShape: the bytes of an element in packed form.
inline int64_t packedBytes(kiln_dtype dtype) { return dtype == KILN_BF16 ? 4 : byteSize(dtype); }

/// A pair for each lane from two vectors of f32, both rounded to bf16: low halves from `first`. Asks for avx512bf16.
mlir::Value pairsOf(Code &code, mlir::Value first, mlir::Value second);

/// In registers: vectors[i][j] becomes vectors[j][i]. As many vectors as lanes, a power of two.
void transposeSquare(Code &code, llvm::MutableArrayRef<mlir::Value> vectors);

} // namespace kiln::cpu
