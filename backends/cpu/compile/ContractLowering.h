// The phases of one product.
//
// Tile method:   [pack the right operand]   tiles   [add the parts of K in order]
// Dot method:    rows against rows
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
  int64_t turnStride = 0;  // elements between rows that are about to be turned
  int64_t rightStride = 0; // and between a task's packed rows of the right operand
  bool oneBlock = false;   // K is never more than one block
  bool leftOnce = false;   // all tasks multiply by the same packed rows
  /// Areas of a launch's scratch: the right operand packed for all tasks, the sums of parts of K.
  int64_t sharedArea = 0, partialArea = 0;
  /// Of a worker's: packed operands, a block's sums, offsets of a window's rows, rows that are about to be turned.
  int64_t leftArea = 0, rightArea = 0, sumsArea = 0, offsetsArea = 0, turnArea = 0;

  struct Sizes {
    Value batch, m, n, k, kPadded, panels, panelGroups, mBlocks, nBlocks, chunkLength;
  };
  Sizes sizes(Emitter &e) const;
  struct Block { // what a task computes
    Indices batch;
    Value batchNumber, chunk, m0, m1, n0, n1, k0, k1;
  };
  Block blockOf(Emitter &e, const Sizes &s, Value task) const;

  /// K's element that a packed one begins with, K's length at most.
  Value elementOfK(Emitter &e, Value k) const;

  // ContractPack.cpp
  bool packedByCall(const Contraction::Operand &operand) const;
  PackShape packShape(const Contraction::Operand &operand) const {
    return {packed, t.lanes, operand.alongK, operand.memory};
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
  void packLeftByCall(Emitter &e, const Block &block, Value m, Value height, Value k0, Value k1, Value to) const;
  void packLeftAlongM(Emitter &e, const Block &block, Value m, Value height, Value k0, Value k1, Value to) const;
  void packLeftAlongK(Emitter &e, const Block &block, Value m, Value height, Value k0, Value k1, Value to) const;

  // ContractWindow.cpp
  void fillOffsets(Emitter &e) const;
  void packWindow(Emitter &e, const Block &block) const;
  void finishWindow(Emitter &e, llvm::ArrayRef<Index> batch, Value m, Value rows, Value n, Value columns, Value from,
                    int64_t stride) const;

  // ContractLowering.cpp
  void shareTask(Emitter &e, Value task) const;
  void beginTiles(Emitter &e) const;
  void tileTask(Emitter &e, Value task) const;
  void multiplyBlock(Emitter &e, const Sizes &s, const Block &block, Value k0, Value k1) const;
  void tile(Emitter &e, const Block &block, Value m, Value n, Value left, Value right, Value apart, Value k0,
            Value k1) const;
  void callTile(Emitter &e, Value height, Value columns, Value left, Value right, Value ldb, Value c, Value k,
                Value accumulate) const;
  void addTask(Emitter &e, Value task) const;
  void dotTask(Emitter &e, Value task) const;
  void finishRows(Emitter &e, llvm::ArrayRef<Index> batch, Value m, Value rows, Value n, Value columns, int64_t most,
                  Value from, int64_t stride) const;
  void finish(Emitter &e, llvm::ArrayRef<Index> batch, Value m, const Position &n, Value limit, Value sums) const;
  Value plainPointer(Emitter &e, const Contraction::Operand &operand, llvm::ArrayRef<Index> batch, Value free,
                     Value k) const;
  Value heightOf(Emitter &e, Value rows) const;
  llvm::SmallVector<int64_t, 4> heights() const;
};

} // namespace kiln::cpu
