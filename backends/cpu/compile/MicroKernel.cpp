// The micro-kernels: a tile of the result in registers, one function a shape.

#include "backends/cpu/compile/MicroKernelCode.h"

using namespace mlir;

namespace kiln::cpu {

std::string nameOf(StringRef kind, ArrayRef<kiln_dtype> dtypes, ArrayRef<int64_t> sizes) {
  std::string name = ("kiln_" + kind + "_").str();
  for (kiln_dtype dtype : dtypes)
    name += (dtypeName(dtype) + "_").str();
  for (int64_t size : sizes)
    name += (name.back() == '_' ? "" : "x") + std::to_string(size);
  return name;
}

void call(Code &code, StringRef name, ValueRange arguments) {
  auto function = code.module.lookupSymbol<func::FuncOp>(name);
  if (!function) {
    OpBuilder::InsertionGuard guard(code.b);
    code.b.setInsertionPointToStart(code.module.getBody());
    function = code.b.create<func::FuncOp>(code.loc, name, code.b.getFunctionType(arguments.getTypes(), {}));
    function.setPrivate();
  }
  code.here<func::CallOp>(function, arguments);
}

/// What a tile's function is told of it; nothing where it fetches nothing.
static SmallVector<Value> fetchOf(Code &code, const MicroShape &s, Value a, const Ahead &ahead) {
  SmallVector<Value> fetch;
  Value zero = code.integer(0);
  if (ahead.from)
    fetch = {ahead.from, ahead.apart, ahead.count, ahead.step};
  else if (s.lines)
    fetch = {a, zero, zero, zero};
  if (!fetch.empty() && s.dtype == KILN_BF16)
    fetch.push_back(ahead.second ? ahead.second : zero);
  return fetch;
}

static void callTile(Code &code, StringRef kind, const MicroShape &s, SmallVector<Value> arguments,
                     const Ahead &ahead) {
  arguments.append(fetchOf(code, s, arguments[0], ahead));
  StringRef form = s.lines ? "l" : ahead.from ? "f" : "";
  SmallVector<int64_t> sizes{s.rows, s.vectors, s.lanes};
  if (s.alongK)
    sizes.append({s.acrossRows, s.alongK});
  call(code, nameOf((kind + form).str(), {s.dtype}, sizes), arguments);
}

void callMicroKernel(Code &code, const MicroShape &s, Value a, Value b, Value ldb, Value c, Value ldc, Value k,
                     Value accumulate, const Ahead &ahead) {
  callTile(code, "tile", s, {a, b, ldb, c, ldc, k, accumulate}, ahead);
}

void callTapsKernel(Code &code, const MicroShape &s, Value a, Value offsets, Value b, Value c, Value ldc, Value k,
                    Value accumulate) {
  callTile(code, "taps", s, {a, offsets, b, c, ldc, k, accumulate}, {});
}

void callPixelsKernel(Code &code, const MicroShape &s, Value a, Value offsets, Value b, Value ldb, Value c, Value ldc,
                      Value k, Value accumulate, const Ahead &ahead) {
  SmallVector<Value> arguments{a, b, ldb, c, ldc, k, accumulate};
  arguments.append(fetchOf(code, s, a, ahead));
  arguments.push_back(offsets);
  call(code, nameOf("pixels", {s.dtype}, {s.rows, s.vectors, s.lanes, s.inRow, s.pitch, s.step}), arguments);
}

void callEdgeKernel(Code &code, const EdgeShape &s, Value a, Value b, Value ldb, Value c, Value ldc, Value k,
                    Value accumulate) {
  call(code, nameOf("edge", {s.dtype}, {s.rows, s.columns, s.lanes}), {a, b, ldb, c, ldc, k, accumulate});
}

void callDotKernel(Code &code, const DotShape &s, Value a, Value lda, Value b, Value ldb, Value c, Value ldc, Value k) {
  call(code, nameOf("dot", {s.dtype, s.leftMemory, s.rightMemory}, {s.rows, s.columns, s.lanes}),
       {a, lda, b, ldb, c, ldc, k});
}

void callStream(Code &code, const StreamShape &s, Value a, Value lda, Value b, Value ldb, Value c, Value ldc,
                Value columns, Value k) {
  call(code, nameOf("stream", {s.dtype, s.leftMemory, s.rightMemory}, {s.rows, s.depth, s.lanes}),
       {a, lda, b, ldb, c, ldc, columns, k});
}

/// In Packing's order.
static constexpr StringRef packings[] = {"turn", "copy", "line", "across"};

void callPack(Code &code, const PackShape &s, Value from, Value apart, Value count, Value k, Value to, Value stride) {
  call(code, nameOf(packings[static_cast<int>(s.packing)], {s.dtype, s.memory}, {s.lanes}),
       {from, apart, count, k, to, stride});
}

void callSplit(Code &code, const SplitShape &s, Value from, Value apart, Value columns, Value k, Value to,
               Value panelBytes) {
  call(code, nameOf("split", {s.dtype, s.memory}, {s.width, s.lanes}), {from, apart, columns, k, to, panelBytes});
}

static bool isMicroKernel(StringRef name) {
  return llvm::any_of(std::initializer_list<const char *>{"kiln_tile_", "kiln_taps_", "kiln_tilel_", "kiln_tilef_",
                                                          "kiln_tapsl_", "kiln_pixels_", "kiln_edge_", "kiln_dot_",
                                                          "kiln_stream_", "kiln_turn_", "kiln_copy_", "kiln_line_",
                                                          "kiln_split_", "kiln_blocks_", "kiln_words_", "kiln_round_",
                                                          "kiln_widen_", "kiln_across_"},
                      [&](const char *prefix) { return name.starts_with(prefix); });
}

void collectMicroKernels(ModuleOp module, std::set<std::string> &names) {
  for (auto function : module.getOps<func::FuncOp>())
    if (function.isDeclaration() && isMicroKernel(function.getName()))
      names.insert(function.getName().str());
}

Value intrinsic(Code &code, StringRef name, Type result, ValueRange arguments) {
  return code.here<LLVM::CallIntrinsicOp>(result, code.b.getStringAttr(name), arguments).getResult(0);
}

Value multiplyAdd(Code &code, Value a, Value b, Value acc) {
  if (getElementTypeOrSelf(a) != getElementTypeOrSelf(acc)) {
    auto pairs = code.vectorOf(code.b.getBF16Type(), cast<VectorType>(a.getType()).getNumElements() * 2);
    return intrinsic(code, "llvm.x86.avx512bf16.dpbf16ps.512", acc.getType(),
                     {acc, code.here<vector::BitCastOp>(pairs, a), code.here<vector::BitCastOp>(pairs, b)});
  }
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

Value zeroOf(Code &code, Type type) {
  return isa<FloatType>(getElementTypeOrSelf(type)) ? code.constant(type, 0.0) : code.constantInt(type, 0);
}

Value advance(Code &code, Value pointer, Value bytes) {
  return code.here<LLVM::GEPOp>(code.ptr, code.i8, pointer, ValueRange{bytes});
}

SmallVector<Value> rowsAt(Code &code, Value base, Value apart, int64_t count) {
  SmallVector<Value> rows;
  for (int64_t i = 0; i < count; ++i)
    rows.push_back(advance(code, base, code.mul(apart, code.integer(i))));
  return rows;
}

using Step = llvm::function_ref<SmallVector<Value>(Value p, ValueRange carried)>;

/// Steps through as many k as a line of a has, line by line, `together` of them at once; a's pointer is the last but
/// one of what is carried. The lines of a that come next are fetched meanwhile, into the first level.
static SmallVector<Value> sumLines(Code &code, const MicroShape &s, ValueRange ahead, Value whole, int64_t together,
                                   ValueRange given, Step step) {
  int64_t bytes = packedBytes(s.dtype), groupBytes = s.rows * s.lanes * bytes;
  size_t pointer = given.size() - 2;
  bool fetches = s.lines && !s.alongK;
  SmallVector<Value> state(given.begin(), given.end());
  if (fetches)
    state.push_back(advance(code, given[pointer], code.integer(groupBytes)));
  int64_t share = groupBytes * together / s.lanes; // bytes of them
  SmallVector<Value> out = code.loop(code.integer(0), whole, s.lanes, state, [&](Value group, ValueRange carried) {
    Value there = advance(code, ahead[0], code.mul(code.div(group, code.integer(s.lanes)), ahead[3]));
    code.loop(code.integer(0), ahead[2], 1, [&](Value row) {
      Value line = advance(code, there, code.mul(row, ahead[1]));
      code.here<LLVM::Prefetch>(line, 0u, 2u, 1u);
      if (ahead.size() > 4)
        code.here<LLVM::Prefetch>(advance(code, line, ahead[4]), 0u, 2u, 1u);
    });
    Value end = code.add(group, code.integer(s.lanes));
    auto next = code.loop(group, end, together, carried, [&](Value p, ValueRange inner) {
      SmallVector<Value> values(inner.begin(), inner.end());
      if (fetches) {
        for (int64_t byte = 0; byte < share; byte += 64)
          code.here<LLVM::Prefetch>(advance(code, inner.back(), code.integer(byte)), 0u, 3u, 1u);
        values.pop_back();
      }
      for (int64_t i = 0; i < together; ++i)
        values = step(code.add(p, code.integer(i)), values);
      if (fetches)
        values.push_back(advance(code, inner.back(), code.integer(share)));
      return values;
    });
    if (!s.alongK && !s.inRow)
      next[pointer] = advance(code, carried[pointer], code.integer(s.rows * s.lanes * bytes));
    return next;
  });
  out.resize(given.size());
  return out;
}

/// c = tile, or c += tile where `accumulate`.
static void storeTile(Code &code, const MicroShape &s, ArrayRef<Value> tile, Value c, Value ldc, Value accumulate) {
  int64_t bytes = packedBytes(s.dtype);
  SmallVector<Value> places;
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t j = 0; j < s.vectors; ++j)
      places.push_back(
          code.address(advance(code, c, code.mul(ldc, code.integer(r))), code.integer(j * s.lanes), bytes));
  code.ifElse(
      accumulate,
      [&] {
        for (auto [place, value] : llvm::zip(places, tile))
          code.store(sum(code, code.loadHere(value.getType(), place, bytes), value), place, bytes);
      },
      [&] {
        for (auto [place, value] : llvm::zip(places, tile))
          code.store(value, place, bytes);
      });
}

/// A tile's sums, row by row; `fetch` is what an Ahead says, if anything. pixels: the offsets, where rows are such.
static SmallVector<Value> sumsOfTile(Code &code, const MicroShape &s, bool taps, Value a, Value b, Value ldb, Value k,
                                     ValueRange fetch, Value pixels = {}) {
  bool pairs = s.dtype == KILN_BF16;
  Type element = pairs ? code.i32 : code.memoryType(s.dtype);
  VectorType packed = code.vectorOf(element, s.lanes), vector = pairs ? code.vectorOf(code.f32, s.lanes) : packed;
  int64_t bytes = packedBytes(s.dtype);
  size_t sums = static_cast<size_t>(s.rows * s.vectors);
  SmallVector<Value> state(sums, zeroOf(code, vector));
  state.push_back(a);
  state.push_back(b);
  // From one row's element of a to the next row's, and from one k to the next.
  int64_t acrossRows = s.alongK  ? s.acrossRows
                       : s.lines ? s.lanes
                                 : 1,
          alongK = s.alongK  ? s.alongK
                   : s.lines ? 1
                             : s.rows;
  auto step = [&](Value p, ValueRange carried) {
    SmallVector<Value> next(carried.begin(), carried.end());
    Value pa = next[sums], pb = next[sums + 1];
    if (taps)
      pb = advance(code, pb, code.loadHere(code.i64, code.address(ldb, p, 8), 8));
    if (pixels)
      pa = advance(code, pa, code.loadHere(code.i64, code.address(pixels, p, 8), 8));
    SmallVector<Value> right;
    for (int64_t j = 0; j < s.vectors; ++j)
      right.push_back(code.loadHere(packed, code.address(pb, code.integer(j * s.lanes), bytes), bytes));
    for (int64_t r = 0; r < s.rows; ++r) {
      int64_t place = pixels ? r / s.inRow * s.pitch + r % s.inRow * s.step : r * acrossRows;
      Value scalar = code.loadHere(element, code.address(pa, code.integer(place), bytes), bytes);
      Value left = code.here<vector::SplatOp>(scalar, packed);
      for (int64_t j = 0; j < s.vectors; ++j)
        next[r * s.vectors + j] = multiplyAdd(code, left, right[j], next[r * s.vectors + j]);
    }
    if (!pixels)
      next[sums] = advance(code, pa, code.integer(alongK * bytes));
    if (!taps)
      next[sums + 1] = advance(code, pb, ldb);
    return next;
  };
  SmallVector<Value> out = state;
  Value whole = code.integer(0);
  if (!fetch.empty()) { // a few k at a time, so that the loop over a line ends seldom and is predicted
    int64_t together = std::min<int64_t>(s.lanes, 4);
    whole = code.mul(code.div(k, code.integer(s.lanes)), code.integer(s.lanes));
    out = sumLines(code, s, fetch, whole, together, out, step);
  }
  out = code.loop(whole, k, 1, out, step);
  out.resize(sums);
  return out;
}

SmallVector<Value> sumTile(Code &code, const MicroShape &s, Value a, Value b, Value ldb, Value k, const Ahead &ahead) {
  return sumsOfTile(code, s, /*taps=*/false, a, b, ldb, k, fetchOf(code, s, a, ahead));
}

/// fetches: with what an Ahead says. Offsets of pixels are the last argument.
static void defineTile(Code &code, const MicroShape &s, bool taps, bool fetches, StringRef name) {
  Type p = code.ptr, n = code.i64;
  SmallVector<Type> types =
      taps ? SmallVector<Type>{p, p, p, p, n, n, code.i1} : SmallVector<Type>{p, p, n, p, n, n, code.i1};
  if (fetches)
    types.append({p, n, n, n});
  if (fetches && s.dtype == KILN_BF16)
    types.push_back(n);
  if (s.inRow)
    types.push_back(p);
  auto arguments = code.beginFunction(name, types, {});
  Value pixels = s.inRow ? arguments.back() : Value();
  ValueRange fetch = ValueRange(arguments).drop_front(7).drop_back(s.inRow ? 1 : 0);
  Value a = arguments[0], b = arguments[taps ? 2 : 1], ldb = arguments[taps ? 1 : 2], c = arguments[3],
        ldc = arguments[4];

  // The sums of earlier K blocks come from further off: they are fetched while this one is summed.
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t line = 0; line < s.columns() * packedBytes(s.dtype); line += 64)
      code.here<LLVM::Prefetch>(advance(code, c, code.add(code.mul(ldc, code.integer(r)), code.integer(line))), 1u, 3u,
                                1u);
  SmallVector<Value> sums = sumsOfTile(code, s, taps, a, b, ldb, arguments[5], fetch, pixels);
  storeTile(code, s, sums, c, ldc, arguments[6]);
  code.endFunction();
}

Value sumsOf(Code &code, SmallVector<Value> vectors) {
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

/// c (+)= the sums of `rows` rows of a from the first on, `columns` accumulators each.
static void edgeRows(Code &code, const EdgeShape &s, ValueRange arguments, int64_t first, int64_t rows) {
  bool pairs = s.dtype == KILN_BF16;
  VectorType packed = code.vectorOf(pairs ? code.i32 : code.memoryType(s.dtype), s.lanes);
  VectorType vector = pairs ? code.vectorOf(code.f32, s.lanes) : packed;
  int64_t bytes = packedBytes(s.dtype);
  Value a = arguments[0], b = arguments[1], ldb = arguments[2], c = arguments[3], ldc = arguments[4];
  Value k = arguments[5], accumulate = arguments[6];
  SmallVector<Value> zeros(static_cast<size_t>(rows * s.columns), zeroOf(code, vector)),
      columns = rowsAt(code, b, ldb, s.columns);
  auto sums = code.loop(code.integer(0), k, s.lanes, zeros, [&](Value p, ValueRange carried) {
    SmallVector<Value> next, right;
    for (Value column : columns)
      right.push_back(code.loadHere(packed, code.address(column, p, bytes), bytes));
    Value lines = advance(code, a, code.mul(p, code.integer(s.rows * bytes)));
    for (int64_t r = 0; r < rows; ++r) {
      Value left = code.loadHere(packed, code.address(lines, code.integer((first + r) * s.lanes), bytes), bytes);
      for (int64_t j = 0; j < s.columns; ++j)
        next.push_back(multiplyAdd(code, left, right[j], carried[static_cast<size_t>(r * s.columns + j)]));
    }
    return next;
  });
  for (int64_t j = 0; j < s.columns; ++j) {
    SmallVector<Value> column;
    for (int64_t r = 0; r < rows; ++r)
      column.push_back(sums[static_cast<size_t>(r * s.columns + j)]);
    Value all = sumsOf(code, column);
    for (int64_t r = 0; r < rows; ++r) {
      Value place = code.address(advance(code, c, code.mul(ldc, code.integer(first + r))), code.integer(j), bytes);
      Value mine = code.here<vector::ExtractOp>(all, ArrayRef<int64_t>{r});
      Value before = code.here<arith::SelectOp>(accumulate, code.loadHere(mine.getType(), place, bytes),
                                                zeroOf(code, mine.getType()));
      code.store(sum(code, before, mine), place, bytes);
    }
  }
}

static void defineEdge(Code &code, const EdgeShape &s, StringRef name) {
  auto arguments = code.beginFunction(name, {code.ptr, code.ptr, code.i64, code.ptr, code.i64, code.i64, code.i1}, {});
  // As many accumulators as a tile has, and no more rows than a vector has lanes for their sums.
  int64_t registers = code.machine.vectorRegisters >= 32 ? 24 : 12;
  int64_t together = std::max<int64_t>(1, std::min({s.rows, registers / s.columns, s.lanes}));
  for (int64_t r = 0; r < s.rows; r += together)
    edgeRows(code, s, arguments, r, std::min(together, s.rows - r));
  code.endFunction();
}

Value loadAs(Code &code, VectorType vector, kiln_dtype memory, Value row, Value p, Value mask) {
  int64_t bytes = byteSize(memory), lanes = vector.getNumElements();
  Value position = code.address(row, p, bytes);
  auto there = code.vectorOf(code.memoryType(memory), lanes);
  Value element =
      mask ? code.maskedLoad(there, position, mask, bytes, /*pinned=*/true) : code.loadHere(there, position, bytes);
  if (there == vector)
    return element;
  if (memory == KILN_F16)
    return code.here<arith::ExtFOp>(vector, element);
  auto wide = code.vectorOf(code.i32, lanes);
  Value bits = code.here<arith::ExtUIOp>(wide, element);
  bits = code.here<arith::ShLIOp>(bits, code.constantInt(wide, 16));
  return code.here<arith::BitcastOp>(vector, bits);
}

void storeSums(Code &code, ArrayRef<Value> sums, int64_t rows, int64_t lanes, Value c, Value ldc, int64_t bytes) {
  size_t columns = sums.size() / static_cast<size_t>(rows);
  Value count = code.firstLanes(code.integer(static_cast<int64_t>(columns)), lanes);
  for (int64_t r = 0; r < rows; ++r) {
    SmallVector<Value> row(sums.slice(static_cast<size_t>(r) * columns, columns));
    code.maskedStore(sumsOf(code, row), advance(code, c, code.mul(ldc, code.integer(r))), count, bytes);
  }
}

static void defineDot(Code &code, const DotShape &s, StringRef name) {
  Type element = code.memoryType(s.dtype);
  VectorType vector = code.vectorOf(element, s.lanes);
  int64_t bytes = byteSize(s.dtype);
  auto arguments = code.beginFunction(name, {code.ptr, code.i64, code.ptr, code.i64, code.ptr, code.i64, code.i64}, {});
  Value a = arguments[0], lda = arguments[1], b = arguments[2], ldb = arguments[3], c = arguments[4],
        ldc = arguments[5], k = arguments[6];
  SmallVector<Value> rowsOfA = rowsAt(code, a, lda, s.rows), rowsOfB = rowsAt(code, b, ldb, s.columns);

  // A row against many is as fast as memory brings them. Narrow ones take as long to widen as to fetch: those of the
  // next call but one are on their way to the second level meanwhile: the first one has too few places for lines that
  // are on their way. (Of f32 it costs what it brings, and a third in a cache.)
  Value ahead = code.mul(ldb, code.integer(s.columns * 2));
  auto step = [&](ValueRange carried, Value p, Value mask) {
    SmallVector<Value> right, next;
    for (Value row : rowsOfB)
      right.push_back(loadAs(code, vector, s.rightMemory, row, p, mask));
    for (int64_t r = 0; r < s.rows; ++r) {
      Value left = loadAs(code, vector, s.leftMemory, rowsOfA[r], p, mask);
      for (int64_t j = 0; j < s.columns; ++j)
        next.push_back(multiplyAdd(code, left, right[j], carried[r * s.columns + j]));
    }
    return next;
  };
  SmallVector<Value> zeros(s.rows * s.columns, zeroOf(code, vector));
  int64_t line = std::max<int64_t>(s.lanes, 64 / byteSize(s.rightMemory)); // of memory, in elements
  Value whole = code.mul(code.div(k, code.integer(line)), code.integer(line));
  auto sums = code.loop(code.integer(0), whole, line, zeros, [&](Value p, ValueRange carried) {
    SmallVector<Value> now(carried.begin(), carried.end());
    if (s.rows == 1 && byteSize(s.rightMemory) < byteSize(s.dtype))
      for (Value row : rowsOfB)
        code.here<LLVM::Prefetch>(code.address(advance(code, row, ahead), p, byteSize(s.rightMemory)), 0u, 2u, 1u);
    for (int64_t i = 0; i < line; i += s.lanes)
      now = step(now, code.add(p, code.integer(i)), {});
    return now;
  });
  sums = code.loop(whole, k, s.lanes, sums, [&](Value p, ValueRange carried) {
    return step(carried, p, code.firstLanes(code.sub(k, p), s.lanes));
  });
  storeSums(code, sums, s.rows, s.lanes, c, ldc, bytes);
  code.endFunction();
}

/// The dtypes and the sizes of a name that nameOf made; false where it is another's.
static bool readName(StringRef name, StringRef &kind, SmallVectorImpl<kiln_dtype> &dtypes,
                     SmallVectorImpl<int64_t> &sizes) {
  SmallVector<StringRef> parts, numbers;
  name.split(parts, '_');
  kind = parts[1];
  for (StringRef part : ArrayRef(parts).drop_front(2).drop_back()) {
    auto known = {KILN_F32, KILN_F64, KILN_I32, KILN_I64, KILN_BF16, KILN_F16};
    const auto *found = llvm::find_if(known, [&](kiln_dtype dtype) { return dtypeName(dtype) == part; });
    if (found == known.end())
      return false;
    dtypes.push_back(*found);
  }
  parts.back().split(numbers, 'x');
  for (StringRef number : numbers)
    if (number.getAsInteger(10, sizes.emplace_back()))
      return false;
  return true;
}

bool defineMicroKernel(Code &code, StringRef name) {
  StringRef kind;
  SmallVector<kiln_dtype> of;
  SmallVector<int64_t> sizes;
  if (!isMicroKernel(name) || !readName(name, kind, of, sizes))
    return false;
  auto has = [&](size_t dtypes, size_t numbers) { return of.size() == dtypes && sizes.size() == numbers; };
  auto blockLayout = [&] { // the last four numbers
    ArrayRef<int64_t> last = ArrayRef(sizes).take_back(4);
    return BlockLayout{of[0], last[0], last[1] != 0, last[2] != 0, static_cast<Coding>(last[3])};
  };
  const auto *packing = llvm::find(packings, kind);
  if (packing != std::end(packings) && has(2, 1))
    definePack(code, {of[0], sizes[0], static_cast<Packing>(packing - packings), of[1]}, name);
  else if (kind == "split" && has(2, 2))
    defineSplit(code, {of[0], sizes[0], sizes[1], of[1]}, name);
  else if ((kind.starts_with("tile") || kind.starts_with("taps")) && has(1, 3))
    defineTile(code, {of[0], sizes[0], sizes[1], sizes[2], kind.ends_with("l")}, kind.starts_with("taps"),
               kind.ends_with("l") || kind.ends_with("f"), name);
  else if (kind == "tile" && has(1, 5))
    defineTile(code, {of[0], sizes[0], sizes[1], sizes[2], false, sizes[3], sizes[4]}, false, false, name);
  else if (kind == "pixels" && has(1, 6))
    defineTile(code, {of[0], sizes[0], sizes[1], sizes[2], false, 0, 0, sizes[3], sizes[4], sizes[5]}, false, true,
               name);
  else if (kind == "edge" && has(1, 3))
    defineEdge(code, {of[0], sizes[0], sizes[1], sizes[2]}, name);
  else if (kind == "dot" && has(3, 3))
    defineDot(code, {of[0], sizes[0], sizes[1], sizes[2], of[1], of[2]}, name);
  else if (kind == "stream" && has(3, 3))
    defineStream(code, {of[0], sizes[0], sizes[1], sizes[2], of[1], of[2]}, name);
  else if ((kind == "blocks" || kind == "words") && has(1, 7))
    defineBlocks(code, {blockLayout(), sizes[0], sizes[1], sizes[2]}, kind == "words", name);
  else if (kind == "round" && has(1, 5))
    defineRound(code, blockLayout(), sizes[0], name);
  else if (kind == "widen" && has(1, 5))
    defineWiden(code, blockLayout(), sizes[0], name);
  else
    return false;
  return true;
}

} // namespace kiln::cpu
