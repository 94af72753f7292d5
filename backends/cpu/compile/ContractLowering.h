// The phases of one product.
//
// Tile method:   [pack the right operand]   tiles   [add the parts of K in order]
// Dot method:    rows against rows
// Stream method: stretches of rows added up
//
// Pairs. Where the processor has dot products of bf16, an element of a packed operand is a pair of neighbours along K
// (MicroKernel.h), and K's blocks, and all numbers of K below that are not named elements, count pairs.
//
// Padding. Slivers and panels are as wide as the micro-kernel, whatever the extents: what lies beyond an edge is never
// defined and only ever reaches elements of a tile that nobody reads.
#pragma once

#include "backends/cpu/compile/ContractShape.h"
#include "backends/cpu/compile/MicroKernel.h"
#include "backends/cpu/compile/Phases.h"

namespace kiln::cpu {

/// What happens to elements of the result, once known: called with the result bound, at a position and under a mask.
using ContractSink = std::function<void(Emitter &e, llvm::ArrayRef<Index> at, const Mask &mask)>;

/// A convolution of plain channels that do not meet, without products; false, with nothing done, where it is none.
bool buildDepthwise(KernelBuilder &builder, const Contraction &contraction, const ContractSink &sink);

/// A 3 by 3 convolution of stride 1 by fewer products than its definition has, where the target lets sums be formed so
/// (--math fast) and it pays; false, with nothing done, else.
bool buildWinograd(KernelBuilder &builder, const Contraction &contraction, const ContractSink &sink);

/// A convolution with pixels as rows (PixelRows.h), where that takes less time; false, with nothing done, else.
bool buildPixelRows(KernelBuilder &builder, const Contraction &contraction, const ContractSink &sink);

/// What all tasks of a phase share, in the worker's scratch: with the first range of them that the worker takes.
void oncePerWorker(Emitter &e, llvm::function_ref<void()> make);

// ContractPrepack.cpp.
/// Of a phase's function: whether the run side has the operand packed already.
Value isPrepacked(Emitter &e);
/// Where the area lies that a phase of its own packs for all tasks (if there is one: `shared`), or where all is
/// prepacked, which it may be (`maybe`).
Value sharedBase(Emitter &e, bool maybe, bool shared, int64_t area);

/// Where a copy of an image in planes lies (Contraction::Window): elements between two, bytes of an element.
struct Planes {
  Value at;
  int64_t stride, bytes;
};

/// Places [begin, end) of the planes of channels [first, last), one plane after the other.
void packPlanes(Emitter &e, const Contraction::Window &window, llvm::ArrayRef<Index> batch, const Planes &planes,
                Value first, Value last, Value begin, Value end);

/// As many neighbouring pixels as an emitter has lanes, from pixel n on and below `end`, in planes that were copied
/// from the place `begin` on: of each row of pixels its lanes, and where they lie.
class VectorOfPixels {
public:
  VectorOfPixels(Emitter &e, const Contraction::Window &window, const Planes &planes, Value n, Value end, Value begin);
  /// What they see at an offset in bytes, put together; zeros beyond the end.
  Value load(Code &code, mlir::VectorType vector, Value offset) const;

private:
  llvm::SmallVector<Value> masks, froms;
  int64_t bytes;
};

class ContractLowering {
public:
  ContractLowering(KernelBuilder &builder, const Contraction &contraction, ContractSink sink);

  /// Adds the phases.
  void build();

private:
  KernelBuilder &builder;
  const Graph &graph;
  const Contraction c;
  ContractSink sink;
  int64_t bytes; // of an element in packed form
  bool pairs = false;
  kiln_dtype packed; // of packed operands: the accumulator's, or bf16 for pairs
  Blocking t;
  int64_t turnStride = 0;                             // elements between rows that are about to be turned
  int64_t rightStride = 0;                            // and between a task's packed rows of the right operand
  bool oneBlock = false;                              // K is never more than one block
  bool leftOnce = false;                              // all tasks multiply by the same packed rows
  bool leftShared = false;                            // … by a phase of its own
  bool lines = false;                                 // rows of the left operand are packed as they lie
  bool inResult = false;                              // tiles are summed where the result lies
  bool inRegisters = false;                           // what follows a tile's sums is done before they are stored
  bool leftInPlace = false;                           // and rows of the left operand are read as they lie
  bool turnsSlivers = false;                          // a filter is turned where a sliver of it is packed
  bool inParts = false;                               // slivers of the right operand are packed tile by tile
  bool prepackedRight = false, prepackedLeft = false; // the run side may have it packed (ContractPrepack.cpp)
  Shape columns;                                      // of the product: the result's, or places of the image
  int64_t imageStride = 0;                            // between planes of a worker's copy of the image
  int64_t edgeStride = 0;                             // between the edge's columns
  int64_t turnedStride = 0;                           // between a sliver's turned rows
  /// Areas of a launch's scratch: operands packed for all tasks, the sums of parts of K, a turned filter.
  int64_t sharedArea = 0, sharedLeftArea = 0, partialArea = 0, turnedArea = 0;
  /// Of a worker's: packed operands, a block's sums, rows that are about to be turned, the edge's columns; the copy of
  /// the image and the offsets in it.
  /// Where products of blocks are of whole numbers: of a row the words, their factors, their extras, whether they are.
  int64_t wordsArea = 0, factorsArea = 0, extrasArea = 0, finiteArea = 0, roomArea = 0;
  bool words = false; // rows are rounded to them
  int64_t leftArea = 0, rightArea = 0, sumsArea = 0, turnArea = 0, edgeArea = 0, imageArea = 0, offsetsArea = 0;

  struct Sizes {
    Value batch, m, n, k, kPadded, panels, panelGroups, mBlocks, nBlocks, chunkLength;
  };
  Sizes sizes(Emitter &e) const;
  struct Block { // what a task computes
    Indices batch;
    Value batchNumber, chunk, m0, m1, n0, n1, k0, k1;
    Value place;   // of the image's copy that the worker has: its first
    Value follows; // whether this worker's next task has the columns behind
  };
  Block blockOf(Emitter &e, const Sizes &s, Value task) const;

  /// K's element that a packed one begins with, K's length at most.
  Value elementOfK(Emitter &e, Value k) const;

  // ContractPack.cpp
  bool packedByCall(const Contraction::Operand &operand) const;
  /// Whether slivers of the right operand are fetched before they are packed.
  bool fetchesRight() const {
    return (t.right == RightMode::Sliver || t.fetched) && packedByCall(c.right) &&
           (pairs || byteSize(c.right.memory) == bytes);
  }
  /// Elements of K in a packed one.
  int64_t perPacked() const { return pairs ? 2 : 1; }
  /// Elements of one, with what is written beyond.
  int64_t panelSize() const { return (t.kc + t.lanes) * rightStride; }
  PackShape packShape(const Contraction::Operand &operand) const {
    return {packed, t.lanes, operand.alongK ? Packing::Turn : Packing::Copy, operand.memory};
  }
  Value apartOf(Emitter &e, const Contraction::Operand &operand) const;
  Value packedElement(Emitter &e, Value k, llvm::function_ref<Value(const Position &k)> element) const;
  mlir::VectorType vectorType(Emitter &e) const;
  void packRight(Emitter &e, llvm::ArrayRef<Index> batch, Value n0, Value n1, Value k0, Value k1, Value to,
                 int64_t stride) const;
  void turnRows(Emitter &e, const Contraction::Operand &operand, const Shape &shape, llvm::ArrayRef<Index> batch,
                Value first, Value count, Value k0, Value k1, Value to, Value stride) const;
  void packRightAlongN(Emitter &e, llvm::ArrayRef<Index> batch, Value n0, Value n1, Value k0, Value k1, Value to,
                       int64_t stride) const;
  void packRightAlongK(Emitter &e, llvm::ArrayRef<Index> batch, Value n0, Value n1, Value k0, Value k1, Value to,
                       int64_t stride) const;
  void packLeft(Emitter &e, const Block &block, Value k0, Value k1, Value to) const;
  void packColumns(Emitter &e, const Block &block, Value block0, Value block1, Value k0, Value k1, Value to) const;
  void packSliver(Emitter &e, const Block &block, Value m, Value k0, Value k1, Value to) const;
  void packLeftByCall(Emitter &e, const Block &block, Value m, Value height, Value k0, Value k1, Value to) const;
  void packLeftAlongM(Emitter &e, const Block &block, Value m, Value height, Value k0, Value k1, Value to) const;
  void packLeftAlongK(Emitter &e, const Block &block, Value m, Value height, Value k0, Value k1, Value to) const;

  /// Rows of a turned filter that a task makes: neighbours, which lie in the same lines of memory.
  static constexpr int64_t turnedRows = 16;
  void turnTask(Emitter &e, Value task) const;
  void turnRowsOf(Emitter &e, Value first, Value last, Value channel0, Value channel1, int64_t ahead, Value to,
                  Value apart) const;
  void turnSliver(Emitter &e, const Block &block, Value m, Value k0, Value k1) const;
  std::pair<Value, Value> rowsToPack(Emitter &e, const Block &block, Value m, Value k0) const;
  void turnVector(Emitter &e, llvm::ArrayRef<int64_t> taken, Value from, Value to) const;

  // ContractPrepack.cpp
  int64_t sizeOfPanels(const ContractExtents &bounds) const;
  int64_t sizeOfSlivers(const ContractExtents &bounds) const;
  bool packsBeforeLoop(const ContractExtents &bounds) const;
  void choosePrepacked(const ContractExtents &bounds);
  void unlessPrepacked(Emitter &e, bool maybe, llvm::function_ref<void()> pack) const;
  Ahead fetchPacked(Emitter &e, Value from, int64_t group, Value tile, Value tiles, Value more) const;
  Ahead prepackedOr(Emitter &e, const Ahead &there, const Ahead &here) const;

  // ContractWindow.cpp
  void fillOffsets(Emitter &e) const;
  Planes imagePlanes(Emitter &e) const;
  std::pair<Value, Value> placesOf(Emitter &e, Value n0, Value n1) const;
  void unfold(Emitter &e, Value n0, Value n1, Value k0, Value k1, Value first, Value begin, Value to) const;
  void finishWindow(Emitter &e, llvm::ArrayRef<Index> batch, Value m, Value rows, Value n, Value columns, Value from,
                    int64_t stride) const;

  // ContractLowering.cpp
  void reserveImage(const ContractExtents &bounds);
  void reserveTurned(const ContractExtents &bounds);
  int64_t depthOfShare() const;
  void shareTask(Emitter &e, Value task) const;
  Block allRows(Emitter &e, const Sizes &s) const;
  void packAllRows(Emitter &e) const;
  bool sumsInResult() const;
  bool shortSums(const ContractExtents &bounds) const;
  void chooseRegisters();
  void noteForm();
  /// Whether a task goes through all its columns with one sliver of rows after the other, though none is packed.
  bool rowsOutside() const { return inRegisters && t.right == RightMode::Direct && !t.edge; }
  MicroShape tileShape(int64_t rows, int64_t vectors) const;
  Value sharedRows(Emitter &e, const Sizes &s, Value m, Value k0, Value k1) const;
  /// Rows of memory of a left operand that does not lie along K, of which a task packs all.
  static constexpr int64_t sharedDepth = 64;
  void shareLeftTask(Emitter &e, Value task) const;
  void tileTask(Emitter &e, Value task) const;
  void multiplyBlock(Emitter &e, const Sizes &s, const Block &block, Value k0, Value k1) const;
  void multiplyRowsFirst(Emitter &e, const Sizes &s, const Block &block, Value k0, Value k1) const;
  struct Panel {     // a sliver of the right operand
    Value n, k;      // its first column and row
    Value mine, any; // whether it is this task's, or the next one's of this worker
  };
  Panel panelAfter(Emitter &e, const Block &block, Value n, Value k0, Value k1) const;
  std::pair<Value, Value> partOf(Emitter &e, const Block &block, Value m) const;
  Ahead fetchPanel(Emitter &e, const Sizes &s, const Block &block, Value m, const Panel &next) const;
  Value placeOfPanel(Emitter &e, const Block &block, Value n, Value k0) const;
  void packPart(Emitter &e, const Block &block, Value m, const Panel &next) const;
  Ahead nextTurned(Emitter &e, Value row, Value k, Value panel, Value panels, Value any) const;
  Ahead nextSliver(Emitter &e, const Sizes &s, const Block &block, Value m, Value n, Value k0, Value k1) const;
  std::pair<Value, Value> panelOf(Emitter &e, const Sizes &s, const Block &block, Value n, Value k0, Value k1) const;
  std::pair<Value, Value> packedPanel(Emitter &e, const Sizes &s, const Block &block, Value n, Value k0,
                                      Value k1) const;
  Value sharedPanel(Emitter &e, const Sizes &s, Value batch, Value n, Value k) const;
  void fetchResult(Emitter &e, const Block &block, Value m, Value rows, Value n, Value width) const;
  void packEdge(Emitter &e, Value from, Value apart, Value depth) const;
  void tile(Emitter &e, const Block &block, Value m, Value n, Value left, Value right, Value apart, Value k0, Value k1,
            const Ahead &ahead = {}) const;
  void finishTile(Emitter &e, const Block &block, Value m, Value n, Value left, Value right, Value apart, Value k,
                  const Ahead &ahead) const;
  void finishSums(Emitter &e, const Block &block, Value m, Value n, Value k1, Value sums) const;
  Value converted(Emitter &e, Value sums) const;
  void callEdge(Emitter &e, int64_t rows, Value left, Value to, Value ldc, Value k, Value accumulate) const;
  void callTile(Emitter &e, Value height, Value columns, Value left, Value right, Value ldb, Value c, Value ldc,
                Value k, Value accumulate, const Ahead &ahead) const;
  void addTask(Emitter &e, Value task) const;
  void reserveWords(const ContractExtents &bounds);
  WordsPlaces wordsOf(Emitter &e, Value m) const;
  void roundRows(Emitter &e) const;
  BlockRows blockRows(Emitter &e, const Contraction::Operand &operand, Value row) const;
  void dotTask(Emitter &e, Value task) const;
  void streamTask(Emitter &e, Value task) const; // ContractStream.cpp
  void finishRows(Emitter &e, llvm::ArrayRef<Index> batch, Value m, Value rows, Value n, Value columns, int64_t most,
                  Value from, int64_t stride) const;
  void finish(Emitter &e, llvm::ArrayRef<Index> batch, Value m, const Position &n, Value limit, Value sums) const;
  Value plainPointer(Emitter &e, const Contraction::Operand &operand, llvm::ArrayRef<Index> batch, Value free,
                     Value k) const;
  Value heightOf(Emitter &e, Value rows) const;
  Value depthOf(Code &code, Value k0, Value k1) const;
  llvm::SmallVector<int64_t, 4> heights() const;
};

} // namespace kiln::cpu
