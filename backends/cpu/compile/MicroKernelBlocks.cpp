// Products with numbers that are stored in blocks: they are read as they lie, and widened in registers.
//
// A row against many is as fast as memory brings them only where few instructions are spent on each byte. So the row is
// rounded once to 16-bit words (WordsPlaces), and a block's products are summed as whole numbers: one multiply-add of
// words for 32 of them, one conversion, one multiply-add with the product of both scales. Several rows share what is
// widened to f32, which is then as good.

#include "backends/cpu/compile/MicroKernelCode.h"

using namespace mlir;

namespace kiln::cpu {

static SmallVector<int64_t> sizesOf(std::initializer_list<int64_t> first, const BlockLayout &layout) {
  SmallVector<int64_t> sizes(first);
  sizes.append({layout.size, layout.halves, layout.lifted, static_cast<int64_t>(layout.coding)});
  return sizes;
}

void callBlocksKernel(Code &code, const BlocksShape &s, Value a, Value lda, const BlockRows &b, Value c, Value ldc,
                      Value k) {
  call(code, nameOf("blocks", {s.layout.scale}, sizesOf({s.rows, s.columns, s.lanes}, s.layout)),
       {a, lda, b.blocks, b.apart, b.scales, b.scalesApart, b.minimums, c, ldc, k});
}

void callWordsKernel(Code &code, const BlocksShape &s, const WordsPlaces &a, const BlockRows &b, Value c, Value k) {
  call(code, nameOf("words", {s.layout.scale}, sizesOf({s.rows, s.columns, s.lanes}, s.layout)),
       {a.words, a.factors, a.extras, a.room, b.blocks, b.apart, b.scales, b.scalesApart, b.minimums, c, k});
}

/// Lanes of i32 that a block's products are summed in.
static int64_t wordLanes(const Machine &machine, const BlockLayout &layout) {
  return std::min<int64_t>(machine.vectorBytes / 4, layout.size / 2);
}

bool multipliesWords(const Machine &machine, const BlockLayout &layout) {
  if (layout.coding != Coding::None)
    return false; // what codes stand for are no whole numbers
  int64_t lanes = wordLanes(machine, layout);
  return machine.has("avx2") && machine.has("f16c") && lanes >= 8 && layout.size % (2 * lanes) == 0;
}

void callRound(Code &code, const BlockLayout &layout, Value row, Value k, const WordsPlaces &to) {
  call(code, nameOf("round", {layout.scale}, sizesOf({wordLanes(code.machine, layout)}, layout)),
       {row, k, to.words, to.factors, to.extras, to.finite});
}

void callWiden(Code &code, const BlockLayout &layout, int64_t lanes, const BlockRows &from, Value rows, Value k0,
               Value k1, Value to, Value stride) {
  call(code, nameOf("widen", {layout.scale}, sizesOf({lanes}, layout)),
       {from.blocks, from.apart, from.scales, from.scalesApart, from.minimums, rows, k0, k1, to, stride});
}

/// Scales or minimums from number i on.
static Value scaleAt(Code &code, const BlockLayout &layout, Value row, Value i) {
  Value scale = code.loadHere(code.memoryType(layout.scale), code.address(row, i, byteSize(layout.scale)),
                              byteSize(layout.scale));
  return layout.scale == KILN_F16 ? code.here<arith::ExtFOp>(code.f32, scale).getResult() : scale;
}

/// What is summed up before products with halves know that 8 stands for 0.
static bool shifted(const BlockLayout &layout) {
  return layout.halves && !layout.lifted && layout.coding == Coding::None;
}

/// Bytes as vectors of wider integers; `upper`: of halves, the upper ones, else the lower. A null `upper`: whole bytes.
static Value integersOf(Code &code, const BlockLayout &layout, Type element, Value bytes, Value upper) {
  auto wide = code.vectorOf(element, cast<VectorType>(bytes.getType()).getNumElements());
  if (!layout.halves)
    return code.here<arith::ExtSIOp>(wide, bytes);
  Value words = code.here<arith::ExtUIOp>(wide, bytes);
  if (Code::known(upper) == 1)
    return code.here<arith::ShRUIOp>(words, code.constantInt(wide, 4));
  if (!Code::known(upper)) {
    Value amount = code.mul(upper, code.integer(4));
    amount = code.here<arith::TruncIOp>(element, amount);
    words = code.here<arith::ShRUIOp>(words, code.here<vector::SplatOp>(amount, wide));
  }
  return code.here<arith::AndIOp>(words, code.constantInt(wide, 15));
}

/// The numbers of a block from its number i on as f32, less 8 where halves stand so.
static Value numbersAt(Code &code, const BlockLayout &layout, Value block, Value i, Value upper, int64_t lanes) {
  Value bytes = code.loadHere(code.vectorOf(code.i8, lanes), code.address(block, i, 1), 1);
  if (layout.coding != Coding::None && !layout.halves)
    return decodedBytes(code, layout.coding, bytes);
  Value whole = integersOf(code, layout, code.i32, bytes, upper);
  if (layout.coding != Coding::None)
    return decoded(code, layout.coding, whole);
  if (shifted(layout))
    whole = code.here<arith::SubIOp>(whole, code.constantInt(whole.getType(), 8));
  return code.here<arith::SIToFPOp>(code.vectorOf(code.f32, lanes), whole);
}

//===-- f32 rows --------------------------------------------------------------------------------------------------===//

static void defineFloatBlocks(Code &code, const BlocksShape &s, StringRef name) {
  const BlockLayout &layout = s.layout;
  VectorType vector = code.vectorOf(code.f32, s.lanes);
  Type p = code.ptr, n = code.i64;
  auto arguments = code.beginFunction(name, {p, n, p, n, p, n, p, p, n, n}, {});
  SmallVector<Value> left = rowsAt(code, arguments[0], arguments[1], s.rows),
                     right = rowsAt(code, arguments[2], arguments[3], s.columns),
                     scales = rowsAt(code, arguments[4], arguments[5], s.columns),
                     minimums = rowsAt(code, arguments[6], arguments[5], s.columns);
  int64_t together = layout.halves ? 2 : 1; // blocks that share their bytes
  Value ahead = code.mul(arguments[3], code.integer(s.columns * 4));
  SmallVector<Value> zeros(s.rows * s.columns, zeroOf(code, vector));
  auto sums = code.loop(code.integer(0), arguments[9], layout.size * together, zeros, [&](Value p, ValueRange carried) {
    SmallVector<Value> next(carried.begin(), carried.end());
    Value block = code.div(p, code.integer(layout.size)), byte = layout.halves ? code.div(p, code.integer(2)) : p;
    for (int64_t j = 0; j < s.columns; ++j) {
      Value bytes = advance(code, right[j], byte);
      if (s.rows == 1) // as in defineDot
        code.here<LLVM::Prefetch>(advance(code, bytes, ahead), 0u, 2u, 1u);
      for (int64_t half = 0; half < together; ++half) {
        Value number = code.add(block, code.integer(half));
        Value factor = code.here<vector::SplatOp>(scaleAt(code, layout, scales[j], number), vector);
        Value minimum = layout.lifted
                            ? code.here<vector::SplatOp>(scaleAt(code, layout, minimums[j], number), vector).getResult()
                            : Value();
        SmallVector<Value> elements;
        for (int64_t i = 0; i < layout.size; i += s.lanes)
          elements.push_back(numbersAt(code, layout, bytes, code.integer(i), code.integer(half), s.lanes));
        for (int64_t r = 0; r < s.rows; ++r) {
          Value sum, plain;
          for (auto [i, element] : llvm::enumerate(elements)) {
            int64_t at = half * layout.size + static_cast<int64_t>(i) * s.lanes;
            Value other = code.loadHere(vector, code.address(left[r], code.add(p, code.integer(at)), 4), 4);
            sum = sum ? multiplyAdd(code, other, element, sum) : code.here<arith::MulFOp>(other, element).getResult();
            if (layout.lifted)
              plain = plain ? code.here<arith::AddFOp>(plain, other).getResult() : other;
          }
          Value &total = next[r * s.columns + j];
          total = multiplyAdd(code, sum, factor, total);
          if (layout.lifted)
            total = multiplyAdd(code, plain, minimum, total);
        }
      }
    }
    return next;
  });
  storeSums(code, sums, s.rows, s.lanes, arguments[7], arguments[8], 4);
  code.endFunction();
}

//===-- Rows of words ---------------------------------------------------------------------------------------------===//

/// acc + the products of words, two neighbours to a lane.
static Value multiplyWords(Code &code, Value a, Value b, Value acc) {
  auto sums = cast<VectorType>(acc.getType());
  std::string width = std::to_string(sums.getNumElements() * 32);
  bool adds =
      code.machine.has("avx512vnni") ? code.machine.vectorBytes == 64 : code.machine.has("avxvnni") && width == "256";
  if (adds)
    return intrinsic(code, "llvm.x86.avx512.vpdpwssd." + width, sums,
                     {acc, code.here<vector::BitCastOp>(sums, a), code.here<vector::BitCastOp>(sums, b)});
  Value products =
      intrinsic(code, width == "512" ? "llvm.x86.avx512.pmaddw.d.512" : "llvm.x86.avx2.pmadd.wd", sums, {a, b});
  return code.here<arith::AddIOp>(acc, products);
}

void defineRound(Code &code, const BlockLayout &layout, int64_t lanes, StringRef name) {
  Type p = code.ptr;
  VectorType vector = code.vectorOf(code.f32, lanes), whole = code.vectorOf(code.i32, lanes),
             half = code.vectorOf(code.i16, lanes), words = code.vectorOf(code.i16, 2 * lanes);
  auto arguments = code.beginFunction(name, {p, code.i64, p, p, p, p}, {});
  Value row = arguments[0], extras = arguments[4];
  std::string lanesName = "v" + std::to_string(lanes) + "i32";
  auto number = [&](int64_t value) { return code.constantInt(code.i32, value); };
  Value largest = code.loop(
      code.integer(0), arguments[1], layout.size, {number(0)},
      [&](Value first, ValueRange carried) -> SmallVector<Value> {
        Value block = code.div(first, code.integer(layout.size));
        SmallVector<Value> elements;
        Value bits;
        for (int64_t i = 0; i < layout.size; i += lanes) {
          elements.push_back(code.loadHere(vector, code.address(row, code.add(first, code.integer(i)), 4), 4));
          Value size = code.here<arith::AndIOp>(code.here<arith::BitcastOp>(whole, elements.back()),
                                                code.constantInt(whole, 0x7fffffff));
          bits = bits ? code.here<arith::MaxSIOp>(bits, size).getResult() : size;
        }
        Value most = intrinsic(code, "llvm.vector.reduce.smax." + lanesName, code.i32, bits);
        // 2^(e - 14) for a largest element of 2^e and more, and one over it; both are normal numbers.
        Value exponent = code.here<arith::ShRUIOp>(most, number(23));
        Value held = code.here<arith::MinSIOp>(code.here<arith::MaxSIOp>(exponent, number(15)), number(254));
        auto power = [&](Value biased) {
          return code.here<arith::BitcastOp>(code.f32, code.here<arith::ShLIOp>(biased, number(23))).getResult();
        };
        Value factor = power(code.here<arith::SubIOp>(held, number(14)));
        Value over = code.here<vector::SplatOp>(power(code.here<arith::SubIOp>(number(268), held)), vector);
        Value total;
        for (auto [i, element] : llvm::enumerate(elements)) {
          Value near = code.here<math::RoundEvenOp>(code.here<arith::MulFOp>(element, over));
          Value word = code.here<arith::FPToSIOp>(whole, near);
          word = code.here<arith::MinSIOp>(word, code.constantInt(whole, 32767));
          total = total ? code.here<arith::AddIOp>(total, word).getResult() : word;
          Value at = code.add(first, code.integer(static_cast<int64_t>(i) * lanes));
          code.store(code.here<arith::TruncIOp>(half, word), code.address(arguments[2], at, 2), 2);
        }
        code.store(factor, code.address(arguments[3], block, 4), 4);
        if (layout.lifted) {
          Value sum = intrinsic(code, "llvm.vector.reduce.add." + lanesName, code.i32, total);
          sum = code.here<arith::SIToFPOp>(code.f32, sum);
          code.store(code.here<arith::MulFOp>(sum, factor), code.address(extras, block, 4), 4);
        } else if (layout.halves) {
          Value less = code.constantInt(whole, 0);
          for (int64_t i = 0; i < layout.size; i += 2 * lanes) {
            Value there = code.address(arguments[2], code.add(first, code.integer(i)), 2);
            less = multiplyWords(code, code.loadHere(words, there, 2), code.constantInt(words, -8), less);
          }
          code.store(less, code.address(extras, code.mul(block, code.integer(lanes)), 4), 4);
        }
        return {code.here<arith::MaxSIOp>(carried[0], exponent)};
      })[0];
  Value finite = code.here<arith::CmpIOp>(arith::CmpIPredicate::slt, largest, number(255));
  code.store(code.here<arith::ExtUIOp>(code.i64, finite), arguments[5], 8);
  code.endFunction();
}

namespace {
/// Rows of blocks times a row of words. A chunk's scales are multiplied with the row's factors first, as many at once
/// as there are lanes, and read one by one.
struct WordsKernel {
  WordsKernel(Code &code, const BlocksShape &s) : code(code), s(s) {}

  Code &code;
  const BlocksShape &s;
  const BlockLayout &layout = s.layout;
  int64_t lanes = wordLanes(code.machine, layout);
  VectorType sums = code.vectorOf(code.f32, lanes), scaleVector = code.vectorOf(code.f32, s.lanes),
             whole = code.vectorOf(code.i32, lanes), words = code.vectorOf(code.i16, 2 * lanes);
  Value a, factors, extras, room, apart, scalesApart;
  SmallVector<Value> right, scales, minimums;

  /// Of column j the products of scales and factors from block `first` on; `lifts` gains the row's sums times minimums.
  void prepare(int64_t j, Value first, Value mask, MutableArrayRef<Value> lifts) {
    auto load = [&](kiln_dtype dtype, Value from) { return loadAs(code, scaleVector, dtype, from, first, mask); };
    Value product = code.here<arith::MulFOp>(load(layout.scale, scales[j]), load(KILN_F32, factors));
    code.store(product, code.address(room, code.integer(j * s.lanes), 4), 4);
    fetchAhead(scales[j], first);
    if (!layout.lifted)
      return;
    lifts[j] = multiplyAdd(code, load(layout.scale, minimums[j]), load(KILN_F32, extras), lifts[j]);
    fetchAhead(minimums[j], first);
  }

  /// Scales of rows to come.
  void fetchAhead(Value from, Value first) {
    code.here<LLVM::Prefetch>(code.address(advance(code, from, scalesApart), first, byteSize(layout.scale)), 0u, 2u,
                              1u);
  }

  /// Adds block number `first` + i, the half `half` of its bytes.
  void addBlock(Value first, Value i, int64_t half, MutableArrayRef<Value> totals) {
    Value inChunk = code.add(i, code.integer(half)), block = code.add(first, inChunk);
    Value begin = code.mul(block, code.integer(layout.size));
    SmallVector<Value> row;
    for (int64_t w = 0; w < layout.size; w += 2 * lanes)
      row.push_back(code.loadHere(words, code.address(a, code.add(begin, code.integer(w)), 2), 2));
    Value start = code.constantInt(whole, 0);
    if (shifted(layout))
      start = code.loadHere(whole, code.address(extras, code.mul(block, code.integer(lanes)), 4), 4);
    Value byte = layout.halves ? code.mul(code.div(block, code.integer(2)), code.integer(layout.size)) : begin;
    for (int64_t j = 0; j < s.columns; ++j) {
      Value sum = start;
      for (auto [w, left] : llvm::enumerate(row)) {
        Value from = code.address(right[j], code.add(byte, code.integer(static_cast<int64_t>(w) * 2 * lanes)), 1);
        Value bytes = code.loadHere(code.vectorOf(code.i8, 2 * lanes), from, 1);
        sum = multiplyWords(code, integersOf(code, layout, code.i16, bytes, code.integer(half)), left, sum);
      }
      Value factor = code.loadHere(code.f32, code.address(room, code.add(inChunk, code.integer(j * s.lanes)), 4), 4);
      totals[j] =
          multiplyAdd(code, code.here<arith::SIToFPOp>(sums, sum), code.here<vector::SplatOp>(factor, sums), totals[j]);
      if (half == 0)
        code.here<LLVM::Prefetch>(code.address(advance(code, right[j], apart), byte, 1), 0u, 2u, 1u);
    }
  }
};
} // namespace

static void defineWordBlocks(Code &code, const BlocksShape &s, StringRef name) {
  Type p = code.ptr, n = code.i64;
  auto arguments = code.beginFunction(name, {p, p, p, p, p, n, p, n, p, p, n}, {});
  WordsKernel kernel(code, s);
  kernel.a = arguments[0], kernel.factors = arguments[1], kernel.extras = arguments[2], kernel.room = arguments[3];
  kernel.right = rowsAt(code, arguments[4], arguments[5], s.columns);
  kernel.scales = rowsAt(code, arguments[6], arguments[7], s.columns);
  kernel.minimums = rowsAt(code, arguments[8], arguments[7], s.columns);
  kernel.apart = code.mul(arguments[5], code.integer(s.columns * 4)); // fetched ahead, as in defineDot
  kernel.scalesApart = code.mul(arguments[7], code.integer(s.columns * 4));
  size_t columns = static_cast<size_t>(s.columns);
  SmallVector<Value> zeros(columns, zeroOf(code, kernel.sums));
  if (s.layout.lifted)
    zeros.append(columns, zeroOf(code, kernel.scaleVector));
  Value blocks = code.div(arguments[10], code.integer(s.layout.size));
  auto totals = code.loop(code.integer(0), blocks, s.lanes, zeros, [&](Value first, ValueRange carried) {
    SmallVector<Value> next(carried.begin(), carried.end());
    Value count = code.min(code.sub(blocks, first), code.integer(s.lanes)), mask = code.firstLanes(count, s.lanes);
    for (int64_t j = 0; j < s.columns; ++j)
      kernel.prepare(j, first, mask, MutableArrayRef(next).drop_front(columns));
    int64_t together = s.layout.halves ? 2 : 1;
    auto summed = code.loop(code.integer(0), count, together, ValueRange(next).take_front(columns),
                            [&](Value i, ValueRange inner) {
                              SmallVector<Value> values(inner.begin(), inner.end());
                              for (int64_t half = 0; half < together; ++half)
                                kernel.addBlock(first, i, half, values);
                              return values;
                            });
    std::copy(summed.begin(), summed.end(), next.begin());
    return next;
  });
  Value c = arguments[9], zero = code.integer(0);
  storeSums(code, ArrayRef(totals).take_front(columns), 1, kernel.lanes, c, zero, 4);
  if (s.layout.lifted) { // lanes of another number: summed up by themselves
    storeSums(code, ArrayRef(totals).drop_front(columns), 1, s.lanes, kernel.room, zero, 4);
    for (int64_t j = 0; j < s.columns; ++j) {
      Value place = code.address(c, code.integer(j), 4);
      Value lift = code.loadHere(code.f32, code.address(kernel.room, code.integer(j), 4), 4);
      code.store(code.here<arith::AddFOp>(code.loadHere(code.f32, place, 4), lift), place, 4);
    }
  }
  code.endFunction();
}

void defineBlocks(Code &code, const BlocksShape &s, bool words, StringRef name) {
  words ? defineWordBlocks(code, s, name) : defineFloatBlocks(code, s, name);
}

//===-- Widened panels --------------------------------------------------------------------------------------------===//

void defineWiden(Code &code, const BlockLayout &layout, int64_t lanes, StringRef name) {
  Type p = code.ptr, n = code.i64;
  VectorType vector = code.vectorOf(code.f32, lanes);
  auto arguments = code.beginFunction(name, {p, n, p, n, p, n, n, n, p, n}, {});
  Value k0 = arguments[6], size = code.integer(layout.size);
  code.loop(code.integer(0), arguments[5], 1, [&](Value r) {
    auto row = [&](Value base, Value apart) { return advance(code, base, code.mul(r, apart)); };
    Value blocks = row(arguments[0], arguments[1]), scales = row(arguments[2], arguments[3]),
          minimums = row(arguments[4], arguments[3]), to = row(arguments[8], arguments[9]);
    code.loop(k0, arguments[7], lanes, [&](Value k) {
      Value block = code.div(k, size), within = code.rem(k, size);
      Value pair = layout.halves ? code.div(block, code.integer(2)) : block;
      Value upper = layout.halves ? code.rem(block, code.integer(2)) : code.integer(0);
      Value from = advance(code, blocks, code.mul(pair, size));
      Value element = numbersAt(code, layout, from, within, upper, lanes);
      element =
          code.here<arith::MulFOp>(element, code.here<vector::SplatOp>(scaleAt(code, layout, scales, block), vector));
      if (layout.lifted)
        element = code.here<arith::AddFOp>(element,
                                           code.here<vector::SplatOp>(scaleAt(code, layout, minimums, block), vector));
      code.store(element, code.address(to, code.sub(k, k0), 4), 4);
    });
  });
  code.endFunction();
}

} // namespace kiln::cpu
