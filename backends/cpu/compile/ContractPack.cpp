//===- ContractPack.cpp - operands into slivers and panels --------------------------------------------------------===//
//
// Elements come from the emitter, so whatever stands between a kernel's input and the product (transposes, slices,
// conversions, windows of a convolution) costs no pass of its own. Vectors run along the axis that is contiguous in
// memory; where that is K, a square of vectors is transposed in registers.
//
// Rows of a packed operand are stored in ascending order by whole vectors: what a vector writes beyond its row is
// overwritten by the rows after it, and there is room for it after the last.
//
//===------------------------------------------------------------------------------------------------------------===//
#include "backends/cpu/compile/ContractLowering.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

VectorType ContractLowering::vectorType(Emitter &e) const {
  return e.code.vectorOf(e.registerType(c.accumulator), t.lanes);
}

void ContractLowering::packRight(Emitter &e, ArrayRef<Index> batch, Value n0, Value n1, Value k0, Value k1, Value to,
                                 int64_t stride) const {
  if (c.right.alongK)
    packRightAlongK(e, batch, n0, n1, k0, k1, to, stride);
  else
    packRightAlongN(e, batch, n0, n1, k0, k1, to, stride);
}

/// to[k - k0][n - n0] for whole vectors of columns from n0 to n1.
void ContractLowering::packRightAlongN(Emitter &e, ArrayRef<Index> batch, Value n0, Value n1, Value k0, Value k1,
                                       Value to, int64_t stride) const {
  Code &code = e.code;
  code.loop(k0, k1, 1, [&](Value k) {
    Value row = code.address(to, code.mul(code.sub(k, k0), code.integer(stride)), bytes);
    forEachRun(e, c.n, c.right.freeInRows, n0, n1, [&](Value n, const Place &place, Value limit) {
      Mask mask{code.firstLanes(code.sub(limit, n), t.lanes), {}};
      Value element = e.vector(c.right.element(e, batch, place, Place(c.k, e.at(k)), mask));
      code.store(element, code.address(row, code.sub(n, n0), bytes), bytes);
    });
  });
}

void ContractLowering::packRightAlongK(Emitter &e, ArrayRef<Index> batch, Value n0, Value n1, Value k0, Value k1,
                                       Value to, int64_t stride) const {
  Code &code = e.code;
  Value last = code.sub(n1, code.integer(1));
  code.loop(n0, n1, t.lanes, [&](Value n) {
    SmallVector<Value> columns;
    for (int64_t i = 0; i < t.lanes; ++i) // beyond the edge the last column stands in
      columns.push_back(code.min(code.add(n, code.integer(i)), last));
    Value column = code.address(to, code.sub(n, n0), bytes);
    forEachRun(e, c.k, c.right.kInRows, k0, k1, [&](Value k, const Place &place, Value limit) {
      Mask mask{code.firstLanes(code.sub(limit, k), t.lanes), {}};
      SmallVector<Value> square;
      for (Value column : columns)
        square.push_back(e.vector(c.right.element(e, batch, Place(c.n, e.at(column)), place, mask)));
      transposeSquare(code, square);
      Value row = code.address(column, code.mul(code.sub(k, k0), code.integer(stride)), bytes);
      for (int64_t i = 0; i < t.lanes; ++i)
        code.store(square[i], code.address(row, code.integer(i * stride), bytes), bytes);
    });
  });
}

/// Slivers of tileRows rows (the last one lower, see heightOf), each [k][rows], one after the other.
void ContractLowering::packLeft(Emitter &e, const Block &block, Value k0, Value k1, Value to) const {
  Code &code = e.code;
  code.loop(block.m0, block.m1, t.tileRows, [&](Value m) {
    Value height = heightOf(e, code.sub(block.m1, m));
    Value sliver = code.address(to, code.mul(code.sub(m, block.m0), code.sub(k1, k0)), bytes);
    if (c.left.alongK)
      packLeftAlongK(e, block, m, height, k0, k1, sliver);
    else
      packLeftAlongM(e, block, m, height, k0, k1, sliver);
  });
}

void ContractLowering::packLeftAlongM(Emitter &e, const Block &block, Value m, Value height, Value k0, Value k1,
                                      Value to) const {
  Code &code = e.code;
  Value end = code.min(code.add(m, code.integer(t.tileRows)), block.m1);
  code.loop(k0, k1, 1, [&](Value k) {
    Value row = code.address(to, code.mul(code.sub(k, k0), height), bytes);
    forEachRun(e, c.m, c.left.freeInRows, m, end, [&](Value first, const Place &place, Value limit) {
      Mask mask{code.firstLanes(code.sub(limit, first), t.lanes), {}};
      Value element = e.vector(c.left.element(e, block.batch, place, Place(c.k, e.at(k)), mask));
      code.store(element, code.address(row, code.sub(first, m), bytes), bytes);
    });
  });
}

void ContractLowering::packLeftAlongK(Emitter &e, const Block &block, Value m, Value height, Value k0, Value k1,
                                      Value to) const {
  Code &code = e.code;
  Value last = code.sub(block.m1, code.integer(1));
  SmallVector<Value> rows;
  for (int64_t r = 0; r < t.tileRows; ++r)
    rows.push_back(code.min(code.add(m, code.integer(r)), last));
  forEachRun(e, c.k, c.left.kInRows, k0, k1, [&](Value k, const Place &place, Value limit) {
    Mask mask{code.firstLanes(code.sub(limit, k), t.lanes), {}};
    SmallVector<Value> vectors;
    for (Value r : rows)
      vectors.push_back(e.vector(c.left.element(e, block.batch, Place(c.m, e.at(r)), place, mask)));
    while (vectors.size() % t.lanes)
      vectors.push_back(vectors.back());
    for (size_t group = 0; group < vectors.size(); group += t.lanes)
      transposeSquare(code, MutableArrayRef<Value>(vectors).slice(group, t.lanes));
    Value row = code.address(to, code.mul(code.sub(k, k0), height), bytes);
    for (int64_t i = 0; i < t.lanes; ++i) {
      Value at = code.address(row, code.mul(height, code.integer(i)), bytes);
      for (size_t group = 0; group < vectors.size(); group += t.lanes)
        code.store(vectors[group + i], code.address(at, code.integer(int64_t(group)), bytes), bytes);
    }
  });
}

} // namespace kiln::cpu
