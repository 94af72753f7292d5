// The micro-kernels: a tile of the result in registers, one function a shape.

#include "backends/cpu/compile/MicroKernel.h"
#include <cstdio>

using namespace mlir;

namespace kiln::cpu {

/// defineMicroKernel reads it back.
static std::string nameOf(StringRef kind, kiln_dtype dtype, ArrayRef<int64_t> sizes) {
  std::string name = ("kiln_" + kind + "_" + dtypeName(dtype) + "_").str();
  for (int64_t size : sizes)
    name += (name.back() == '_' ? "" : "x") + std::to_string(size);
  return name;
}

static void call(Code &code, StringRef name, ValueRange arguments) {
  auto function = code.module.lookupSymbol<func::FuncOp>(name);
  if (!function) {
    OpBuilder::InsertionGuard guard(code.b);
    code.b.setInsertionPointToStart(code.module.getBody());
    function = code.b.create<func::FuncOp>(code.loc, name, code.b.getFunctionType(arguments.getTypes(), {}));
    function.setPrivate();
  }
  code.here<func::CallOp>(function, arguments);
}

void callMicroKernel(Code &code, const MicroShape &s, Value a, Value b, Value ldb, Value c, Value ldc, Value k,
                     Value accumulate) {
  call(code, nameOf("tile", s.dtype, {s.rows, s.vectors, s.lanes}), {a, b, ldb, c, ldc, k, accumulate});
}

void callTapsKernel(Code &code, const MicroShape &s, Value a, Value offsets, Value b, Value c, Value ldc, Value k,
                    Value accumulate) {
  call(code, nameOf("taps", s.dtype, {s.rows, s.vectors, s.lanes}), {a, offsets, b, c, ldc, k, accumulate});
}

void callDotKernel(Code &code, const DotShape &s, Value a, Value lda, Value b, Value ldb, Value c, Value ldc, Value k) {
  call(code, nameOf("dot", s.dtype, {s.rows, s.columns, s.lanes}), {a, lda, b, ldb, c, ldc, k});
}

void callPack(Code &code, const PackShape &s, Value from, Value apart, Value count, Value k, Value to, Value stride) {
  call(code, nameOf(s.turn ? "turn" : "copy", s.dtype, {s.lanes}), {from, apart, count, k, to, stride});
}

void callSplit(Code &code, const SplitShape &s, Value from, Value apart, Value columns, Value k, Value to,
               Value panelBytes) {
  call(code, nameOf("split", s.dtype, {s.width, s.lanes}), {from, apart, columns, k, to, panelBytes});
}

static bool isMicroKernel(StringRef name) {
  return llvm::any_of(std::initializer_list<const char *>{"kiln_tile_", "kiln_taps_", "kiln_dot_", "kiln_turn_",
                                                          "kiln_copy_", "kiln_split_"},
                      [&](const char *prefix) { return name.starts_with(prefix); });
}

void collectMicroKernels(ModuleOp module, std::set<std::string> &names) {
  for (auto function : module.getOps<func::FuncOp>())
    if (function.isDeclaration() && isMicroKernel(function.getName()))
      names.insert(function.getName().str());
}

/// acc + a * b
static Value multiplyAdd(Code &code, Value a, Value b, Value acc) {
  if (isa<FloatType>(getElementTypeOrSelf(acc))) {
    if (code.machine.fma) // where there is none it would be a call for each element
      return code.here<vector::FMAOp>(a, b, acc);
    return code.here<arith::AddFOp>(acc, code.here<arith::MulFOp>(a, b));
  }
  return code.here<arith::AddIOp>(acc, code.here<arith::MulIOp>(a, b));
}

static Value sum(Code &code, Value a, Value b) {
  if (isa<FloatType>(getElementTypeOrSelf(a)))
    return code.here<arith::AddFOp>(a, b);
  return code.here<arith::AddIOp>(a, b);
}

static Value zeroOf(Code &code, VectorType type) {
  return isa<FloatType>(type.getElementType()) ? code.constant(type, 0.0) : code.constantInt(type, 0);
}

static Value advance(Code &code, Value pointer, Value bytes) {
  return code.here<LLVM::GEPOp>(code.ptr, code.i8, pointer, ValueRange{bytes});
}

static void defineTile(Code &code, const MicroShape &s, bool taps, StringRef name) {
  Type element = code.memoryType(s.dtype);
  VectorType vector = code.vectorOf(element, s.lanes);
  int64_t bytes = byteSize(s.dtype);
  auto arguments =
      taps ? code.beginFunction(name, {code.ptr, code.ptr, code.ptr, code.ptr, code.i64, code.i64, code.i1}, {})
           : code.beginFunction(name, {code.ptr, code.ptr, code.i64, code.ptr, code.i64, code.i64, code.i1}, {});
  Value a = arguments[0], b = arguments[taps ? 2 : 1], ldb = arguments[taps ? 1 : 2], c = arguments[3],
        ldc = arguments[4];
  Value k = arguments[5], accumulate = arguments[6];

  // The sums of earlier K blocks come from further off: they are fetched while this one is summed.
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t line = 0; line < s.columns() * bytes; line += 64)
      code.here<LLVM::Prefetch>(advance(code, c, code.add(code.mul(ldc, code.integer(r)), code.integer(line))), 1u, 3u,
                                1u);

  SmallVector<Value> state(s.rows * s.vectors, zeroOf(code, vector));
  state.push_back(a);
  state.push_back(b);
  Value sliverBytes = code.integer(s.rows * bytes);
  auto out = code.loop(code.integer(0), k, 1, state, [&](Value p, ValueRange carried) {
    SmallVector<Value> next(carried.begin(), carried.end());
    Value pa = next[state.size() - 2], pb = next[state.size() - 1];
    if (taps)
      pb = advance(code, pb, code.loadHere(code.i64, code.address(ldb, p, 8), 8));
    SmallVector<Value> right;
    for (int64_t j = 0; j < s.vectors; ++j)
      right.push_back(code.loadHere(vector, code.address(pb, code.integer(j * s.lanes), bytes), bytes));
    for (int64_t r = 0; r < s.rows; ++r) {
      Value scalar = code.loadHere(element, code.address(pa, code.integer(r), bytes), bytes);
      Value left = code.here<vector::SplatOp>(scalar, vector);
      for (int64_t j = 0; j < s.vectors; ++j)
        next[r * s.vectors + j] = multiplyAdd(code, left, right[j], next[r * s.vectors + j]);
    }
    next[state.size() - 2] = advance(code, pa, sliverBytes);
    if (!taps)
      next[state.size() - 1] = advance(code, pb, ldb);
    return next;
  });

  SmallVector<Value> tile(out.begin(), out.begin() + s.rows * s.vectors);
  SmallVector<Value> places;
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t j = 0; j < s.vectors; ++j)
      places.push_back(
          code.address(advance(code, c, code.mul(ldc, code.integer(r))), code.integer(j * s.lanes), bytes));
  code.ifThen(accumulate, [&] {
    for (size_t i = 0; i < tile.size(); ++i)
      code.store(sum(code, code.loadHere(vector, places[i], bytes), tile[i]), places[i], bytes);
  });
  Value no = code.here<arith::XOrIOp>(accumulate, code.constantInt(code.i1, 1));
  code.ifThen(no, [&] {
    for (size_t i = 0; i < tile.size(); ++i)
      code.store(tile[i], places[i], bytes);
  });
  code.endFunction();
}

/// One vector whose lane i is the sum of vectors[i]'s lanes: halves are added pairwise while the vectors interleave.
static Value sumsOf(Code &code, SmallVector<Value> vectors) {
  auto type = cast<VectorType>(vectors[0].getType());
  int64_t lanes = type.getNumElements();
  Value zero = zeroOf(code, type);
  vectors.resize(lanes, zero);
  // Step with distance d: lanes where bit d is clear hold x's pair sums, the others y's.
  for (int64_t d = 1; d < lanes; d *= 2) {
    SmallVector<Value> next;
    for (size_t i = 0; i < vectors.size(); i += 2) {
      Value x = vectors[i], y = vectors[i + 1];
      if (x == zero && y == zero) {
        next.push_back(zero);
        continue;
      }
      SmallVector<int64_t> low, high;
      for (int64_t l = 0; l < lanes; ++l) {
        low.push_back(l & d ? lanes + l - d : l);
        high.push_back(l & d ? lanes + l : l + d);
      }
      next.push_back(sum(code, code.here<vector::ShuffleOp>(x, y, low), code.here<vector::ShuffleOp>(x, y, high)));
    }
    vectors = next;
  }
  return vectors[0];
}

static void defineDot(Code &code, const DotShape &s, StringRef name) {
  Type element = code.memoryType(s.dtype);
  VectorType vector = code.vectorOf(element, s.lanes);
  int64_t bytes = byteSize(s.dtype);
  auto arguments = code.beginFunction(name, {code.ptr, code.i64, code.ptr, code.i64, code.ptr, code.i64, code.i64}, {});
  Value a = arguments[0], lda = arguments[1], b = arguments[2], ldb = arguments[3], c = arguments[4],
        ldc = arguments[5], k = arguments[6];
  SmallVector<Value> rowsOfA, rowsOfB;
  for (int64_t r = 0; r < s.rows; ++r)
    rowsOfA.push_back(advance(code, a, code.mul(lda, code.integer(r))));
  for (int64_t j = 0; j < s.columns; ++j)
    rowsOfB.push_back(advance(code, b, code.mul(ldb, code.integer(j))));

  auto step = [&](ValueRange carried, Value p, Value mask) {
    auto get = [&](Value row) {
      Value position = code.address(row, p, bytes);
      return mask ? code.maskedLoad(vector, position, mask, bytes, /*pinned=*/true)
                  : code.loadHere(vector, position, bytes);
    };
    SmallVector<Value> right, next;
    for (Value row : rowsOfB)
      right.push_back(get(row));
    for (int64_t r = 0; r < s.rows; ++r) {
      Value left = get(rowsOfA[r]);
      for (int64_t j = 0; j < s.columns; ++j)
        next.push_back(multiplyAdd(code, left, right[j], carried[r * s.columns + j]));
    }
    return next;
  };
  SmallVector<Value> zeros(s.rows * s.columns, zeroOf(code, vector));
  Value whole = code.mul(code.div(k, code.integer(s.lanes)), code.integer(s.lanes));
  auto sums = code.loop(code.integer(0), whole, s.lanes, zeros,
                        [&](Value p, ValueRange carried) { return step(carried, p, {}); });
  sums = code.loop(whole, k, s.lanes, sums, [&](Value p, ValueRange carried) {
    return step(carried, p, code.firstLanes(code.sub(k, p), s.lanes));
  });
  Value count = code.firstLanes(code.integer(s.columns), s.lanes);
  for (int64_t r = 0; r < s.rows; ++r) {
    SmallVector<Value> row(sums.begin() + r * s.columns, sums.begin() + (r + 1) * s.columns);
    code.maskedStore(sumsOf(code, row), advance(code, c, code.mul(ldc, code.integer(r))), count, bytes);
  }
  code.endFunction();
}

static void definePack(Code &code, const PackShape &s, StringRef name) {
  VectorType vector = code.vectorOf(code.memoryType(s.dtype), s.lanes);
  int64_t bytes = byteSize(s.dtype);
  auto arguments = code.beginFunction(name, {code.ptr, code.i64, code.i64, code.i64, code.ptr, code.i64}, {});
  Value from = arguments[0], apart = arguments[1], count = arguments[2], k = arguments[3], to = arguments[4],
        stride = arguments[5];
  auto row = [&](Value base, Value number, Value distance) { return advance(code, base, code.mul(number, distance)); };
  if (!s.turn) {
    code.loop(code.integer(0), k, 1, [&](Value p) {
      Value source = row(from, p, apart), target = row(to, p, stride);
      code.loop(code.integer(0), count, s.lanes, [&](Value j) {
        Value mask = code.firstLanes(code.sub(count, j), s.lanes);
        Value element = code.maskedLoad(vector, code.address(source, j, bytes), mask, bytes, /*pinned=*/true);
        code.store(element, code.address(target, j, bytes), bytes);
      });
    });
    code.endFunction();
    return;
  }
  SmallVector<Value> rows; // beyond the last one it stands in
  for (int64_t r = 0; r < s.lanes; ++r)
    rows.push_back(row(from, code.min(code.integer(r), code.sub(count, code.integer(1))), apart));
  code.loop(code.integer(0), k, s.lanes, [&](Value p) {
    Value mask = code.firstLanes(code.sub(k, p), s.lanes);
    SmallVector<Value> square;
    for (Value source : rows)
      square.push_back(code.maskedLoad(vector, code.address(source, p, bytes), mask, bytes, /*pinned=*/true));
    transposeSquare(code, square);
    for (int64_t i = 0; i < s.lanes; ++i)
      code.store(square[i], row(to, code.add(p, code.integer(i)), stride), bytes);
  });
  code.endFunction();
}

static void defineSplit(Code &code, const SplitShape &s, StringRef name) {
  VectorType vector = code.vectorOf(code.memoryType(s.dtype), s.lanes);
  int64_t bytes = byteSize(s.dtype);
  auto arguments = code.beginFunction(name, {code.ptr, code.i64, code.i64, code.i64, code.ptr, code.i64}, {});
  Value from = arguments[0], apart = arguments[1], columns = arguments[2], k = arguments[3], to = arguments[4],
        panelBytes = arguments[5];
  Value zero = code.integer(0), panels = code.ceilDiv(columns, code.integer(s.width));
  code.loop(zero, k, 1, [&](Value p) {
    Value source = advance(code, from, code.mul(p, apart)),
          target = code.address(to, code.mul(p, code.integer(s.width)), bytes);
    code.loop(zero, panels, 1, [&](Value panel) {
      Value first = code.mul(panel, code.integer(s.width)),
            position = advance(code, target, code.mul(panel, panelBytes));
      for (int64_t j = 0; j < s.width; j += s.lanes) {
        Value column = code.add(first, code.integer(j));
        Value mask = code.firstLanes(code.min(code.sub(columns, column), code.integer(s.width - j)), s.lanes);
        Value element = code.maskedLoad(vector, code.address(source, column, bytes), mask, bytes, /*pinned=*/true);
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

bool defineMicroKernel(Code &code, StringRef name) {
  if (!isMicroKernel(name))
    return false;
  char kind[8] = {}, dtype[8] = {};
  long sizes[3] = {};
  int read = std::sscanf(name.str().c_str(), "kiln_%7[a-z]_%7[a-z0-9]_%ldx%ldx%ld", kind, dtype, &sizes[0], &sizes[1],
                         &sizes[2]);
  StringRef is(kind);
  bool pack = is == "turn" || is == "copy";
  if (read != (pack ? 3 : is == "split" ? 4 : 5))
    return false;
  for (kiln_dtype candidate : {KILN_F32, KILN_F64, KILN_I32, KILN_I64})
    if (dtypeName(candidate) == dtype) {
      if (pack)
        definePack(code, {candidate, sizes[0], is == "turn"}, name);
      else if (is == "split")
        defineSplit(code, {candidate, sizes[0], sizes[1]}, name);
      else if (is == "tile" || is == "taps")
        defineTile(code, {candidate, sizes[0], sizes[1], sizes[2]}, is == "taps", name);
      else
        defineDot(code, {candidate, sizes[0], sizes[1], sizes[2]}, name);
      return true;
    }
  return false;
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
