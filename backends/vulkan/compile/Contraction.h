// Products and convolutions as one loop nest.
//
//   result[b, m, n] = sum over k of lhs[b, m, k] * rhs[b, k, n]
//
// where b, m, n and k each stand for some axes. A convolution's m are the output channels of a group, n the images and
// places of the output, k the input channels and the places of the filter. What stands above the operands and below the
// result is printed by the emitter.
#pragma once

#include "backends/vulkan/compile/Shader.h"

namespace kiln::vulkan {

/// One of the two operands, as its reader needs to know it.
struct Operand {
  uint32_t value = 0;
  /// Of dot_general: where the operand's axes belong.
  std::vector<size_t> batchAxes, freeAxes, depthAxes;
  /// The last axis of the memory below it (transposes looked through): neighbours along it are neighbours in memory.
  enum { None, Free, Depth } contiguous = None;
  /// The operand is memory, transposed at most: element index[permutation[d]] is axis d of the place.
  int place = -1;
  std::vector<size_t> permutation;
};

struct Contraction {
  const sdk::Op *op = nullptr;
  kiln_dtype dtype = KILN_F32; // of the accumulator
  std::vector<kiln_extent> batch, rows, columns, depth;
  Operand lhs, rhs;
  int64_t groups = 1; // of a convolution

  /// False where the kernel has no product, more than one op whose element takes many, or outputs of other dims.
  static bool find(const sdk::Graph &graph, Contraction &form);

  /// Elements of the operands in the accumulator's type. Indices: one for each axis of b, m, n and k, in range.
  sdk::Expr left(sdk::Emitter &emitter, const sdk::Index &b, const sdk::Index &m, const sdk::Index &k) const;
  sdk::Expr right(sdk::Emitter &emitter, const sdk::Index &b, const sdk::Index &n, const sdk::Index &k) const;
  /// Stores the kernel's outputs at one element of the result. False where an output takes more than that element.
  bool store(sdk::Emitter &emitter, const sdk::Index &b, const sdk::Index &m, const sdk::Index &n,
             const sdk::Expr &sum) const;

  /// Four neighbours of f32 in memory as a vec4, or eight of f16 as a uvec4: along the free axes (from the index on, a
  /// multiple of as many), or along the depth.
  bool hasVectors(const sdk::Emitter &emitter, const Shader &shader, const Operand &operand) const;
  bool hasEights(const sdk::Emitter &emitter, const Shader &shader, const Operand &operand) const;
  std::string vector(sdk::Emitter &emitter, Shader &shader, const Operand &operand, const sdk::Index &b,
                     const sdk::Index &free, const sdk::Index &k) const;

private:
  bool readDot(const sdk::Graph &graph);
  bool readConvolution(const sdk::Graph &graph);
  bool hasNeighbours(const sdk::Emitter &emitter, const Shader &shader, const Operand &operand, kiln_dtype dtype) const;
  sdk::Index place(const Operand &operand, const sdk::Index &b, const sdk::Index &free, const sdk::Index &k) const;
  sdk::Expr window(sdk::Emitter &emitter, const sdk::Index &b, const sdk::Index &n, const sdk::Index &k) const;
  sdk::Expr widen(sdk::Emitter &emitter, uint32_t value, const sdk::Index &index) const;
};

/// What the forms of a product share while they print one dispatch.
struct ContractionPrinter {
  const sdk::Graph &graph;
  const Contraction &form;
  Shader &shader;
  sdk::Emitter &emitter;
  Number b = Number::of(form.batch), m = Number::of(form.rows), n = Number::of(form.columns),
         k = Number::of(form.depth);

  /// A tile of tm x tn for each invocation, operands straight from memory. False where the kernel is of no such form.
  bool registerTiles(int tm, int tn);
  /// bm x bn for each workgroup by way of workgroup memory, tm x tn for each invocation; the depth in steps of bk, and
  /// cut into `splits` parts whose sums go to the place `partial` (splits 1: straight to the outputs).
  bool sharedTiles(int bm, int bn, int bk, int tm, int tn, int64_t splits, uint32_t partial);
  /// The same by cooperative matrices, for operands of f16.
  bool matrixTiles(int bm, int bn, int64_t splits, uint32_t partial);
  /// What follows sharedTiles or matrixTiles with more than one part.
  bool joinParts(int64_t splits, uint32_t partial);
  /// An element for `lanes` invocations, which share its depth.
  bool elements(uint32_t lanes);

  std::vector<std::string> accumulators = {}; // of the tile
  bool inBlocks() const { return k.bound(graph.extentBounds) > 1024; }

  //===-- Pieces --------------------------------------------------------------------------------------------------===//

  std::string scalar() const { return emitter.registerType(form.dtype); }
  std::string vector() const;
  /// acc = a * b + acc, in one rounding where floats can.
  std::string multiplyAdd(const std::string &acc, const std::string &a, const std::string &b) const;
  sdk::Expr least(const sdk::Expr &a, const sdk::Expr &b);
  sdk::Expr number(const Number &number);
  /// Whether a number is a constant multiple of another.
  static bool isMultiple(const Number &number, int64_t of);
  /// Declares `acc<i>_<j / 4>`, all 0, opens a loop over the depth, and closes it. A long depth is added up in blocks,
  /// each from 0, so that rounding errors grow with a block's length.
  void startTile(int tm, int tn);
  sdk::Expr openDepth(const sdk::Expr &begin, const sdk::Expr &end, int64_t step);
  void closeDepth();
  /// Of a workgroup: its tile's first row and column, its batch, its part of the depth.
  struct TileItem {
    sdk::Expr row, column, batch, part, begin, end;
    sdk::Index batchIndex;
  };
  /// Begins main with a grid of a workgroup for each tile, and each of `splits` parts of the depth (multiples of bk).
  TileItem openTiles(int bm, int bn, int bk, int64_t splits);
  /// Where an operand's tile, `side` long from a row or column on, has an element; `perRead` neighbours are read at
  /// once along one of the two. Beyond an edge the last ones are read again: what is computed of them is not stored,
  /// and beyond the depth's end 0 counts instead (`at` is then not below it).
  struct TilePlace {
    sdk::Index free, depth;
    sdk::Expr at;
  };
  TilePlace tilePlace(bool isLeft, int side, const sdk::Expr &free, int freePerRead, const sdk::Expr &depth,
                      int depthPerRead, const sdk::Expr &end);
  /// An operand's element there, named.
  sdk::Expr element(bool isLeft, const sdk::Index &b, const sdk::Index &free, const sdk::Index &k);
  /// Stores one element of such a tile where it is in range: to the outputs, or with more than one part to `partial`.
  bool storeElement(const TileItem &item, int64_t splits, uint32_t partial, const sdk::Expr &row,
                    const sdk::Expr &column, const sdk::Expr &sum);
  /// Stores a tile held in vectors `acc<i>_<j / 4>`, those elements of it that are in range.
  bool storeTile(int tm, int tn, const sdk::Expr &batch, const sdk::Expr &row, const sdk::Expr &column);
  bool storeShared(int tm, int tn, int threadsDown, int threadsAcross, int64_t splits, uint32_t partial,
                   const TileItem &item);
};

} // namespace kiln::vulkan
