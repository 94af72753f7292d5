// Code for the elements of a kernel's values.
//
// `value(v, at, mask)` gives code for the elements of value `v` at the position `at`: one index for each dimension. It
// works backwards: elementwise ops emit their operands at the same position, layout ops (reshape, transpose, slice,
// pad, gather, …) emit their operand at another position, inputs are loaded. So a kernel's elementwise and layout ops
// never exist in memory.
//
// Lanes. An emitter has a width W. Along a dimension, lane l reads position `base + step * l` (or `lanes[l]`). What
// does not depend on the lane (every step 0) is emitted once as a scalar; what does is a vector<W x T>. With W = 1 all
// is scalar. `vector(element)` splats where a vector is needed.
//
// Masks. In the last, partial vector of a row pass Mask{lanes}: a vector<W x i1>, true for the lanes that exist. Lanes
// that are off are neither loaded nor checked; what is in them is unspecified. Mask{…, uniform} (an i1) does the same
// for all lanes at once. An empty mask: all exist. Masks are made with Code::firstLanes(remaining, W).
//
// Types in registers: bool is i1, bf16 and f16 are f32, everything else itself; integers are signless. A bf16 or f16
// that the kernel stores and reads itself is rounded before: what reads it in memory sees the same number.
#pragma once

#include "backends/cpu/compile/Code.h"
#include <functional>
#include <map>

namespace kiln::cpu {

using mlir::Value;

/// A position along one dimension, for all lanes.
struct Index {
  Value base;       // i64: lane 0's position
  int64_t step = 0; // lane l is at base + step * l
  Value lanes;      // vector<W x i64>: set where positions are not affine in the lane; base and step mean nothing then
  int64_t multiple = 1; // base is known to be a multiple of this

  bool uniform() const { return !lanes && step == 0; }
};
using Indices = llvm::SmallVector<Index, 4>;

struct Mask {
  Value lanes;   // vector<W x i1>, null: all
  Value uniform; // i1, null: true
};

/// The arguments of a phase function.
struct PhaseArguments {
  Value args, extents, scratch, workerScratch, status, begin, end;
};

class Emitter {
public:
  /// Within the function that `code` has begun.
  Emitter(Code &code, const Graph &graph, const PhaseArguments &arguments, int64_t width);

  Code &code;
  const Graph &graph;
  PhaseArguments arguments;
  int64_t width;
  bool pastCaches = false; // whether whole vectors of outputs are written so now (LoopNest.h, Streams)

  /// The elements of value `v` at a position: a scalar where no index depends on the lane, else a vector<width x T>.
  Value value(uint32_t v, llvm::ArrayRef<Index> at, const Mask &mask = {});

  /// From now on `v` comes from `source` (an accumulator, a tile, a row in scratch) and not from its op. What was
  /// computed from it before is forgotten.
  using Source = std::function<Value(llvm::ArrayRef<Index> at, const Mask &mask)>;
  void bind(uint32_t v, Source source);
  /// `v` is a contiguous row-major tensor at `pointer` (in scratch, or an output that an earlier phase wrote).
  void bindMemory(uint32_t v, Value pointer);
  void unbind(uint32_t v);

  /// Writes elements of a tensor of v's type at `pointer`. Where all lanes have one position (v has an extent of 1
  /// there), one element is written: the last one of the lanes that are on. Vectors need steps of 1 (else lane by
  /// lane).
  void store(uint32_t v, Value pointer, llvm::ArrayRef<Index> at, Value element, const Mask &mask = {});
  /// The same, to the kernel's output.
  void storeOutput(size_t output, llvm::ArrayRef<Index> at, Value element, const Mask &mask = {});
  /// Reads a contiguous row-major tensor of v's type.
  Value load(uint32_t v, Value pointer, llvm::ArrayRef<Index> at, const Mask &mask = {});

  /// The same with the position given as an offset in elements from the pointer. `pinned`: read at the current point,
  /// not as far out as the address allows: for memory that this phase has written.
  Value loadOffset(kiln_dtype dtype, Value pointer, const Index &offset, const Mask &mask = {}, bool pinned = false);
  void storeOffset(kiln_dtype dtype, Value pointer, const Index &offset, Value element, const Mask &mask = {});

  Value input(size_t number); // pointers
  Value output(size_t number);
  Value scratch(int64_t byteOffset);
  Value workerScratch(int64_t byteOffset);

  Value extent(const Extent &extent); // i64, read once
  Value elements(llvm::ArrayRef<Extent> shape);

  mlir::Type registerType(kiln_dtype dtype) const; // scalar
  Value vector(Value element);                     // splats a scalar
  void same(Value &a, Value &b);                   // splats one where the other is a vector
  /// Between registers and memory form: bool i1/i8, bf16 and f16 from and to f32.
  Value toMemory(Value element, kiln_dtype dtype);
  Value fromMemory(Value element, kiln_dtype dtype);
  /// What a bf16 or f16 is after rounding, still as f32.
  Value rounded(Value element, kiln_dtype dtype) { return fromMemory(toMemory(element, dtype), dtype); }

  //===-- Places ----------------------------------------------------------------------------------------------===//

  Index at(Value base, int64_t step = 0, int64_t multiple = 1) const { return Index{base, step, {}, multiple}; }
  Index zero() { return Index{code.integer(0), 0, {}, static_cast<int64_t>(1) << 40}; }
  /// Row-major number of a position within a shape, as an index of its own.
  Index linear(llvm::ArrayRef<Extent> shape, llvm::ArrayRef<Index> position);
  /// The inverse. Exact whatever the steps; cheap where rows hold whole vectors.
  Indices indicesOf(llvm::ArrayRef<Extent> shape, const Index &linear);
  Indices indicesOfRow(llvm::ArrayRef<Extent> shape, Value linear); // of uniform indices

  /// a op b on elements (both splat when one is a vector), as the ops of the dialect define it.
  Value binary(OpCode code, Value a, Value b, kiln_dtype dtype, const Op *op = nullptr, const Mask &mask = {});
  Value unary(OpCode code, Value a, kiln_dtype dtype);
  Value compare(Predicate predicate, Value a, Value b, kiln_dtype dtype);
  Value convert(Value a, kiln_dtype from, kiln_dtype to);
  /// Between a float and an integer of its width.
  Value bitcast(Value a, kiln_dtype to);
  /// The element that a combination starts from, and one step of it.
  Value neutral(Combine combine, kiln_dtype dtype);
  Value combine(Combine combine, Value a, Value b, kiln_dtype dtype);
  /// A vector's lanes combined pairwise into a scalar: a fixed tree.
  Value horizontal(Combine combine, Value vector, kiln_dtype dtype);

  /// The index `at` chosen by a gather or scatter, checked against `limit`: clamped into it, recorded in the status.
  /// `valid` (when asked for) tells which were in range.
  Index checkedIndex(const Op &op, uint32_t indices, llvm::ArrayRef<Index> at, const Extent &limit, const Mask &mask,
                     Value *valid = nullptr);

  //===-- Arithmetic on positions, lane-wise ------------------------------------------------------------------===//

  Value lanesOf(const Index &index);
  Value positions(const Index &index); // scalar where uniform, else vector<W x i64>
  Index indexOf(Value positions);
  Index add(const Index &a, const Index &b);
  Index add(const Index &a, Value b);
  Index sub(Value a, const Index &b);
  Index scale(const Index &a, Value factor);
  Index div(const Index &a, Value divisor);
  Index rem(const Index &a, Value divisor);
  Value inRange(const Index &index, Value low, Value high); // i1 or vector of i1: low <= index < high
  Mask narrow(const Mask &mask, Value condition);
  Value laneMask(const Mask &mask); // the two parts of a mask as one vector, null: all
  Value anyLane(const Mask &mask);  // whether some lane is on, null: all are

  /// A dynamic start, clamped into [0, dimension - size].
  Value start(const Op &op, uint32_t operand, const Extent &dimension, const Extent &size);

private:
  struct Key {
    uint32_t value;
    int64_t width;
    llvm::SmallVector<std::tuple<void *, int64_t, void *>, 4> at;
    void *lanes, *uniform;
    bool operator<(const Key &o) const {
      return std::tie(value, width, at, lanes, uniform) < std::tie(o.value, o.width, o.at, o.lanes, o.uniform);
    }
  };
  std::vector<std::map<Key, Value>> memo; // one table a scope: what is known there
  std::vector<bool> rounds;               // values that are rounded where they are computed
  bool large;                             // some tensor may have 2^31 elements or more: positions need 64 bits
  llvm::DenseMap<uint32_t, Source> sources;
  llvm::DenseMap<int32_t, Value> extents;
  llvm::DenseMap<size_t, Value> pointers; // of the arguments

  Value emit(uint32_t v, llvm::ArrayRef<Index> at, const Mask &mask);
  Value emitOp(const Op &op, uint32_t v, llvm::ArrayRef<Index> at, const Mask &mask);
  Value emitLayout(const Op &op, uint32_t v, llvm::ArrayRef<Index> at, const Mask &mask);
  Value emitReshape(const Op &op, uint32_t v, llvm::ArrayRef<Index> at, const Mask &mask);
  Value emitPad(const Op &op, llvm::ArrayRef<Index> at, const Mask &mask);
  Value emitConcat(const Op &op, llvm::ArrayRef<Index> at, const Mask &mask);
  Value emitDynamicSlice(const Op &op, uint32_t v, llvm::ArrayRef<Index> at, const Mask &mask);
  Value emitDynamicUpdate(const Op &op, uint32_t v, llvm::ArrayRef<Index> at, const Mask &mask);
  Value emitGather(const Op &op, uint32_t v, llvm::ArrayRef<Index> at, const Mask &mask);
  Value ofBlock(const Op &op, llvm::ArrayRef<Index> at, bool halves, const Mask &mask, Indices &block);
  Value emitDequantize(const Op &op, llvm::ArrayRef<Index> at, const Mask &mask);
  Value emitDecode(const Op &op, llvm::ArrayRef<Index> at, const Mask &mask);
  Value emitConstant(const Op &op, uint32_t v, llvm::ArrayRef<Index> at, const Mask &mask);
  Value emitRandomBits(const Op &op, uint32_t v, llvm::ArrayRef<Index> at, const Mask &mask);

  void report(kiln_status_kind kind, const Op &op, Value bad, Value index, Value limit);
  Value everySecond(mlir::Type type, Value where, const Mask &mask, int64_t bytes, bool pinned);
  Value gatherLoad(mlir::Type type, Value pointer, const Index &offset, const Mask &mask, int64_t bytes, bool pinned);
  Value integerDivision(const Op *op, Value a, Value b, kiln_dtype dtype, bool remainder, const Mask &mask);
  Value binaryFloat(OpCode code, Value a, Value b);
  Value binaryInteger(OpCode code, Value a, Value b, kiln_dtype dtype);
};

} // namespace kiln::cpu
