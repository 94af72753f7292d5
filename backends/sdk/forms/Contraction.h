// Products and convolutions as one loop nest.
//
//   result[b, m, n] = sum over k of lhs[b, m, k] * rhs[b, k, n]
//
// where b, m, n and k each stand for some axes. A convolution's m are the output channels of a group, n the images and
// places of the output, k the input channels and the places of the filter. What stands above the operands and below the
// result is printed by the emitter.
#pragma once

#include "Operands.h"
#include "Workgroup.h"

namespace kiln::sdk {

struct Contraction {
  const Op *op = nullptr;
  kiln_dtype dtype = KILN_F32; // of the accumulator
  std::vector<kiln_extent> batch, rows, columns, depth;
  Operand lhs, rhs;
  int64_t groups = 1; // of a convolution

  /// False where the kernel has no product, more than one op whose element takes many, or outputs of other dims.
  static bool find(const Graph &graph, Contraction &form);

  /// Elements of the operands in the accumulator's type. Indices: one for each axis of b, m, n and k, in range.
  Expr left(Emitter &emitter, const Index &b, const Index &m, const Index &k) const;
  Expr right(Emitter &emitter, const Index &b, const Index &n, const Index &k) const;
  /// Stores the kernel's outputs at one element of the result. False where an output takes more than that element.
  bool store(Emitter &emitter, const Index &b, const Index &m, const Index &n, const Expr &sum) const;

  /// Whether neighbours that fill 16 bytes can be read at once, of an operand that lies in memory in that type: along
  /// the free axes (from an index on that is a multiple of as many), or along the depth. Of f32 a vec4, of others a
  /// uvec4.
  bool hasVectors(const Emitter &emitter, const Workgroup &group, const Operand &operand, kiln_dtype type) const;
  std::string vector(Emitter &emitter, Workgroup &group, const Operand &operand, const Index &b, const Index &free,
                     const Index &k) const;

private:
  bool readConvolution(const Graph &graph);
  Index place(const Operand &operand, const Index &b, const Index &free, const Index &k) const;
  Expr window(Emitter &emitter, const Index &b, const Index &n, const Index &k) const;
  Expr widen(Emitter &emitter, uint32_t value, const Index &index) const;
};

/// What the forms of a product share while they print one dispatch.
struct ContractionPrinter {
  const Graph &graph;
  const Contraction &form;
  Workgroup &group;
  Emitter &emitter;
  Number b = Number::of(form.batch), m = Number::of(form.rows), n = Number::of(form.columns),
         k = Number::of(form.depth);

  /// A tile of tm x tn for each invocation, operands straight from memory. False where the kernel is of no such form.
  bool registerTiles(int tm, int tn);
  /// tm rows of one vector of Language::lanes columns for each invocation, of operands in f32 that lie in rows.
  struct Panels {
    uint32_t place;
    bool copied; // to there, by copyPanels
  };
  bool panelTiles(int tm, const Panels &left, const Panels &right);
  /// An operand into memory as [b, m, k], or [b, k, n] with n rounded up to whole vectors.
  bool copyPanels(bool isLeft, uint32_t place);
  /// bm x bn for each workgroup by way of workgroup memory, tm x tn for each invocation; the depth in steps of bk, and
  /// cut into `splits` parts whose sums go to the place `partial` (splits 1: straight to the outputs).
  bool sharedTiles(int bm, int bn, int bk, int tm, int tn, int64_t splits, uint32_t partial);
  /// What follows sharedTiles with more than one part.
  bool joinParts(int64_t splits, uint32_t partial);
  /// An element for `lanes` invocations, which share its depth.
  bool elements(uint32_t lanes);

  std::vector<std::string> accumulators = {}; // of the tile
  int width = 4;                              // of its vectors
  bool inBlocks() const { return k.at(graph.extentBounds) > 1024; }

  //===-- Pieces --------------------------------------------------------------------------------------------------===//

  std::string scalar() const { return emitter.registerType(form.dtype); }
  std::string vector() const { return emitter.language().vector(emitter.language(), form.dtype, width); }
  /// A vector of `width` such numbers, or of those given.
  std::string vector(const std::string &of) const { return emitter.language().castTo(vector()) + of + ")"; }
  /// acc = a * b + acc, in one rounding where floats can.
  std::string multiplyAdd(const std::string &acc, const std::string &a, const std::string &b) const;
  Expr least(const Expr &a, const Expr &b) { return sdk::least(emitter, a, b); }
  Expr number(const Number &number) { return sdk::number(group, emitter, number); }
  /// Whether a number is a constant multiple of another.
  static bool isMultiple(const Number &number, int64_t of);
  /// Declares `acc<i>_<j / 4>`, all 0, opens a loop over the depth, and closes it. A long depth is added up in blocks,
  /// each from 0, so that rounding errors grow with a block's length.
  void startTile(int tm, int tn);
  /// length: of the depth, at most.
  Expr openDepth(const Expr &begin, const Expr &end, int64_t step, int64_t length);
  void closeDepth();
  /// Of a workgroup: its tile's first row and column, its batch, its part of the depth.
  struct TileItem {
    Expr row, column, batch, part, begin, end;
    Index batchIndex;
    int64_t length = 0; // of its part, at the bounds
  };
  /// Begins main with a grid of a workgroup for each tile, and each of `splits` parts of the depth (multiples of bk).
  TileItem openTiles(int bm, int bn, int bk, int64_t splits);
  /// Where an operand's tile, `side` long from a row or column on, has an element; `perRead` neighbours are read at
  /// once along one of the two. Beyond an edge the last ones are read again: what is computed of them is not stored,
  /// and beyond the depth's end 0 counts instead (`at` is then not below it).
  struct TilePlace {
    Index free, depth;
    Expr at;
  };
  TilePlace tilePlace(bool isLeft, int side, const Expr &free, int freePerRead, const Expr &depth, int depthPerRead,
                      const Expr &end);
  /// An operand's element there, named.
  Expr element(bool isLeft, const Index &b, const Index &free, const Index &k);
  /// Stores one element of such a tile where it is in range: to the outputs, or with more than one part to `partial`.
  bool storeElement(const TileItem &item, int64_t splits, uint32_t partial, const Expr &row, const Expr &column,
                    const Expr &sum);
  /// The tile's vectors as an array; gives its name.
  std::string tileArray(int tm, int tn);
  /// Its element.
  std::string tileElement(const std::string &tile, const Expr &at) const {
    return emitter.language().element(tile, scalar(), at.text);
  }
  /// The item's column, row and batch.
  struct Position {
    Expr row, column, batch;
  };
  Position position(const Expr &item);
  /// Stores a tile held in vectors `acc<i>_<j / 4>`, those elements of it that are in range.
  bool storeTile(int tm, int tn, const Expr &batch, const Expr &row, const Expr &column);
  bool storeShared(int tm, int tn, int threadsDown, int threadsAcross, int64_t splits, uint32_t partial,
                   const TileItem &item);
};

/// The variants of a product, one after another.
class ContractionBuilder {
public:
  ContractionBuilder(Builder &builder, const Contraction &form)
      : builder(builder), graph(builder.graph), form(form), b(bound(form.batch)), m(bound(form.rows)),
        n(bound(form.columns)), k(bound(form.depth)) {}

  /// Tiles for a processor: as large as sixteen vector registers feed, and small enough that every lane has one.
  bool addProcessor();
  /// Whether operands in rows, copied there where they lie otherwise, are worth their memory; for languages whose
  /// vectors are as wide as a processor's.
  bool wantsPanels() const;
  bool addPanels();
  /// Tiles in workgroup memory, or an element for some invocations where tiles would be mostly edge.
  bool addShared();
  /// Adds a launch to the variant that the builder is at.
  bool add(const std::function<bool(ContractionPrinter &printer)> &print);
  /// What follows a launch with more than one part.
  bool addJoin(int64_t splits);
  int64_t tilesOf(int64_t bm, int64_t bn) const { return b * ((m + bm - 1) / bm) * ((n + bn - 1) / bn); }
  /// Into how many parts the depth is cut where there are so many tiles; their sums are scratch, at the place
  /// `partial`.
  int64_t splitDepth(int64_t tiles);
  uint32_t partial() const { return builder.scratchPlace(0); }

  Builder &builder;
  const Graph &graph;
  const Contraction &form;
  const int64_t b, m, n, k; // at the bounds

private:
  int64_t bound(const std::vector<kiln_extent> &dims) const { return Number::of(dims).at(graph.extentBounds); }
  std::vector<ScratchArray> scratch;
};

} // namespace kiln::sdk
