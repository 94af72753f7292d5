// The micro-kernel of few rows: rows of the right operand pass by once, as memory brings them.

#include "backends/cpu/compile/MicroKernelCode.h"

using namespace mlir;

namespace kiln::cpu {

namespace {
/// What one call goes through.
struct StreamKernel {
  StreamKernel(Code &code, const StreamShape &s, ValueRange arguments)
      : code(code), s(s), vector(code.vectorOf(code.memoryType(s.dtype), s.lanes)), a(arguments[0]), lda(arguments[1]),
        b(arguments[2]), ldb(arguments[3]), c(arguments[4]), ldc(arguments[5]), columns(arguments[6]) {}

  Code &code;
  const StreamShape &s;
  VectorType vector;
  Value a, lda, b, ldb, c, ldc, columns;
  int64_t bytes = byteSize(s.dtype), rightBytes = byteSize(s.rightMemory);
  int64_t line = std::max<int64_t>(s.lanes, 64 / rightBytes); // of memory, in elements

  Value place(int64_t row, Value column) {
    return code.address(advance(code, c, code.mul(ldc, code.integer(row))), column, bytes);
  }

  void clear() {
    Value whole = code.mul(code.div(columns, code.integer(s.lanes)), code.integer(s.lanes)),
          zero = zeroOf(code, vector);
    auto put = [&](Value column) {
      for (int64_t r = 0; r < s.rows; ++r)
        code.store(zero, place(r, column), bytes);
    };
    code.loop(code.integer(0), whole, s.lanes, put);
    code.ifThen(code.compare(arith::CmpIPredicate::slt, whole, columns), [&] { put(whole); });
  }

  /// Adds the products of `depth` rows of b from p on with all columns; the rows after them are fetched meanwhile.
  void addRows(Value p, int64_t depth) {
    SmallVector<Value> left, right = rowsAt(code, advance(code, b, code.mul(p, ldb)), ldb, depth);
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t d = 0; d < depth; ++d) {
        Value row = advance(code, a, code.mul(lda, code.integer(r)));
        left.push_back(code.here<vector::SplatOp>(scalarAt(row, code.add(p, code.integer(d))), vector));
      }
    Value ahead = code.mul(ldb, code.integer(depth));
    auto add = [&](Value column, Value mask) {
      SmallVector<Value> elements;
      for (Value row : right)
        elements.push_back(loadAs(code, vector, s.rightMemory, row, column, mask));
      for (int64_t r = 0; r < s.rows; ++r) {
        Value sum = code.loadHere(vector, place(r, column), bytes);
        for (int64_t d = 0; d < depth; ++d)
          sum = multiplyAdd(code, left[r * depth + d], elements[d], sum);
        code.store(sum, place(r, column), bytes);
      }
    };
    Value whole = code.mul(code.div(columns, code.integer(line)), code.integer(line));
    code.loop(code.integer(0), whole, line, [&](Value column) {
      for (Value row : right)
        code.here<LLVM::Prefetch>(code.address(advance(code, row, ahead), column, rightBytes), 0u, 2u, 1u);
      for (int64_t i = 0; i < line; i += s.lanes)
        add(code.add(column, code.integer(i)), {});
    });
    code.loop(whole, columns, s.lanes,
              [&](Value column) { add(column, code.firstLanes(code.sub(columns, column), s.lanes)); });
  }

  Value scalarAt(Value row, Value p) {
    auto one = code.vectorOf(code.memoryType(s.dtype), 1);
    return code.here<vector::ExtractOp>(loadAs(code, one, s.leftMemory, row, p, {}), ArrayRef<int64_t>{0});
  }
};
} // namespace

void defineStream(Code &code, const StreamShape &s, StringRef name) {
  Type p = code.ptr, n = code.i64;
  auto arguments = code.beginFunction(name, {p, n, p, n, p, n, n, n}, {});
  StreamKernel kernel(code, s, arguments);
  Value k = arguments[7], whole = code.mul(code.div(k, code.integer(s.depth)), code.integer(s.depth));
  kernel.clear();
  code.loop(code.integer(0), whole, s.depth, [&](Value p) { kernel.addRows(p, s.depth); });
  code.loop(whole, k, 1, [&](Value p) { kernel.addRows(p, 1); });
  code.endFunction();
}

} // namespace kiln::cpu
