// What lays operands out as the micro-kernels read them.

#include "backends/cpu/compile/MicroKernelCode.h"

using namespace mlir;

namespace kiln::cpu {

Value pairsOf(Code &code, Value first, Value second) {
  int64_t lanes = cast<VectorType>(first.getType()).getNumElements();
  auto half = code.vectorOf(code.b.getBF16Type(), lanes), bits = code.vectorOf(code.i16, lanes);
  auto wide = code.vectorOf(code.i32, lanes);
  auto rounded = [&](Value v) {
    Value narrow = intrinsic(code, "llvm.x86.avx512bf16.cvtneps2bf16.512", half, v);
    return code.here<arith::ExtUIOp>(wide, code.here<arith::BitcastOp>(bits, narrow));
  };
  Value upper = code.here<arith::ShLIOp>(rounded(second), code.constantInt(wide, 16));
  return code.here<arith::OrIOp>(rounded(first), upper);
}

namespace {
/// A vector of packed elements of an operand in memory: what packing's loops have in common.
struct PackedLoad {
  Code &code;
  kiln_dtype dtype, memory;
  int64_t lanes;
  bool pairs() const { return dtype == KILN_BF16; }
  int64_t step() const { return pairs() ? 2 : 1; } // elements of K in one packed element
  VectorType type() const { return code.vectorOf(pairs() ? code.i32 : code.memoryType(dtype), lanes); }
  VectorType floats() const { return code.vectorOf(code.f32, lanes); }

  /// Lanes along K: packed elements from element p on, those from k on are 0.
  Value alongK(Value row, Value p, Value k) const {
    Value rest = code.sub(k, p);
    if (!pairs())
      return loadAs(code, type(), memory, row, p, code.firstLanes(rest, lanes));
    if (memory == KILN_BF16) {
      auto halves = code.vectorOf(code.i16, 2 * lanes);
      Value both = code.maskedLoad(halves, code.address(row, p, 2), code.firstLanes(rest, 2 * lanes), 2, true);
      return code.here<vector::BitCastOp>(type(), both);
    }
    auto part = [&](int64_t at) {
      Value begin = code.add(p, code.integer(at));
      return loadAs(code, floats(), memory, row, begin, code.firstLanes(code.sub(k, begin), lanes));
    };
    auto all = code.vectorOf(code.b.getBF16Type(), 2 * lanes);
    Value both = intrinsic(code, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", all, {part(lanes), part(0)});
    return code.here<vector::BitCastOp>(type(), both);
  }

  /// Lanes along the free axis: elements j and on, `count` of them at most, of K's element p (and of the next, `apart`
  /// bytes further, where there is one).
  Value alongFree(Value row, Value apart, Value p, Value k, Value j, Value count) const {
    if (!pairs())
      return loadAs(code, type(), memory, row, j, code.firstLanes(count, lanes));
    Value more = code.compare(arith::CmpIPredicate::slt, code.add(p, code.integer(1)), k);
    Value below = code.here<arith::SelectOp>(more, count, code.integer(0));
    auto part = [&](Value from, Value mask) { return loadAs(code, floats(), memory, from, j, mask); };
    return pairsOf(code, part(row, code.firstLanes(count, lanes)),
                   part(advance(code, row, apart), code.firstLanes(below, lanes)));
  }
};
} // namespace

void definePack(Code &code, const PackShape &s, StringRef name) {
  PackedLoad load{code, s.dtype, s.memory, s.lanes};
  int64_t bytes = packedBytes(s.dtype);
  auto arguments = code.beginFunction(name, {code.ptr, code.i64, code.i64, code.i64, code.ptr, code.i64}, {});
  Value from = arguments[0], apart = arguments[1], count = arguments[2], k = arguments[3], to = arguments[4],
        stride = arguments[5];
  auto row = [&](Value base, Value number, Value distance) { return advance(code, base, code.mul(number, distance)); };
  auto packed = [&](Value p) { return load.pairs() ? code.div(p, code.integer(2)) : p; };
  if (s.packing == Packing::Line) { // rows stay as they are, cut into vectors
    code.loop(code.integer(0), count, 1, [&](Value r) {
      Value source = row(from, r, apart), target = code.address(to, code.mul(r, code.integer(s.lanes)), bytes);
      code.loop(code.integer(0), k, s.lanes * load.step(), [&](Value p) {
        Value group = code.div(p, code.integer(s.lanes * load.step()));
        code.store(load.alongK(source, p, k), row(target, group, stride), bytes);
      });
    });
    code.endFunction();
    return;
  }
  if (s.packing == Packing::Across) {
    code.loop(code.integer(0), k, s.lanes * load.step(), [&](Value p) {
      Value target = row(to, code.div(p, code.integer(s.lanes * load.step())), stride);
      code.loop(code.integer(0), count, 1, {from, target}, [&](Value, ValueRange places) -> SmallVector<Value> {
        code.store(load.alongK(places[0], p, k), places[1], bytes);
        return {advance(code, places[0], apart), advance(code, places[1], code.integer(s.lanes * bytes))};
      });
    });
    code.endFunction();
    return;
  }
  if (s.packing == Packing::Copy) {
    code.loop(code.integer(0), k, load.step(), [&](Value p) {
      Value source = row(from, p, apart), target = row(to, packed(p), stride);
      code.loop(code.integer(0), count, s.lanes, [&](Value j) {
        Value element = load.alongFree(source, apart, p, k, j, code.sub(count, j));
        code.store(element, code.address(target, j, bytes), bytes);
      });
    });
    code.endFunction();
    return;
  }
  SmallVector<Value> rows; // beyond the last one it stands in
  for (int64_t r = 0; r < s.lanes; ++r)
    rows.push_back(row(from, code.min(code.integer(r), code.sub(count, code.integer(1))), apart));
  code.loop(code.integer(0), k, s.lanes * load.step(), [&](Value p) {
    SmallVector<Value> square;
    for (Value source : rows)
      square.push_back(load.alongK(source, p, k));
    transposeSquare(code, square);
    for (int64_t i = 0; i < s.lanes; ++i)
      code.store(square[i], row(to, code.add(packed(p), code.integer(i)), stride), bytes);
  });
  code.endFunction();
}

/// Rows of memory that are fetched before they are split: they lie in pages of their own, where processors do not
/// follow a stream.
constexpr int64_t splitAhead = 8;

void defineSplit(Code &code, const SplitShape &s, StringRef name) {
  PackedLoad load{code, s.dtype, s.memory, s.lanes};
  int64_t bytes = packedBytes(s.dtype);
  auto arguments = code.beginFunction(name, {code.ptr, code.i64, code.i64, code.i64, code.ptr, code.i64}, {});
  Value from = arguments[0], apart = arguments[1], columns = arguments[2], k = arguments[3], to = arguments[4],
        panelBytes = arguments[5];
  Value zero = code.integer(0), panels = code.ceilDiv(columns, code.integer(s.width));
  code.loop(zero, k, load.step(), [&](Value p) {
    Value source = advance(code, from, code.mul(p, apart)),
          target = code.address(to, code.mul(code.div(p, code.integer(load.step())), code.integer(s.width)), bytes);
    Value ahead = advance(code, source, code.mul(apart, code.integer(load.step() * splitAhead)));
    code.loop(zero, panels, 1, [&](Value panel) {
      Value first = code.mul(panel, code.integer(s.width)),
            position = advance(code, target, code.mul(panel, panelBytes));
      code.here<LLVM::Prefetch>(advance(code, ahead, code.mul(first, code.integer(byteSize(s.memory)))), 0u, 3u, 1u);
      for (int64_t j = 0; j < s.width; j += s.lanes) {
        Value column = code.add(first, code.integer(j));
        Value count = code.min(code.sub(columns, column), code.integer(s.width - j));
        Value element = load.alongFree(source, apart, p, k, column, count);
        Value there = code.address(position, code.integer(j), bytes);
        if (j + s.lanes <= s.width)
          code.store(element, there, bytes);
        else // the next panel is written already
          code.maskedStore(element, there, code.firstLanes(code.integer(s.width - j), s.lanes), bytes);
      }
    });
  });
  code.endFunction();
}

void transposeSquare(Code &code, MutableArrayRef<Value> vectors) {
  int64_t lanes = cast<VectorType>(vectors[0].getType()).getNumElements();
  // A step with distance d exchanges bit d of the vector's number with bit d of the lane's.
  for (int64_t d = 1; d < lanes; d *= 2)
    for (int64_t i = 0; i < lanes; ++i) {
      if (i & d)
        continue;
      SmallVector<int64_t> low, high;
      for (int64_t l = 0; l < lanes; ++l) {
        low.push_back(l & d ? lanes + l - d : l);
        high.push_back(l & d ? lanes + l : l + d);
      }
      Value x = vectors[i], y = vectors[i + d];
      vectors[i] = code.here<vector::ShuffleOp>(x, y, low);
      vectors[i + d] = code.here<vector::ShuffleOp>(x, y, high);
    }
}

} // namespace kiln::cpu
