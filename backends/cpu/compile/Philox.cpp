// Ten rounds, on one block or on a vector of them.

#include "backends/cpu/compile/Philox.h"

using namespace mlir;

namespace kiln::cpu {

namespace {

/// The halves of a product of 32-bit words, the high one first.
std::pair<Value, Value> multiply(Code &code, Value word, int64_t factor) {
  Type type = word.getType();
  auto vector = dyn_cast<VectorType>(type);
  if (!vector || vector.getNumElements() % 2) {
    Type wide = vector ? Type(code.vectorOf(code.i64, vector.getNumElements())) : code.i64;
    Value product = code.op<arith::MulIOp>(code.op<arith::ExtUIOp>(wide, word), code.constantInt(wide, factor));
    Value high = code.op<arith::TruncIOp>(type, code.op<arith::ShRUIOp>(product, code.constantInt(wide, 32)));
    return {high, code.op<arith::TruncIOp>(type, product)};
  }
  // Processors multiply every other word to a double one: even and odd ones in turn, without widening.
  int64_t lanes = vector.getNumElements();
  Type pairs = code.vectorOf(code.i64, lanes / 2);
  Value both = code.op<vector::BitCastOp>(cast<VectorType>(pairs), word), number = code.constantInt(pairs, factor);
  Value even = code.op<arith::MulIOp>(code.op<arith::AndIOp>(both, code.constantInt(pairs, 0xffffffff)), number);
  Value odd = code.op<arith::MulIOp>(code.op<arith::ShRUIOp>(both, code.constantInt(pairs, 32)), number);
  Value evenWords = code.op<vector::BitCastOp>(vector, even), oddWords = code.op<vector::BitCastOp>(vector, odd);
  auto interleaved = [&](int64_t half) {
    SmallVector<int64_t> order;
    for (int64_t i = 0; i < lanes; i += 2)
      order.append({i + half, lanes + i + half});
    return code.op<vector::ShuffleOp>(evenWords, oddWords, order);
  };
  return {interleaved(1), interleaved(0)};
}

} // namespace

std::array<Value, 4> Draws::blocks(Code &code, Value block) const {
  Type word = block.getType();
  auto number = [&](int64_t n) { return code.constantInt(word, static_cast<int32_t>(static_cast<uint32_t>(n))); };
  auto shaped = [&](Value scalar) {
    auto vector = dyn_cast<VectorType>(word);
    return vector ? code.splat(scalar, vector.getNumElements()) : scalar;
  };
  std::array<Value, 4> x = {block, number(0), number(0), number(0)};
  for (size_t i = 0; i < counters.size(); ++i)
    x[i + 1] = shaped(counters[i]);
  Value key[2] = {shaped(seed), number(stream)};
  for (int round = 0; round < 10; ++round) {
    auto [high0, low0] = multiply(code, x[0], 0xD2511F53);
    auto [high1, low1] = multiply(code, x[2], 0xCD9E8D57);
    Value next0 = code.op<arith::XOrIOp>(code.op<arith::XOrIOp>(high1, x[1]), key[0]);
    Value next2 = code.op<arith::XOrIOp>(code.op<arith::XOrIOp>(high0, x[3]), key[1]);
    x = {next0, low1, next2, low0};
    if (round < 9) {
      key[0] = code.op<arith::AddIOp>(key[0], number(0x9E3779B9));
      key[1] = code.op<arith::AddIOp>(key[1], number(0xBB67AE85));
    }
  }
  return x;
}

Value Draws::of(Code &code, Value element) const {
  auto vector = dyn_cast<VectorType>(element.getType());
  Type wide = element.getType(), word = vector ? Type(code.vectorOf(code.i32, vector.getNumElements())) : code.i32;
  Value block = code.op<arith::ShRUIOp>(element, code.constantInt(wide, 2));
  std::array<Value, 4> x = blocks(code, code.op<arith::TruncIOp>(word, block));
  Value which = code.op<arith::AndIOp>(code.op<arith::TruncIOp>(word, element), code.constantInt(word, 3));
  auto is = [&](int64_t n) {
    return code.op<arith::CmpIOp>(arith::CmpIPredicate::eq, which, code.constantInt(word, n));
  };
  Value lower = code.op<arith::SelectOp>(is(0), x[0], x[1]), upper = code.op<arith::SelectOp>(is(2), x[2], x[3]);
  Value second = code.op<arith::CmpIOp>(arith::CmpIPredicate::ult, which, code.constantInt(word, 2));
  return code.op<arith::SelectOp>(second, lower, upper);
}

} // namespace kiln::cpu
